//! The choice of sizes in virtual time: no flapping, nobody drags the others, and never more than a path carries.

use super::*;

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

fn camera() -> Vec<Step> {
    ladder((1280, 720), 30, Content::Camera)
}

fn want(budget: Option<u32>) -> Want {
    let ladder = camera();
    Want { carries: Chooser::default().choose(Instant::now(), &ladder, budget), asks: 0, budget, had: None }
}

fn heights(ladder: &[Step]) -> Vec<(usize, u32)> {
    ladder.iter().map(|step| (step.height, step.fps)).collect()
}

#[test]
fn a_camera_gets_smaller_before_slower_and_a_screen_slower_before_smaller() {
    let smooth = [(720, 30), (540, 30), (360, 30), (270, 30), (180, 30), (180, 20), (180, 15), (180, 10), (180, 5)];
    assert_eq!(heights(&camera()), smooth);
    let sharp = [(720, 30), (720, 20), (720, 15), (720, 10), (720, 5), (540, 5), (360, 5), (270, 5), (180, 5)];
    assert_eq!(heights(&ladder((1280, 720), 30, Content::Screen)), sharp);
    assert_eq!(heights(&ladder((160, 96), 15, Content::Camera)), [(96, 15), (96, 10), (96, 5)]);
}

#[test]
fn every_step_is_even_and_needs_less_than_the_one_above_it() {
    for source in [(1280, 720), (1920, 1080), (640, 480), (640, 360), (320, 180), (64, 64), (2, 2)] {
        for content in [Content::Camera, Content::Screen] {
            let steps = ladder(source, 30, content);
            assert!(steps.iter().all(|step| step.width % 2 == 0 && step.height % 2 == 0), "{steps:?}");
            assert!(steps.windows(2).all(|pair| pair[1].needs() < pair[0].needs()), "{steps:?}");
            assert!(steps.windows(2).all(|pair| pair[1].slot >= pair[0].slot), "{steps:?}");
        }
    }
}

#[test]
fn a_fall_comes_at_once_and_a_rise_after_three_seconds_of_room_as_far_as_there_was_room_throughout() {
    let (steps, start, mut chooser) = (camera(), Instant::now(), Chooser::default());
    assert_eq!(chooser.choose(start, &steps, Some(2_000_000)), 0);
    assert_eq!(steps[chooser.choose(start + ms(100), &steps, Some(320_000))].height, 360);
    let at =
        |chooser: &mut Chooser, millis, budget| steps[chooser.choose(start + ms(millis), &steps, Some(budget))].height;
    assert_eq!(at(&mut chooser, 11_000, 800_000), 360);
    assert_eq!(at(&mut chooser, 12_500, 2_000_000), 360);
    assert_eq!(at(&mut chooser, 13_900, 2_000_000), 360);
    assert_eq!(at(&mut chooser, 14_000, 2_000_000), 540, "what there was room for all the time");
    assert_eq!(at(&mut chooser, 14_100, 2_000_000), 540);
    assert_eq!(at(&mut chooser, 17_100, 2_000_000), 720);
}

#[test]
fn a_new_path_that_turns_out_to_be_wide_has_the_full_size_within_three_seconds() {
    let (steps, start, mut chooser) = (camera(), Instant::now(), Chooser::default());
    assert_eq!(steps[chooser.choose(start, &steps, Some(310_000))].height, 360);
    // The estimate grows by a tenth in each tenth of a second.
    let heights: Vec<usize> = (1..=28)
        .map(|tick| {
            let budget = (310_000.0 * 1.1f64.powi(tick)).min(2_000_000.0);
            steps[chooser.choose(start + ms(tick as u64 * 100), &steps, Some(budget as u32))].height
        })
        .collect();
    assert_eq!(heights.last(), Some(&720), "{heights:?}");
}

#[test]
fn a_budget_that_wobbles_around_a_threshold_does_not_make_the_size_flap() {
    let (steps, start, mut chooser) = (camera(), Instant::now(), Chooser::default());
    let threshold = steps[0].needs();
    let mut changes = 0;
    let mut before = chooser.choose(start, &steps, Some(threshold));
    // Ten minutes, each half second another budget within ten per cent of the threshold.
    for tick in 1..1200u64 {
        let budget = u64::from(threshold) * (90 + tick * 7919 % 21) / 100;
        let step = chooser.choose(start + ms(tick * 500), &steps, Some(budget as u32));
        changes += u32::from(step != before);
        before = step;
    }
    assert_eq!(changes, 1, "down once, and there it stays");
}

#[test]
fn a_path_that_lets_down_every_rise_is_tried_less_and_less_often() {
    let (steps, start, mut chooser) = (camera(), Instant::now(), Chooser::default());
    chooser.choose(start, &steps, Some(400_000));
    let mut rises = Vec::new();
    let mut before = 2;
    for tick in 0..2400u64 {
        // As soon as the larger picture is sent, the path turns out not to carry it.
        let budget = if before < 2 { 350_000 } else { 1_200_000 };
        let step = chooser.choose(start + ms(tick * 100), &steps, Some(budget));
        if step < before {
            rises.push(tick / 10);
        }
        before = step;
    }
    let waits: Vec<u64> = rises.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits.windows(2).all(|pair| pair[1] + 1 >= pair[0]), "{waits:?}");
    assert!(rises.len() < 14 && *waits.last().unwrap() >= 24, "{waits:?}");
}

#[test]
fn the_smallest_step_that_fills_a_tile_is_taken_whatever_number_was_asked_for() {
    let steps = camera();
    let height = |lines| steps[step_for_lines(&steps, lines)].height;
    let got: Vec<usize> = [1, 100, 180, 181, 300, 400, 720, 721, u32::MAX].into_iter().map(height).collect();
    assert_eq!(got, [180, 180, 180, 270, 360, 540, 720, 720, 720]);
    assert_eq!(steps[step_for_lines(&steps, 180)].fps, 30);
}

#[test]
fn one_receiver_has_one_layer_of_the_size_its_path_carries() {
    for (budget, height) in
        [(None, 720), (Some(1_500_000), 720), (Some(600_000), 540), (Some(310_000), 360), (Some(1), 180)]
    {
        let (layers, slots) = share_out(&[want(budget)], &camera(), 0, 2_000_000);
        assert_eq!((layers.len(), layers[0].height), (1, height), "{budget:?}");
        assert_eq!(slots, [layers[0].slot]);
        assert!(layers[0].bitrate <= budget.unwrap_or(u32::MAX).max(LEAST_BITRATE));
    }
}

#[test]
fn one_slow_receiver_does_not_drag_the_others() {
    for slow in [20_000, 60_000, 150_000, 400_000, 700_000, 1_000_000] {
        let wants = [want(Some(2_500_000)), want(Some(slow)), want(None), want(Some(2_000_000))];
        let (layers, slots) = share_out(&wants, &camera(), 0, 2_000_000);
        let of = |at: usize| layers.iter().find(|layer| layer.slot == slots[at]).copied().unwrap();
        for fast in [0, 2, 3] {
            assert_eq!((of(fast).height, of(fast).fps), (720, 30), "{slow}: {layers:?}");
            assert!(of(fast).bitrate >= 1_900_000, "{slow}: {layers:?}");
        }
        assert!(of(1).height < 720 && of(1).bitrate <= slow.max(LEAST_BITRATE), "{slow}: {layers:?}");
    }
}

#[test]
fn whoever_shows_pictures_small_is_not_held_back_by_a_path_that_carries_next_to_nothing() {
    let small = Want { asks: step_for_lines(&camera(), 180), ..want(Some(2_000_000)) };
    let (layers, slots) = share_out(&[small, small, want(Some(40_000))], &camera(), 0, 2_000_000);
    let of = |at: usize| layers.iter().find(|layer| layer.slot == slots[at]).copied().unwrap();
    assert!(of(0).bitrate > 150_000 && of(1) == of(0), "{layers:?}");
    assert!(of(2).bitrate <= 40_000, "{layers:?}");
}

#[test]
fn a_small_wish_gets_a_small_layer_beside_a_large_one() {
    let small = Want { asks: step_for_lines(&camera(), 150), ..want(None) };
    let (layers, slots) = share_out(&[want(None), small], &camera(), 0, 2_000_000);
    assert_eq!(layers.iter().map(|layer| layer.height).collect::<Vec<_>>(), [720, 180]);
    assert_eq!(slots, [0, 2]);
    // A tile between two sizes of one layer takes the larger, which is made anyway and fits its path.
    let middling = Want { asks: step_for_lines(&camera(), 500), ..want(Some(1_500_000)) };
    let (layers, _) = share_out(&[want(None), middling], &camera(), 0, 2_000_000);
    assert_eq!(layers.len(), 1);
}

#[test]
fn no_receiver_is_ever_sent_more_than_its_path_carries_and_three_layers_are_the_most() {
    let mut state = 0x1234_5678u32;
    let mut roll = |below: u32| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state % below
    };
    for _ in 0..2000 {
        let content = if roll(2) == 0 { Content::Camera } else { Content::Screen };
        let ladder = ladder([(1280, 720), (640, 360), (320, 180), (64, 64)][roll(4) as usize], 30, content);
        let wants: Vec<Want> = (0..1 + roll(8))
            .map(|_| {
                let budget = (roll(4) > 0).then(|| roll(3_000_000));
                let carries = Chooser::default().choose(Instant::now(), &ladder, budget);
                let had = (roll(2) == 0).then(|| roll(3) as usize);
                Want { carries, asks: step_for_lines(&ladder, 1 + roll(900)), budget, had }
            })
            .collect();
        let (layers, slots) = share_out(&wants, &ladder, roll(3) as usize, 2_000_000);
        assert!(layers.len() <= LAYERS);
        for (want, slot) in wants.iter().zip(&slots) {
            let layer = layers.iter().find(|layer| layer.slot == *slot).unwrap();
            assert!(layer.bitrate <= want.budget.unwrap_or(u32::MAX).max(LEAST_BITRATE), "{wants:?} {layers:?}");
            assert!(ladder.iter().any(|step| (step.width, step.height) == (layer.width, layer.height)));
        }
    }
}

#[test]
fn an_overloaded_processor_gets_less_to_do_and_more_only_after_a_calm_that_grows_with_each_relapse() {
    let (start, mut load, steps) = (Instant::now(), Workload::default(), camera());
    let interval = ms(33);
    let mut now = start;
    let mut run = |load: &mut Workload, seconds: u64, spent: Duration| {
        for _ in 0..seconds * 30 {
            now += interval;
            load.handle_encoded(now, spent, interval, 0);
        }
    };
    run(&mut load, 60, ms(20));
    assert!(!load.is_overloaded(), "two thirds are borne");
    run(&mut load, 10, ms(40));
    assert!(load.is_overloaded() && load.most_fps() <= 20);
    run(&mut load, 20, ms(40));
    assert_eq!((load.most_fps(), steps[load.first_step(&steps)].height), (15, 180));
    run(&mut load, 8, ms(5));
    assert!(load.is_overloaded(), "not back yet");
    run(&mut load, 60, ms(5));
    assert!(!load.is_overloaded());
    run(&mut load, 10, ms(40));
    run(&mut load, 14, ms(5));
    assert!(load.is_overloaded(), "after a relapse it waits longer than the first time");
}

#[test]
fn pictures_that_are_overtaken_before_they_are_encoded_are_a_sign_of_overload_too() {
    let (mut now, mut load) = (Instant::now(), Workload::default());
    for _ in 0..300 {
        now += ms(66);
        load.handle_encoded(now, ms(5), ms(33), 1);
    }
    assert!(load.is_overloaded());
}

#[test]
fn pictures_too_rich_for_their_rate_are_thinned_until_the_rate_holds() {
    let (start, mut bucket) = (Instant::now(), Bucket::default());
    let mut sent = 0;
    for tick in 0..300 {
        if !bucket.is_full(start + ms(tick * 33), 300_000) {
            bucket.add(10_000);
            sent += 10_000 * 8;
        }
    }
    assert!((2_700_000..3_300_000).contains(&sent), "{sent} bits in ten seconds at 300 kbit/s");
    assert!(!bucket.is_hopeless(300_000));
    bucket.add(120_000);
    assert!(bucket.is_hopeless(300_000));
}
