//! Thousands of meetings on virtual time, each with its own people, network and accidents, all drawn from one number.
//!
//! `CONCLAVE_SCHEDULES=n` runs n times as many; a failure names its number and tells what happened up to it.
#![cfg(feature = "protocol")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

mod checker;
mod flaws;
mod logs;
#[path = "../support/virtual_relay.rs"]
mod virtual_relay;
mod world;

use std::time::Duration;

use checker::Flaw;
use world::{Weather, World};

/// One whole meeting: how long it took until everyone agreed after the network had become whole, or what went wrong.
pub(crate) fn schedule(seed: u64, weather: Weather, flaw: Flaw) -> Result<Duration, String> {
    let mut world = World::new(seed, weather, flaw);
    play(&mut world, seed);
    let took = world.settle();
    let ended = took.and_then(|took| logs::check(&world).map(|()| took));
    ended.map_err(|what| {
        format!("schedule {seed} in {weather:?}: {what}\n{}\n{}", world.story.join("\n"), world.picture())
    })
}

fn play(world: &mut World, seed: u64) {
    let mut dice = virtual_relay::Dice::new(seed);
    for _ in 0..1 + dice.below(5) {
        world.join();
        world.run_for(Duration::from_millis(dice.below(1500) as u64));
    }
    world.run_for(Duration::from_secs(2));
    for _ in 0..6 + dice.below(14) {
        if dice.chance(25) {
            world.worsen();
        }
        world.act();
        // Several things in one moment, or with time to settle, or so far apart that silence is noticed.
        let pause = match dice.below(10) {
            0..=3 => dice.below(300),
            4..=7 => dice.below(4_000),
            _ => dice.below(40_000),
        };
        world.run_for(Duration::from_millis(pause as u64));
    }
    world.clear();
}

fn all(weather: Weather, from: u64, count: u64) {
    let times = std::env::var("CONCLAVE_SCHEDULES").ok().and_then(|times| times.parse::<u64>().ok()).unwrap_or(1);
    let count = count * times.max(1);
    let mut failures = Vec::new();
    let mut slowest = Duration::ZERO;
    for seed in from * 1_000_000..from * 1_000_000 + count {
        match schedule(seed, weather, Flaw::None) {
            Ok(took) => slowest = slowest.max(took),
            Err(what) => failures.push(what),
        }
    }
    let first = failures.iter().min_by_key(|what| what.len()).cloned().unwrap_or_default();
    let what: String = failures.iter().filter_map(|what| what.lines().next()).map(|line| format!("{line}\n")).collect();
    assert!(failures.is_empty(), "{} of {count} schedules fail:\n{what}one of them:\n{first}", failures.len());
    assert!(slowest > Duration::ZERO, "nothing was ever to be settled");
    eprintln!("{count} schedules in {weather:?}: everyone agrees after {slowest:?} at most");
}

/// One schedule by its number: `CONCLAVE_SCHEDULE=6000001`.
#[test]
fn the_schedule_that_was_asked_for_holds() {
    let Some(seed) = std::env::var("CONCLAVE_SCHEDULE").ok().and_then(|seed| seed.parse::<u64>().ok()) else { return };
    let weather = match seed / 1_000_000 {
        0..=2 => Weather::Calm,
        3..=5 => Weather::Rough,
        _ => Weather::Storm,
    };
    if let Err(what) = schedule(seed, weather, Flaw::None) {
        panic!("{what}");
    }
}

macro_rules! schedules {
    ($($name:ident: $weather:ident, $from:literal, $count:literal;)*) => {
        $(#[test] fn $name() { all(Weather::$weather, $from, $count); })*
    };
}

schedules! {
    people_come_and_go_and_all_agree_1: Calm, 1, 200;
    people_come_and_go_and_all_agree_2: Calm, 2, 200;
    a_rough_relay_delays_agreement_and_nothing_else_1: Rough, 3, 200;
    a_rough_relay_delays_agreement_and_nothing_else_2: Rough, 4, 200;
    a_rough_relay_delays_agreement_and_nothing_else_3: Rough, 5, 200;
    a_storm_leaves_no_key_where_it_may_not_be_and_all_agree_after_it_1: Storm, 6, 200;
    a_storm_leaves_no_key_where_it_may_not_be_and_all_agree_after_it_2: Storm, 7, 200;
    a_storm_leaves_no_key_where_it_may_not_be_and_all_agree_after_it_3: Storm, 8, 200;
    a_storm_leaves_no_key_where_it_may_not_be_and_all_agree_after_it_4: Storm, 9, 200;
    a_storm_leaves_no_key_where_it_may_not_be_and_all_agree_after_it_5: Storm, 10, 200;
    a_storm_leaves_no_key_where_it_may_not_be_and_all_agree_after_it_6: Storm, 11, 200;
}
