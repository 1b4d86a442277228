//! A bottleneck in virtual time, with senders, receivers and an encoder that follows its target.
//! The tests print their figures: they are what the documents quote.
#![allow(clippy::print_stdout)]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::feedback::{ArrivalLog, Report};
use super::sender::Sender;
use super::{Limits, Stream, WIRE_BYTES};
use crate::transport::loss::LossLog;

const MS: Duration = Duration::from_millis(1);

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The bottleneck and what lies around it.
#[derive(Clone)]
struct Link {
    /// Bits per second from this second on.
    rates: Vec<(f64, f64)>,
    /// Longest queue, at the present rate.
    queue_ms: f64,
    one_way_ms: u64,
    /// Random loss on the way there and back.
    loss: f64,
    back_loss: f64,
    /// Loss comes in runs of this many packets on average.
    burst: f64,
    /// Jitter added before the bottleneck, without reordering.
    jitter_ms: u64,
    /// No feedback gets through in these seconds.
    deaf: (f64, f64),
}

fn link(bps: f64) -> Link {
    Link {
        rates: vec![(0.0, bps)],
        queue_ms: 300.0,
        one_way_ms: 20,
        loss: 0.0,
        back_loss: 0.0,
        burst: 1.0,
        jitter_ms: 0,
        deaf: (0.0, 0.0),
    }
}

#[derive(Clone)]
struct Wire {
    flow: usize,
    stream: Stream,
    sequence: u64,
    bytes: u32,
    original: Option<u16>,
}

/// An encoder at 30 frames a second whose frames vary, with key frames of six times the mean.
struct Encoder {
    most: f64,
    target: f64,
    next: u64,
    debt: f64,
    key: bool,
    last_key: u64,
}

struct Call {
    sender: Sender,
    log: ArrivalLog,
    loss: LossLog,
    encoder: Encoder,
    sound_at: u64,
    sound: u16,
    sound_in: Vec<(u64, u64)>,
    sound_sent: Vec<u64>,
    from: u64,
}

/// A sender like TCP's Reno: slow start, one more packet each round trip, half of it on loss.
struct Reno {
    window: f64,
    threshold: f64,
    next: u64,
    flying: VecDeque<(u64, u64)>,
    recover: u64,
    from: u64,
}

enum Flow {
    Call(Box<Call>),
    Reno(Reno),
}

fn call(most: f64, from_ms: u64, start: Instant, number: u32) -> Flow {
    let ssrcs = [1, 2, 3].map(|n| n + 10 * number);
    let encoder = Encoder { most, target: 500e3, next: from_ms, debt: 0.0, key: true, last_key: 0 };
    Flow::Call(Box::new(Call {
        sender: Sender::new(start, Limits::default(), ssrcs),
        log: ArrivalLog::new(start),
        loss: LossLog::new(),
        encoder,
        sound_at: from_ms,
        sound: 0,
        sound_in: Vec::new(),
        sound_sent: Vec::new(),
        from: from_ms,
    }))
}

fn reno(from: u64) -> Flow {
    Flow::Reno(Reno { window: 10.0, threshold: 1e9, next: 0, flying: VecDeque::new(), recover: 0, from })
}

enum Back {
    Report(Report),
    Missing(Vec<u16>),
    Ack(u64),
}

/// What a run saw.
#[derive(Default)]
struct Seen {
    /// Bytes delivered in each tenth of a second, for each flow.
    delivered: Vec<Vec<f64>>,
    /// Time of leaving the queue and time in it, milliseconds.
    queued: Vec<(u64, f64)>,
    /// Estimates in each tenth of a second, for each flow.
    estimates: Vec<Vec<f64>>,
    dropped: u64,
    sound_worst: u64,
    sound_lost: f64,
    /// Milliseconds in which a sender believed in a rival.
    contested: u64,
}

impl Seen {
    fn rate(&self, flow: usize, from_s: f64, to_s: f64) -> f64 {
        let part = &self.delivered[flow][(from_s * 10.0) as usize..(to_s * 10.0) as usize];
        part.iter().sum::<f64>() * 8.0 / (to_s - from_s)
    }

    fn queue_ms(&self, share: f64, from_s: f64, to_s: f64) -> f64 {
        let (from, to) = ((from_s * 1e3) as u64, (to_s * 1e3) as u64);
        let mut all: Vec<f64> = self.queued.iter().filter(|(at, _)| (from..to).contains(at)).map(|q| q.1).collect();
        all.sort_by(f64::total_cmp);
        all[((all.len() - 1) as f64 * share) as usize]
    }
}

fn run(link: &Link, mut flows: Vec<Flow>, seconds: u64, start: Instant, seed: u64) -> Seen {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut queue: VecDeque<(Wire, u64)> = VecDeque::new();
    let mut queued_bytes = 0.0;
    let mut there: VecDeque<(u64, Wire)> = VecDeque::new();
    let mut back: VecDeque<(u64, usize, Back)> = VecDeque::new();
    let mut before: VecDeque<(u64, Wire)> = VecDeque::new();
    let mut credit = 0.0;
    let mut burst_left = false;
    let mut seen =
        Seen { delivered: vec![vec![]; flows.len()], estimates: vec![vec![]; flows.len()], ..Seen::default() };
    for ms in 0..seconds * 1000 {
        let now = start + MS * ms as u32;
        let rate = link.rates.iter().rev().find(|(at, _)| *at * 1e3 <= ms as f64).map_or(1e6, |r| r.1);
        if ms % 100 == 0 {
            for (delivered, estimates) in seen.delivered.iter_mut().zip(&mut seen.estimates) {
                delivered.push(0.0);
                estimates.push(0.0);
            }
        }
        // What the flows send.
        let mut leaving: Vec<Wire> = Vec::new();
        for (number, flow) in flows.iter_mut().enumerate() {
            match flow {
                Flow::Call(call) => {
                    call.send(ms, now, number, &mut leaving, &mut dice);
                    seen.contested += u64::from(call.sender.estimator().contested());
                    if let Some(last) = seen.estimates[number].last_mut() {
                        *last = call.sender.estimator().bps();
                    }
                }
                Flow::Reno(reno) => reno.send(ms, number, &mut leaving),
            }
        }
        for wire in leaving {
            let jitter = (dice.roll() * (link.jitter_ms + 1) as f64) as u64;
            let at = before.back().map_or(ms + jitter, |(last, _)| (ms + jitter).max(*last));
            before.push_back((at, wire));
        }
        // Loss, then the queue.
        while before.front().is_some_and(|(at, _)| *at <= ms) {
            let Some((_, wire)) = before.pop_front() else { break };
            burst_left = match burst_left {
                true => dice.roll() > 1.0 / link.burst,
                false => dice.roll() < link.loss / link.burst,
            };
            if burst_left || (queued_bytes + f64::from(wire.bytes)) * 8.0 / rate * 1e3 > link.queue_ms {
                seen.dropped += 1;
                continue;
            }
            queued_bytes += f64::from(wire.bytes);
            queue.push_back((wire, ms));
        }
        credit += rate / 1e3;
        while queue.front().is_some_and(|(wire, _)| f64::from(wire.bytes) * 8.0 <= credit) {
            let Some((wire, since)) = queue.pop_front() else { break };
            credit -= f64::from(wire.bytes) * 8.0;
            queued_bytes -= f64::from(wire.bytes);
            seen.queued.push((ms, (ms - since) as f64));
            there.push_back((ms + link.one_way_ms, wire));
        }
        if queue.is_empty() {
            credit = credit.min(rate / 1e3);
        }
        // What arrives there.
        while there.front().is_some_and(|(at, _)| *at <= ms) {
            let Some((_, wire)) = there.pop_front() else { break };
            if let Some(last) = seen.delivered[wire.flow].last_mut() {
                *last += f64::from(wire.bytes);
            }
            match &mut flows[wire.flow] {
                Flow::Call(call) => call.receive(ms, now, &wire),
                Flow::Reno(_) => back.push_back((ms + link.one_way_ms, wire.flow, Back::Ack(wire.sequence))),
            }
        }
        for (number, flow) in flows.iter_mut().enumerate() {
            let Flow::Call(call) = flow else { continue };
            if let Some(report) = call.log.report(now) {
                let deaf = (link.deaf.0 * 1e3..link.deaf.1 * 1e3).contains(&(ms as f64));
                if dice.roll() >= link.back_loss && !deaf {
                    back.push_back((ms + link.one_way_ms, number, Back::Report(report)));
                }
            }
            let missing = call.loss.requests(now, Some(MS * (2 * link.one_way_ms) as u32));
            if !missing.is_empty() && dice.roll() >= link.back_loss {
                back.push_back((ms + link.one_way_ms, number, Back::Missing(missing)));
            }
        }
        // And comes back.
        while back.front().is_some_and(|(at, ..)| *at <= ms) {
            let Some((_, number, message)) = back.pop_front() else { break };
            match (&mut flows[number], message) {
                (Flow::Call(call), Back::Report(report)) => _ = call.sender.on_report(now, &report),
                (Flow::Call(call), Back::Missing(missing)) => {
                    missing.into_iter().for_each(|sequence| call.sender.on_missing(now, sequence));
                }
                (Flow::Reno(reno), Back::Ack(sequence)) => reno.on_ack(sequence),
                _ => {}
            }
        }
    }
    for flow in &flows {
        let Flow::Call(call) = flow else { continue };
        // The last second's may be under way.
        let sent = call.sound_sent.len().saturating_sub(50);
        seen.sound_lost = seen.sound_lost.max(1.0 - call.sound_in.len().min(sent) as f64 / sent.max(1) as f64);
        seen.sound_worst = seen.sound_worst.max(call.sound_in.iter().map(|(_, late)| *late).max().unwrap_or(0));
    }
    seen
}

impl Call {
    fn send(&mut self, ms: u64, now: Instant, flow: usize, out: &mut Vec<Wire>, dice: &mut Dice) {
        if ms < self.from {
            return;
        }
        if ms >= self.sound_at {
            self.sound_at += 20;
            let bytes = 100 + WIRE_BYTES;
            self.sender.on_sound(now, self.sound, 100);
            self.sound_sent.push(ms);
            out.push(Wire { flow, stream: Stream::Audio, sequence: u64::from(self.sound), bytes, original: None });
            self.sound = self.sound.wrapping_add(1);
        }
        self.encode(ms, now, dice);
        if self.sender.poll_timeout().is_none_or(|at| at <= now) || ms.is_multiple_of(20) {
            self.sender.handle_timeout(now);
            while let Some(packet) = self.sender.poll(now) {
                let (stream, sequence) = (packet.stream, u64::from(packet.sequence));
                let original =
                    (stream == Stream::Rtx).then(|| u16::from_be_bytes([packet.payload[0], packet.payload[1]]));
                out.push(Wire { flow, stream, sequence, bytes: packet.wire_bytes(), original });
            }
            if let Some(target) = self.sender.target(now) {
                self.encoder.target = f64::from(target.video_bps);
            }
            self.encoder.key |= self.sender.key_wanted(now);
        }
    }

    fn encode(&mut self, ms: u64, now: Instant, dice: &mut Dice) {
        let encoder = &mut self.encoder;
        if ms < encoder.next {
            return;
        }
        encoder.next += 33;
        let target = encoder.target.min(encoder.most);
        if target == 0.0 {
            return;
        }
        let mean = target / 30.0 / 8.0;
        let key = encoder.key && ms >= encoder.last_key + 300;
        let size = if key { mean * 6.0 } else { mean * (0.6 + 0.8 * dice.roll()) };
        if key {
            (encoder.key, encoder.last_key) = (false, ms);
        }
        // What was spent above the mean is saved later, as an encoder's rate control does.
        let saved = if key { 0.0 } else { encoder.debt.clamp(0.0, size * 0.25) };
        encoder.debt = (encoder.debt + size - saved - mean).clamp(-mean, mean * 10.0);
        let sealed = Bytes::from(vec![7; (size - saved).max(100.0) as usize + 30]);
        let _ = self.sender.push_video(now, sealed, key, (ms * 90) as u32);
    }

    fn receive(&mut self, ms: u64, now: Instant, wire: &Wire) {
        let sequence = wire.sequence as u16;
        self.log.on_packet(
            now,
            wire.stream,
            1 + wire.stream as u32 + 10 * wire.flow as u32,
            sequence,
            wire.bytes as usize,
        );
        match (wire.stream, wire.original) {
            (Stream::Video, _) => self.loss.on_packet(now, sequence),
            (Stream::Rtx, Some(original)) => self.loss.on_repaired(original),
            _ => {
                let sent = self.sound_sent.get(sequence as usize).copied().unwrap_or(ms);
                self.sound_in.push((ms, ms - sent));
            }
        }
    }
}

impl Reno {
    fn send(&mut self, ms: u64, flow: usize, out: &mut Vec<Wire>) {
        if ms < self.from {
            return;
        }
        // A timeout: start again.
        if self.flying.front().is_some_and(|(_, at)| ms - at > 1000) {
            (self.threshold, self.window) = ((self.window / 2.0).max(2.0), 2.0);
            self.flying.clear();
        }
        while (self.flying.len() as f64) < self.window {
            self.flying.push_back((self.next, ms));
            out.push(Wire { flow, stream: Stream::Video, sequence: self.next, bytes: 1500, original: None });
            self.next += 1;
        }
    }

    fn on_ack(&mut self, sequence: u64) {
        let lost = self.flying.iter().filter(|(number, _)| number + 3 <= sequence).count();
        self.flying.retain(|(number, _)| number + 3 > sequence && *number != sequence);
        if lost > 0 && sequence >= self.recover {
            self.window = (self.window / 2.0).max(2.0);
            self.threshold = self.window;
            self.recover = self.next;
        } else {
            self.window += if self.window < self.threshold { 1.0 } else { 1.0 / self.window };
        }
    }
}

fn jain(rates: &[f64]) -> f64 {
    rates.iter().sum::<f64>().powi(2) / (rates.len() as f64 * rates.iter().map(|r| r * r).sum::<f64>())
}

/// One call over the link for a minute: its share of the rate and the queue.
fn alone(link: &Link, seconds: u64, seed: u64) -> Seen {
    let start = Instant::now();
    run(link, vec![call(2.5e6, 0, start, 0)], seconds, start, seed)
}

fn tell(what: &str, seen: &Seen, flow: usize, capacity: f64, from_s: f64, to_s: f64) {
    println!(
        "{what}: {:.0} kbit/s = {:.0} % of the link, queue p50 {:.0} ms p95 {:.0} ms max {:.0} ms, {} dropped, sound lost {:.1} % worst {} ms, contested {:.1} s",
        seen.rate(flow, from_s, to_s) / 1e3,
        seen.rate(flow, from_s, to_s) / capacity * 100.0,
        seen.queue_ms(0.5, from_s, to_s),
        seen.queue_ms(0.95, from_s, to_s),
        seen.queue_ms(1.0, from_s, to_s),
        seen.dropped,
        seen.sound_lost * 100.0,
        seen.sound_worst,
        seen.contested as f64 / 1e3,
    );
}

/// Runs with several seeds, so that no lucky one hides the rest, and tells the middle one's figure.
fn middle(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

#[test]
fn narrow_links_are_used_without_a_standing_queue() {
    for (bps, least, most_ms) in [(300e3, 0.85, 100.0), (500e3, 0.85, 91.0), (1e6, 0.85, 91.0), (2e6, 0.82, 91.0)] {
        let (mut used, mut late) = (Vec::new(), Vec::new());
        for seed in 1..4 {
            let seen = alone(&link(bps), 60, seed);
            tell(&format!("{} kbit/s, 300 ms queue", bps / 1e3), &seen, 0, bps, 10.0, 60.0);
            used.push(seen.rate(0, 10.0, 60.0) / bps);
            late.push(seen.queue_ms(0.95, 10.0, 60.0));
            assert!(seen.sound_lost < 0.002, "sound was starved: {}", seen.sound_lost);
        }
        let (used, late) = (middle(used), middle(late));
        assert!(used >= least && late <= most_ms, "{bps} bit/s: {used:.2} used, p95 {late:.0} ms");
    }
}

#[test]
fn the_picture_is_good_within_a_second_of_the_start() {
    for bps in [2e6, 4e6, 20e6] {
        let seen = alone(&link(bps), 3, 1);
        let estimate = seen.estimates[0][6];
        println!("{} kbit/s: {:.0} kbit/s estimated after 0.6 s", bps / 1e3, estimate / 1e3);
        assert!(estimate > bps.min(2.5e6) * 0.6, "{bps}: {estimate}");
    }
}

#[test]
fn a_drop_is_followed_and_the_old_rate_found_again() {
    for seed in 1..5 {
        let rates = vec![(0.0, 2e6), (20.0, 0.3e6), (50.0, 2e6)];
        let seen = alone(&Link { rates, ..link(0.0) }, 75, seed);
        let old = seen.rate(0, 12.0, 20.0);
        let back = (50..74).find(|s| seen.rate(0, f64::from(*s), f64::from(*s) + 1.0) > 0.9 * old).map(|s| s - 49);
        println!("{:.0} kbit/s before, nine tenths of it again within {back:?} s", old / 1e3);
        tell("during the drop", &seen, 0, 0.3e6, 25.0, 50.0);
        assert!(back.is_some_and(|seconds| seconds <= 10), "{back:?}");
        assert!(seen.queue_ms(0.95, 25.0, 50.0) < 150.0);
        assert!(seen.rate(0, 30.0, 50.0) > 0.6 * 0.3e6);
    }
}

#[test]
fn a_path_with_hardly_more_room_than_for_sound_keeps_the_sound() {
    for bps in [64e3, 80e3, 100e3] {
        let rates = vec![(0.0, 2e6), (10.0, bps)];
        let seen = alone(&Link { rates, ..link(0.0) }, 120, 1);
        tell(&format!("{} kbit/s", bps / 1e3), &seen, 0, bps, 20.0, 120.0);
        assert!(seen.sound_lost < 0.03 && seen.queue_ms(0.5, 20.0, 120.0) < 200.0, "{bps}");
    }
}

#[test]
fn pictures_come_back_however_long_there_was_no_room_for_them() {
    for (seed, camera_from) in [(1, 0), (2, 0), (3, 200_000)] {
        let start = Instant::now();
        let rates = vec![(0.0, 2e6), (10.0, 0.08e6), (190.0, 2e6)];
        let mut flow = call(2.5e6, 0, start, 0);
        if let Flow::Call(call) = &mut flow {
            call.encoder.next = camera_from;
        }
        // Without a picture the queue says nothing of the path; silence does.
        let deaf = if camera_from > 0 { (150.0, 180.0) } else { (0.0, 0.0) };
        let seen = run(&Link { rates, deaf, ..link(0.0) }, vec![flow], 290, start, seed);
        tell("80 kbit/s for three minutes", &seen, 0, 0.08e6, 30.0, 190.0);
        let after = seen.rate(0, 270.0, 290.0);
        println!("{:.0} kbit/s afterwards, camera from {camera_from} ms", after / 1e3);
        assert!(after > 1.5e6, "{after}");
    }
}

#[test]
fn random_loss_is_no_reason_to_fall() {
    for (loss, burst) in [(0.02, 1.0), (0.05, 1.0), (0.1, 1.0), (0.03, 4.0)] {
        for seed in 1..3 {
            let seen = alone(&Link { loss, burst, back_loss: loss, ..link(4e6) }, 40, seed);
            tell(&format!("{} % loss in runs of {burst}", loss * 100.0), &seen, 0, 2.5e6, 10.0, 40.0);
            assert!(seen.rate(0, 10.0, 40.0) > 2.0e6);
        }
    }
}

#[test]
fn a_narrow_link_that_also_loses_is_used() {
    for seed in 1..3 {
        let seen = alone(&Link { loss: 0.05, back_loss: 0.05, jitter_ms: 8, ..link(1e6) }, 60, seed);
        tell("1 Mbit/s, 5 % loss, 8 ms jitter", &seen, 0, 1e6, 10.0, 60.0);
        assert!(seen.rate(0, 10.0, 60.0) > 0.7e6 && seen.queue_ms(0.95, 10.0, 60.0) < 130.0);
    }
}

#[test]
fn flows_share_a_link() {
    let mut fair = Vec::new();
    for seed in 1..4 {
        let start = Instant::now();
        let flows = vec![call(2.5e6, 0, start, 0), call(2.5e6, 5000, start, 1)];
        let seen = run(&link(2e6), flows, 120, start, seed);
        let rates = [seen.rate(0, 30.0, 120.0), seen.rate(1, 30.0, 120.0)];
        println!("two calls: {rates:.0?} Jain {:.3} queue p95 {}", jain(&rates), seen.queue_ms(0.95, 30.0, 120.0));
        fair.push(jain(&rates));
    }
    assert!(middle(fair) > 0.9);
    let mut fair = Vec::new();
    for seed in 1..4 {
        let start = Instant::now();
        let seen = run(&link(2e6), vec![call(2.5e6, 0, start, 0), reno(5000)], 120, start, seed);
        let rates = [seen.rate(0, 30.0, 120.0), seen.rate(1, 30.0, 120.0)];
        println!("with TCP: {rates:.0?} Jain {:.3} queue p95 {}", jain(&rates), seen.queue_ms(0.95, 30.0, 120.0));
        assert!(rates.iter().all(|rate| *rate > 0.3e6), "one starves: {rates:?}");
        fair.push(jain(&rates));
    }
    assert!(middle(fair) > 0.85);
}

#[test]
fn three_paths_of_a_mesh_share_one_uplink() {
    let start = Instant::now();
    let flows = (0..3).map(|n| call(2.5e6, u64::from(n) * 2000, start, n)).collect();
    let seen = run(&link(3e6), flows, 120, start, 3);
    let rates = [0, 1, 2].map(|flow| seen.rate(flow, 40.0, 120.0));
    println!("three paths: {rates:.0?} Jain {:.3} queue p95 {}", jain(&rates), seen.queue_ms(0.95, 40.0, 120.0));
    assert!(jain(&rates) > 0.8 && rates.iter().sum::<f64>() > 0.75 * 3e6);
}

#[test]
fn without_feedback_the_rate_falls_and_comes_back() {
    let seen = alone(&Link { deaf: (10.0, 16.0), ..link(4e6) }, 40, 1);
    let (before, deaf, after) = (seen.rate(0, 5.0, 10.0), seen.rate(0, 14.0, 16.0), seen.rate(0, 30.0, 40.0));
    println!("before {before:.0}, deaf {deaf:.0}, after {after:.0}");
    assert!(deaf < before * 0.3 && after > before * 0.9);
}

#[test]
fn another_way_is_probed_anew() {
    let start = Instant::now();
    let mut sender = Sender::new(start, Limits::default(), [1, 2, 3]);
    for ms in 0..400u32 {
        let now = start + MS * ms;
        if ms % 33 == 0 {
            let _ = sender.push_video(now, Bytes::from(vec![1; 4000]), true, ms * 90);
        }
        sender.handle_timeout(now);
        while sender.poll(now).is_some() {}
    }
    assert_eq!(sender.estimator().window(), 0, "nothing was ever reported");
    let now = start + MS * 400;
    sender.restart(now);
    assert!(sender.estimator().window() > 10_000 && sender.estimator().bps() == Limits::default().start);
    let _ = sender.push_video(now, Bytes::from(vec![1; 4000]), true, 36_000);
    assert!(sender.estimator().probe().is_some());
}

#[test]
fn a_sender_with_little_to_send_does_not_believe_in_more_than_it_tried() {
    let start = Instant::now();
    let seen = run(&link(1e6), vec![call(150e3, 0, start, 0)], 60, start, 2);
    let most = seen.estimates[0].iter().skip(50).fold(0.0, |most: f64, bps| most.max(*bps));
    println!("with 150 kbit/s to send over 1 Mbit/s: at most {most:.0} believed");
    assert!(most < 1.25e6 && seen.queue_ms(0.95, 10.0, 60.0) < 60.0);
}

#[test]
fn a_lying_receiver_cannot_lift_the_rate_above_the_ceiling() {
    let start = Instant::now();
    let mut sender = Sender::new(start, Limits::default(), [1, 2, 3]);
    let (mut bytes, mut sequences, mut clock) = (0u64, [0u16; 3], 0u32);
    for ms in 0..20_000u32 {
        let now = start + MS * ms;
        if ms % 33 == 0 {
            let _ = sender.push_video(now, Bytes::from(vec![1; 200_000]), ms % 990 == 0, ms * 90);
        }
        sender.handle_timeout(now);
        while let Some(packet) = sender.poll(now) {
            bytes += u64::from(packet.wire_bytes());
            sequences[packet.stream as usize] = packet.sequence;
        }
        // Everything arrived at once, and much that was never sent as well.
        if ms % 5 == 0 {
            clock = clock.wrapping_add(64);
            let block = |ssrc: usize| super::feedback::Block {
                ssrc: ssrc as u32 + 1,
                begin: sequences[ssrc].wrapping_sub(100),
                arrivals: vec![Some(0); 200],
            };
            sender.on_report(now, &Report { time: clock, blocks: (0..3).map(block).collect() });
            for sequence in 0..500 {
                sender.on_missing(now, sequence);
            }
        }
    }
    let rate = bytes as f64 * 8.0 / 20.0;
    println!("a liar gets {:.0} kbit/s", rate / 1e3);
    assert!(sender.estimator().bps() <= Limits::default().most);
    assert!(rate < Limits::default().most * 2.2, "{rate}");
}
