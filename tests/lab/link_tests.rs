//! What must be true of the emulated link, in virtual time.

use std::time::Duration;

use super::link::{Link, Settings};
use super::record::Fate;

const SEED: u64 = 7;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn link(settings: &str) -> Link {
    scheduled(settings, &[])
}

fn scheduled(settings: &str, schedule: &[(u64, &str)]) -> Link {
    let mut read = Settings::default();
    read.apply(settings).unwrap();
    let schedule = schedule.iter().map(|(at, change)| (ms(*at), (*change).to_owned())).collect();
    let mut link = Link::new(SEED, read, schedule).unwrap();
    link.begin(Duration::ZERO);
    link
}

/// A packet of `size` bytes that says its number.
fn packet(number: u32, size: usize) -> Vec<u8> {
    let mut packet = vec![0; size];
    packet[..4].copy_from_slice(&number.to_be_bytes());
    packet
}

fn number(packet: &[u8]) -> u32 {
    u32::from_be_bytes(packet[..4].try_into().unwrap())
}

/// Sends `count` packets of `size` bytes, one each `every`; gives the moments of arrival with their numbers.
fn send(link: &mut Link, count: u32, size: usize, every: Duration) -> Vec<(Duration, u32)> {
    let mut arrived = Vec::new();
    let mut take = |link: &mut Link, until: Duration| {
        while let Some(at) = link.poll_timeout().filter(|at| *at <= until) {
            while let Some(packet) = link.poll_packet(at) {
                arrived.push((at, number(&packet)));
            }
        }
    };
    for index in 0..count {
        let now = every * index;
        take(link, now);
        link.handle_packet(now, packet(index, size));
    }
    take(link, Duration::from_secs(3600));
    arrived
}

#[test]
fn a_link_without_settings_carries_everything_at_once_and_in_order() {
    let arrived = send(&mut link(""), 100, 500, ms(1));
    assert_eq!(arrived, (0..100).map(|index| (ms(index.into()), index)).collect::<Vec<_>>());
}

#[test]
fn the_bottleneck_carries_its_rate_and_no_more() {
    let mut link = link("rate=1000,queue=300,delay=20");
    // 2 Mbit/s into 1 Mbit/s for ten seconds.
    let arrived = send(&mut link, 2000, 1250, ms(5));
    let in_time = arrived.iter().filter(|(at, _)| *at <= ms(10_000)).count();
    assert!((990..=1000).contains(&in_time), "{in_time} packets of 10 kbit in 10 s");
    let summary = link.records().summary(ms(10_000));
    let most = summary["queued_ms"]["most"].as_f64().unwrap();
    assert!((295.0..=320.0).contains(&most), "{most} ms in a queue of 300");
    assert!(summary["refused"].as_u64().unwrap() > 900);
    for carried in &summary["carried_bytes_by_second"].as_array().unwrap()[1..] {
        assert!((122_000..=126_250).contains(&carried.as_u64().unwrap()), "{carried} bytes in a second");
    }
}

#[test]
fn a_queue_is_bounded_by_bytes_as_well() {
    let mut link = link("rate=100,queue=100000,bytes=5000");
    for index in 0..1000 {
        link.handle_packet(Duration::ZERO, packet(index, 1000));
        assert!(link.backlog() <= 5000);
    }
    assert_eq!(link.records().all().iter().filter(|record| record.fate == Fate::Refused).count(), 995);
}

#[test]
fn loss_comes_at_its_share_and_the_same_for_the_same_seed() {
    let run = || send(&mut link("loss=5"), 20_000, 100, ms(1));
    let arrived = run();
    assert!((18_900..19_100).contains(&arrived.len()), "{}", arrived.len());
    assert_eq!(arrived, run());
}

#[test]
fn another_setting_leaves_the_pattern_of_loss_as_it_was() {
    let numbers = |settings: &str| -> Vec<u32> {
        let mut numbers: Vec<u32> =
            send(&mut link(settings), 2000, 100, ms(10)).into_iter().map(|(_, number)| number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    };
    assert_eq!(numbers("loss=10"), numbers("loss=10,jitter=8,reorder=1,duplicate=20,delay=30"));
}

#[test]
fn bursts_have_the_length_and_the_share_that_were_asked_for() {
    // Into a burst with 1 in 128, out of it with 1 in 4: four packets long, three in a hundred lost.
    let mut link = link("bad=0.78,good=25");
    send(&mut link, 100_000, 100, ms(1));
    let lost: Vec<bool> = link.records().all().iter().map(|record| record.fate == Fate::Lost).collect();
    let share = lost.iter().filter(|lost| **lost).count() as f64 / lost.len() as f64;
    let bursts = lost.windows(2).filter(|pair| pair[1] && !pair[0]).count();
    let length = share * lost.len() as f64 / bursts as f64;
    assert!((0.026..0.035).contains(&share), "{share}");
    assert!((3.6..4.4).contains(&length), "{length}");
}

#[test]
fn jitter_stays_in_its_bounds_and_reorders_only_if_asked() {
    let ordered = send(&mut link("delay=50,jitter=20"), 2000, 100, ms(2));
    assert!(ordered.is_sorted_by_key(|(_, number)| *number));
    let arrived = send(&mut link("delay=50,jitter=20,reorder=1"), 2000, 100, ms(2));
    assert!(!arrived.is_sorted_by_key(|(_, number)| *number));
    for (at, number) in arrived {
        let way = at - ms(2) * number;
        assert!(way >= ms(30) && way <= ms(70), "{way:?}");
    }
}

#[test]
fn duplicates_come_at_their_share() {
    let arrived = send(&mut link("duplicate=10"), 10_000, 100, ms(1));
    assert!((10_900..11_100).contains(&arrived.len()), "{}", arrived.len());
}

#[test]
fn a_schedule_changes_the_rate_at_its_moment_and_back() {
    let mut link = scheduled("rate=2000,queue=100", &[(1000, "rate=300"), (3000, "rate=2000")]);
    send(&mut link, 4000, 1250, ms(1));
    let summary = link.records().summary(ms(4000));
    let carried: Vec<u64> =
        summary["carried_bytes_by_second"].as_array().unwrap().iter().map(|bytes| bytes.as_u64().unwrap()).collect();
    for (second, rate) in [2000, 300, 300, 2000].into_iter().enumerate() {
        let kilobits = carried[second] * 8 / 1000;
        assert!(kilobits.abs_diff(rate) <= rate / 20 + 10, "{kilobits} kbit in second {second} at {rate} kbit/s");
    }
}

#[test]
fn what_was_sent_before_the_beginning_does_not_count() {
    let mut link = link("rate=100,queue=5000");
    for index in 0..20 {
        link.handle_packet(ms(1), packet(index, 1000));
    }
    link.begin(ms(500));
    link.handle_packet(ms(600), packet(99, 1000));
    while link.poll_packet(ms(5000)).is_some() {}
    assert_eq!(link.records().all().len(), 1);
}

#[test]
fn settings_that_are_not_understood_are_refused() {
    for bad in ["delay", "delay=x", "weather=3", "loss=-1", "rate=inf", "delay=NaN"] {
        assert!(Settings::default().apply(bad).is_err(), "{bad}");
        assert!(Link::new(SEED, Settings::default(), vec![(ms(1), bad.to_owned())]).is_err(), "{bad}");
    }
}
