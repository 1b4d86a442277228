//! The buffer against networks of all kinds, on virtual time.

// Figures, for whoever runs them with --nocapture.
#![allow(clippy::print_stdout)]

use super::spread::HISTORY;
use super::*;
use proptest::prelude::*;

struct Seeded(u64);

impl Seeded {
    /// A number in 0..1 (splitmix64).
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Virtual time: packets leave every 20 ms from `first`, arrive after `delay(n)` ms (none: lost), and a speaker
/// pulls every `pull` µs.
struct Line {
    buffer: JitterBuffer,
    start: Instant,
    /// Decoded and not played, in samples.
    carried: usize,
    heard: Vec<(u64, Play)>,
}

impl Line {
    fn run(first: u16, count: u64, pull: u64, voiced: bool, mut arrivals: impl FnMut(u64) -> Vec<f64>) -> Self {
        let start = Instant::now();
        let mut events: Vec<(u64, u64)> = Vec::new();
        for n in 0..count {
            for delay in arrivals(n) {
                events.push((n * 20_000 + (delay * 1_000.0) as u64, n));
            }
        }
        events.sort_unstable();
        let mut line = Self { buffer: JitterBuffer::new(), start, carried: 0, heard: Vec::new() };
        let (mut at, mut event) = (7_000, 0);
        while at < count * 20_000 + 100_000 {
            while event < events.len() && events[event].0 <= at {
                let (when, n) = events[event];
                line.push(when, first, n);
                event += 1;
            }
            line.pull(at, voiced);
            assert!(line.buffer.len() <= CAPACITY);
            at += pull;
        }
        line
    }

    /// Plays a block, decoding as much as it takes. Where the sound is `voiced` only whole periods of 7 ms go in or out.
    fn pull(&mut self, at: u64, voiced: bool) {
        while self.carried < BLOCK {
            let play = self.buffer.pop(self.start + Duration::from_micros(at), self.carried);
            let period = if voiced { 336 } else { 480 };
            self.carried += BLOCK;
            match play {
                Play::Packet { change: Change::Shorten { most }, .. } if most >= period => self.carried -= period,
                Play::Packet { change: Change::Lengthen, .. } => self.carried += period,
                _ => {}
            }
            self.heard.push((at, play));
        }
        self.carried -= BLOCK;
    }

    fn push(&mut self, micros: u64, first: u16, n: u64) {
        let sequence = first.wrapping_add(n as u16);
        let payload = Bytes::from(n.to_be_bytes().to_vec());
        let timestamp = (n as u32).wrapping_mul(BLOCK_TICKS).wrapping_add(77);
        self.buffer.push(self.start + Duration::from_micros(micros), sequence, timestamp, payload);
    }

    fn numbers(&self) -> Vec<u64> {
        self.heard
            .iter()
            .filter_map(|(_, play)| match play {
                Play::Packet { payload, .. } => Some(u64::from_be_bytes(payload[..].try_into().unwrap())),
                _ => None,
            })
            .collect()
    }

    fn not_played_between(&self, from_s: u64, to_s: u64) -> usize {
        let inside = self.heard.iter().filter(|(at, _)| (from_s * 1_000_000..to_s * 1_000_000).contains(at));
        inside.filter(|(_, play)| !matches!(play, Play::Packet { .. })).count()
    }
}

#[test]
fn a_steady_stream_is_played_whole_in_order_and_with_little_delay() {
    let line = Line::run(65_500, 1_000, 20_000, true, |_| vec![30.0]);
    // Once the network is known to be quiet the first, careful delay is shortened by a block.
    let settled: Vec<u64> = line.numbers().into_iter().filter(|n| *n >= 70).collect();
    assert_eq!(settled, (70..1_000).collect::<Vec<_>>());
    assert!(line.buffer.stats().skipped <= 1);
    let stats = line.buffer.stats();
    assert_eq!((stats.lost, stats.late, stats.duplicates), (0, 0, 0));
    assert_eq!(line.not_played_between(2, 19), 0);
    assert_eq!(line.buffer.target(), MIN_TARGET);
    // 30 ms on the way; the packet played must be younger than that and three blocks.
    let (at, last) = line.heard.iter().rev().find(|(_, play)| matches!(play, Play::Packet { .. })).unwrap();
    let Play::Packet { payload, .. } = last else { unreachable!() };
    let number = u64::from_be_bytes(payload[..].try_into().unwrap());
    assert!(at - number * 20_000 <= 30_000 + 60_000);
}

#[test]
fn it_never_starves_once_it_knows_a_bounded_jitter() {
    for (seed, bound) in [(1, 15.0), (2, 40.0), (3, 60.0), (4, 120.0), (5, 180.0)] {
        for quiet in [false, true] {
            let mut random = Seeded(seed);
            let line = Line::run(1, 3_000, 20_000, quiet, |_| vec![20.0 + bound * random.next()]);
            assert_eq!(line.not_played_between(10, 59), 0, "jitter {bound} ms, quiet {quiet}");
            let target = line.buffer.target().as_secs_f64() * 1e3;
            assert!(target <= (bound + 6.0).max(20.0), "jitter {bound} ms, target {target}");
        }
    }
}

#[test]
fn it_grows_within_a_second_and_shrinks_within_fifteen() {
    let mut random = Seeded(9);
    let line = Line::run(1, 3_000, 20_000, true, |n| {
        let bound = if (1_000..1_500).contains(&n) { 100.0 } else { 4.0 };
        vec![20.0 + bound * random.next()]
    });
    // Jitter from 20 s to 30 s; one second later it must be carried, from 45 s on it must be gone.
    assert!(line.not_played_between(20, 21) <= 9);
    assert!(line.not_played_between(22, 29) <= 2);
    let delays_at = |s: u64| {
        let (at, play) =
            line.heard.iter().find(|(at, play)| *at >= s * 1_000_000 && matches!(play, Play::Packet { .. })).unwrap();
        let Play::Packet { payload, .. } = play else { unreachable!() };
        *at as i64 - u64::from_be_bytes(payload[..].try_into().unwrap()) as i64 * 20_000
    };
    assert!(delays_at(18) <= 80_000);
    assert!(delays_at(25) >= 100_000);
    assert!(delays_at(45) <= 80_000, "{}", delays_at(45));
}

#[test]
fn a_lost_packet_is_concealed_once_with_the_next_at_hand() {
    let line = Line::run(1, 500, 20_000, false, |n| if n % 10 == 5 { vec![] } else { vec![20.0] });
    let stats = line.buffer.stats();
    assert_eq!(stats.lost, 50);
    let settled: Vec<_> = line.heard.iter().filter(|(at, _)| (2_000_000..9_000_000).contains(at)).collect();
    let concealed = settled.iter().filter(|(_, p)| matches!(p, Play::Conceal { next: Some(_) })).count();
    assert_eq!(concealed, 35);
    assert_eq!(settled.iter().filter(|(_, p)| matches!(p, Play::Conceal { next: None } | Play::Silence)).count(), 0);
    assert!(line.numbers().windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn loss_reordering_and_duplicates_at_once_keep_the_order() {
    for seed in 0..20 {
        let mut random = Seeded(seed);
        let line = Line::run(65_000, 2_000, 20_000, false, |_| {
            let copies = if random.next() < 0.1 { 2 } else { 1 };
            let lost = random.next() < 0.1;
            (0..if lost { 0 } else { copies }).map(|_| 20.0 + 70.0 * random.next()).collect()
        });
        let numbers = line.numbers();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "seed {seed}");
        let stats = line.buffer.stats();
        assert!(numbers.len() as u64 > 1_700, "seed {seed}: {} {stats:?}", numbers.len());
        assert!(stats.duplicates > 100, "seed {seed}");
        let accounted = stats.played + stats.late + stats.duplicates + stats.skipped + line.buffer.len() as u64;
        assert_eq!(stats.received, accounted, "seed {seed}: {stats:?}");
    }
}

#[test]
fn a_sender_with_another_clock_is_followed_for_hours() {
    for pull in [19_990, 20_010, 19_900, 20_100] {
        let line = Line::run(1, 30_000, pull, false, |_| vec![20.0]);
        let stats = line.buffer.stats();
        let ideal = (line.heard.len() as i64 - 30_000).unsigned_abs();
        assert!(stats.skipped + stats.concealed <= ideal + 20, "pull {pull}: {stats:?}");
        assert!(line.buffer.len() <= 12, "pull {pull}: {}", line.buffer.len());
        assert!(stats.played > 29_000);
    }
}

#[test]
fn a_speaker_that_pulls_two_blocks_at_a_time_is_served() {
    let mut line = Line { buffer: JitterBuffer::new(), start: Instant::now(), carried: 0, heard: Vec::new() };
    let mut concealed_late = 0;
    for n in 0..2_000u64 {
        line.push(n * 20_000, 5, n);
        if n % 2 == 1 {
            for _ in 0..2 {
                let before = line.heard.len();
                line.pull(n * 20_000 + 3_000, true);
                let made_up = line.heard[before..].iter().filter(|(_, play)| !matches!(play, Play::Packet { .. }));
                if n > 500 {
                    concealed_late += made_up.count();
                }
            }
        }
    }
    assert_eq!(concealed_late, 0);
}

#[test]
fn after_an_outage_it_picks_up_again() {
    let line = Line::run(1, 1_500, 20_000, false, |n| if (500..700).contains(&n) { vec![] } else { vec![20.0] });
    assert!(line.heard.iter().any(|(at, p)| (10_700_000..13_900_000).contains(at) && matches!(p, Play::Silence)));
    assert_eq!(line.not_played_between(15, 29), 0);
    let before_the_end = line.heard.iter().filter(|(at, _)| *at < 29_000_000);
    let concealed = before_the_end.filter(|(_, p)| matches!(p, Play::Conceal { .. })).count();
    assert!(concealed <= MAX_DRY as usize + 2, "an outage is not concealed for four seconds");
}

#[test]
fn a_burst_after_a_stall_does_not_leave_the_delay_behind() {
    // 600 ms of nothing, then everything at once.
    let line = Line::run(1, 2_000, 20_000, false, |n| {
        vec![if (500..530).contains(&n) { 20.0 + (530 - n) as f64 * 20.0 } else { 20.0 }]
    });
    assert_eq!(line.not_played_between(25, 39), 0);
    let (at, play) = line.heard.iter().rev().find(|(_, p)| matches!(p, Play::Packet { .. })).unwrap();
    let Play::Packet { payload, .. } = play else { unreachable!() };
    let delay = *at as i64 - u64::from_be_bytes(payload[..].try_into().unwrap()) as i64 * 20_000;
    assert!(delay <= 120_000, "{delay}");
}

#[test]
fn a_sender_that_begins_anew_is_heard_after_two_packets() {
    let mut line = Line { buffer: JitterBuffer::new(), start: Instant::now(), carried: 0, heard: Vec::new() };
    for n in 0..100 {
        line.push(n * 20_000, 40_000, n);
        line.pull(n * 20_000 + 5_000, false);
    }
    let played = line.buffer.stats().played;
    for n in 100..150 {
        line.push(n * 20_000, 20_000u16.wrapping_sub(100), n);
        line.pull(n * 20_000 + 5_000, false);
    }
    assert!(line.buffer.stats().played >= played + 40, "{:?}", line.buffer.stats());
    assert_eq!(line.buffer.stats().restarts, 1);
}

#[test]
fn packets_no_opus_encoder_makes_are_refused() {
    let mut buffer = JitterBuffer::new();
    buffer.push(Instant::now(), 1, 960, Bytes::new());
    buffer.push(Instant::now(), 1, 960, Bytes::from(vec![0; MAX_PACKET + 1]));
    assert_eq!((buffer.stats().refused, buffer.len()), (2, 0));
}

/// Every packet carries those that lie `distances` back; a share of them is lost, in bursts of `burst` on average.
fn with_copies(distances: &[u64], loss: f64, burst: f64, jitter: f64, seed: u64) -> Line {
    let mut random = Seeded(seed);
    let mut line = Line { buffer: JitterBuffer::new(), start: Instant::now(), carried: 0, heard: Vec::new() };
    let (mut arrivals, mut losing) = (Vec::new(), false);
    for n in 0..3_000u64 {
        let chance = if losing { 1.0 - 1.0 / burst } else { loss / burst / (1.0 - loss) };
        losing = random.next() < chance;
        if !losing {
            arrivals.push((n * 20_000 + 20_000 + (jitter * random.next() * 1_000.0) as u64, n));
        }
    }
    arrivals.sort_unstable();
    let mut arrivals = arrivals.into_iter().peekable();
    for block in 0..3_000u64 {
        let at = block * 20_000 + 7_000;
        while let Some((when, n)) = arrivals.next_if(|(when, _)| *when <= at) {
            line.push(when, 1, n);
            for distance in distances.iter().filter(|distance| **distance <= n) {
                let payload = Bytes::from((n - distance).to_be_bytes().to_vec());
                line.buffer.push_copy(1 + n as u16, *distance as u8, payload);
            }
        }
        line.pull(at, true);
    }
    line
}

#[test]
fn copies_make_up_for_what_the_network_loses() {
    for (distances, loss, burst) in
        [(&[1, 3][..], 0.1, 1.0), (&[1, 3], 0.08, 2.0), (&[2], 0.03, 1.0), (&[2], 0.03, 2.0)]
    {
        for jitter in [0.0, 40.0] {
            let line = with_copies(distances, loss, burst, jitter, 5);
            let stats = line.buffer.stats();
            let made_up = line.not_played_between(10, 59) as f64 / 2_450.0;
            println!(
                "{distances:?}, loss {loss} in bursts of {burst}, jitter {jitter}: {made_up:.4}, {:?}",
                line.buffer.target()
            );
            assert!(made_up <= 0.01, "{distances:?} {loss} {burst} {jitter}: {made_up} {stats:?}");
            assert!(stats.recovered > 50, "{stats:?}");
            assert!(line.numbers().windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}

#[test]
fn nobody_waits_for_copies_where_nothing_is_lost() {
    let line = with_copies(&[1, 3], 0.0, 1.0, 0.0, 5);
    assert_eq!(line.buffer.target(), MIN_TARGET);
    assert_eq!(line.buffer.stats().recovered, 0);
}

#[test]
fn a_copy_neither_replaces_nor_precedes_an_original() {
    let start = Instant::now();
    let mut buffer = JitterBuffer::new();
    let payload = |text: &'static str| Bytes::from_static(text.as_bytes());
    buffer.push_copy(9, 1, payload("copy of what is not known"));
    assert!(buffer.is_empty());
    buffer.push(start, 10, 0, payload("10"));
    buffer.push(start, 12, 1_920, payload("12"));
    buffer.push_copy(12, 2, payload("copy of 10"));
    buffer.push_copy(12, 1, payload("copy of 11"));
    for distance in [0, 9, 255] {
        buffer.push_copy(12, distance, payload("too far"));
    }
    assert_eq!((buffer.len(), buffer.stats().received), (3, 2));
    // The original comes late, and counts.
    buffer.push(start, 11, 960, payload("11"));
    assert_eq!((buffer.len(), buffer.stats().received, buffer.stats().duplicates), (3, 3, 0));
    buffer.push_copy(12, 1, payload("copy of 11"));
    let mut heard = Vec::new();
    for n in 0..8 {
        if let Play::Packet { payload, .. } = buffer.pop(start + Duration::from_millis(60 + 20 * n), 0) {
            heard.push(payload);
        }
    }
    assert_eq!(heard, ["10", "11", "12"]);
    assert_eq!(buffer.stats().recovered, 0);
}

proptest! {
    #[test]
    fn hostile_numbers_and_times_stay_bounded(
        packets in proptest::collection::vec((any::<u16>(), any::<u32>(), 0u64..400_000, 0usize..5_000), 0..600),
    ) {
        let start = Instant::now();
        let mut buffer = JitterBuffer::new();
        let mut at = 0;
        for (sequence, timestamp, wait, carried) in packets {
            at += wait;
            buffer.push(start + Duration::from_micros(at), sequence, timestamp, Bytes::from_static(b"x"));
            buffer.pop(start + Duration::from_micros(at / 2), carried);
            buffer.push_copy(sequence, timestamp as u8, Bytes::from_static(b"z"));
            prop_assert!(buffer.len() <= CAPACITY);
            prop_assert!(buffer.spread.len() <= HISTORY);
            prop_assert!((MIN_TARGET..=MAX_TARGET).contains(&buffer.target()));
        }
        // An honest stream after that is heard again.
        let played = buffer.stats().played;
        for n in 0..200u64 {
            let now = start + Duration::from_micros(at + n * 20_000);
            buffer.push(now, n as u16, n as u32 * BLOCK_TICKS, Bytes::from_static(b"y"));
            buffer.pop(now, 0);
        }
        prop_assert!(buffer.stats().played > played + 60, "{:?}", buffer.stats());
    }
}
