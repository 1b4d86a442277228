//! Each rule of the checker can fail: with a planted mistake, it does.

use std::time::Duration;

use crate::checker::Flaw;
use crate::logs;
use crate::schedule;
use crate::world::{Weather, World};

/// The mistake is found in at least a few of these schedules, and named as what it is.
fn is_found(flaw: Flaw, weather: Weather, named: &str) {
    let found: Vec<String> = (0..40).filter_map(|seed| schedule(seed, weather, flaw).err()).collect();
    let so_called = found.iter().filter(|what| what.contains(named)).count();
    assert!(so_called >= 5, "{flaw:?} is called {named} in {so_called} of 40 schedules, and found in {}", found.len());
}

#[test]
fn a_key_handed_to_somebody_who_is_gone_is_found() {
    is_found(Flaw::KeyForTheGone, Weather::Calm, "hears: ");
}

#[test]
fn a_sender_that_does_not_switch_is_found() {
    is_found(Flaw::NoSwitch, Weather::Calm, "hears: ");
}

#[test]
fn a_key_handed_to_somebody_who_came_later_is_found() {
    is_found(Flaw::KeyOfBefore, Weather::Calm, "before: ");
}

#[test]
fn a_key_that_arrives_changed_is_found() {
    is_found(Flaw::ChangedKey, Weather::Calm, "changed: ");
}

#[test]
fn a_key_of_somebody_who_is_not_in_the_list_is_found() {
    is_found(Flaw::KeyOfAStranger, Weather::Calm, "stranger: ");
}

#[test]
fn an_honest_member_that_is_accused_is_found() {
    is_found(Flaw::Accusation, Weather::Calm, "accused: ");
}

#[test]
fn a_key_that_is_never_forgotten_is_found() {
    is_found(Flaw::KeptKey, Weather::Calm, "kept: ");
}

/// Three in a meeting that are all agreed.
fn three() -> World {
    let mut world = World::new(1, Weather::Calm, Flaw::None);
    for _ in 0..2 {
        world.join();
        world.run_for(Duration::from_secs(2));
    }
    world.settle().unwrap();
    assert_eq!(world.members().len(), 3);
    world
}

#[test]
fn members_that_never_meet_again_are_found() {
    let mut world = three();
    let number = world.net.nodes.len();
    world.join();
    world.net.part(1, number);
    world.run_for(Duration::from_secs(5));
    assert!(world.settle().is_err_and(|what| what.starts_with("unsettled: ")));
}

#[test]
fn a_log_that_was_written_anew_is_found() {
    let world = three();
    let mut all: Vec<(usize, String)> =
        world.members().into_iter().map(|at| (at, world.net.nodes[at].meeting.log().unwrap())).collect();
    assert_eq!(logs::agree(&all), Ok(()));
    let line = all[1].1.lines().find(|line| line.contains(" got 0 ")).unwrap().to_owned();
    let key = line.rsplit(' ').next().unwrap().to_owned();
    all[1].1 = all[1].1.replace(&key, "0000000000000000");
    assert!(logs::agree(&all).is_err_and(|what| what.starts_with("log: 1 got")));
}
