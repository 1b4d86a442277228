//! One direction of an emulated link, without a clock of its own: loss, a bottleneck with a drop-tail queue, and the way
//! beyond it. Every moment is an argument, and all chance comes from a seed, so that a run can be repeated.
//!
//! A packet passes, in this order: random loss and bursts of loss (Gilbert–Elliott), the queue (which it is refused if the
//! queue is full), the bottleneck (which serves one packet after the other at the rate in force), then delay, jitter and
//! duplication. Sizes are those of IP packets.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use super::record::{Fate, Record, Records};

/// Most bytes that may be under way beyond the bottleneck: a sender without bounds does not fill memory.
const UNDER_WAY: usize = 64 << 20;

/// What a link does to packets. The default does nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Time from the bottleneck to the far end.
    pub delay: Duration,
    /// Largest deviation from `delay`, either way; triangular.
    pub jitter: Duration,
    /// Jitter may put packets out of order.
    pub reorder: bool,
    /// Share of packets lost, each for itself, 0 to 1.
    pub loss: f64,
    /// Gilbert–Elliott: chance with each packet to go from the good state to the bad one, in which all is lost, and back.
    pub burst: Option<(f64, f64)>,
    /// Bits a second of the bottleneck; `None`: there is none.
    pub rate: Option<u64>,
    /// A packet is refused if what waits already would take the bottleneck longer than this.
    pub queue: Duration,
    /// A packet is refused if it would make more bytes than this wait.
    pub queue_bytes: usize,
    /// Share of packets that arrive twice, 0 to 1.
    pub duplicate: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            reorder: false,
            loss: 0.0,
            burst: None,
            rate: None,
            queue: Duration::from_millis(200),
            queue_bytes: usize::MAX,
            duplicate: 0.0,
        }
    }
}

impl Settings {
    /// Applies `key=value,…`: `delay`, `jitter` and `queue` in milliseconds, `rate` in kbit/s (0: unlimited), `bytes` that
    /// may wait, `loss`, `duplicate`, `bad` and `good` (chances to enter and to leave a burst) in percent, `reorder` 0 or 1.
    ///
    /// # Errors
    /// What was not understood.
    pub fn apply(&mut self, text: &str) -> Result<(), String> {
        for word in text.split(',').filter(|word| !word.is_empty()) {
            let (key, value) = word.split_once('=').ok_or_else(|| format!("{word} is not KEY=VALUE"))?;
            let value: f64 = value.parse().map_err(|_| format!("{value} is not a number"))?;
            if !(0.0..=1e9).contains(&value) {
                return Err(format!("{key}={value} is out of bounds"));
            }
            let time = || Duration::from_secs_f64(value / 1e3);
            match key {
                "delay" => self.delay = time(),
                "jitter" => self.jitter = time(),
                "queue" => self.queue = time(),
                "bytes" => self.queue_bytes = value as usize,
                "rate" => self.rate = (value > 0.0).then_some((value * 1e3) as u64),
                "loss" => self.loss = value / 100.0,
                "duplicate" => self.duplicate = value / 100.0,
                "bad" => self.burst = (value > 0.0).then(|| (value / 100.0, self.burst.map_or(1.0, |burst| burst.1))),
                "good" => self.burst = self.burst.map(|burst| (burst.0, value / 100.0)),
                "reorder" => self.reorder = value > 0.0,
                _ => return Err(format!("there is no {key}")),
            }
        }
        Ok(())
    }

    /// How long the bottleneck is busy with so many bytes.
    fn service(&self, bytes: usize) -> Duration {
        self.rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(bytes as f64 * 8.0 / rate as f64))
    }
}

/// A stream of numbers that a seed determines (xorshift64*, Vigna 2016).
struct Chance(u64);

impl Chance {
    fn new(seed: u64, purpose: u64) -> Self {
        // Never zero, and far apart for neighbouring seeds (the step of splitmix64).
        let mut z = seed.wrapping_add(purpose.wrapping_mul(0xA076_1D64_78BD_642F)).wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Self((z ^ (z >> 31)) | 1)
    }

    /// From 0 to below 1.
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn happens(&mut self, share: f64) -> bool {
        // Always drawn, so that a change of one share leaves the others' fate as it was.
        self.next() < share
    }
}

struct Waiting {
    packet: Vec<u8>,
    arrived: Duration,
    flow: u16,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Duration,
    serial: u64,
    packet: Vec<u8>,
}

/// One direction of a link.
pub struct Link {
    settings: Settings,
    /// Changes to come: moment since [`Link::begin`], and what [`Settings::apply`] reads.
    schedule: VecDeque<(Duration, String)>,
    began: Option<Duration>,
    lose: Chance,
    deviate: Chance,
    repeat: Chance,
    bad: bool,
    queue: VecDeque<Waiting>,
    backlog: usize,
    /// When the bottleneck is done with the packet at the head of the queue.
    head_done: Option<Duration>,
    under_way: BinaryHeap<Reverse<Due>>,
    under_way_bytes: usize,
    newest: Duration,
    serial: u64,
    records: Records,
}

impl Link {
    /// A link that begins with `settings` and changes by `schedule` once [`Link::begin`] was called.
    ///
    /// # Errors
    /// What was not understood of the schedule.
    pub fn new(seed: u64, settings: Settings, mut schedule: Vec<(Duration, String)>) -> Result<Self, String> {
        schedule.sort_by_key(|(at, _)| *at);
        for (_, change) in &schedule {
            Settings::default().apply(change)?;
        }
        Ok(Self {
            settings,
            schedule: schedule.into(),
            began: None,
            lose: Chance::new(seed, 1),
            deviate: Chance::new(seed, 2),
            repeat: Chance::new(seed, 3),
            bad: false,
            queue: VecDeque::new(),
            backlog: 0,
            head_done: None,
            under_way: BinaryHeap::new(),
            under_way_bytes: 0,
            newest: Duration::ZERO,
            serial: 0,
            records: Records::default(),
        })
    }

    /// The schedule and the statistics begin now.
    pub fn begin(&mut self, now: Duration) {
        self.advance(now);
        self.began = Some(now);
        self.records.begin(now);
    }

    /// What became of the packets.
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// Bytes that wait for the bottleneck.
    #[cfg(test)]
    pub fn backlog(&self) -> usize {
        self.backlog
    }

    /// A packet comes in.
    pub fn handle_packet(&mut self, now: Duration, packet: Vec<u8>) {
        self.advance(now);
        let flow = self.records.flow_of(&packet);
        let size = packet.len();
        let fate = self.fate(size);
        if let Some(fate) = fate {
            self.records.push(Record { arrived: now, size: size as u16, flow, fate });
            return;
        }
        self.backlog += size;
        self.queue.push_back(Waiting { packet, arrived: now, flow });
        if self.head_done.is_none() {
            self.head_done = Some(now + self.settings.service(size));
        }
        self.advance(now);
    }

    /// What ends a packet's way before the queue, if anything does.
    fn fate(&mut self, size: usize) -> Option<Fate> {
        let step = self.lose.next();
        if let Some((to_bad, to_good)) = self.settings.burst {
            self.bad = if self.bad { step >= to_good } else { step < to_bad };
        } else {
            self.bad = false;
        }
        if self.lose.happens(self.settings.loss) | self.bad {
            return Some(Fate::Lost);
        }
        let full = self.settings.rate.is_some()
            && (self.settings.service(self.backlog) > self.settings.queue
                || self.backlog + size > self.settings.queue_bytes);
        (full || self.under_way_bytes > UNDER_WAY).then_some(Fate::Refused)
    }

    /// When something happens next, unless a packet comes in before.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let arrival = self.under_way.peek().map(|Reverse(due)| due.at);
        [arrival, self.head_done].into_iter().flatten().min()
    }

    /// The next packet that has come through by now.
    pub fn poll_packet(&mut self, now: Duration) -> Option<Vec<u8>> {
        self.advance(now);
        if self.under_way.peek().is_none_or(|Reverse(due)| due.at > now) {
            return None;
        }
        let Reverse(due) = self.under_way.pop()?;
        self.under_way_bytes -= due.packet.len();
        Some(due.packet)
    }

    /// Lets the bottleneck work until `now`, with each change of the schedule at its moment.
    fn advance(&mut self, now: Duration) {
        loop {
            let change = match (self.began, self.schedule.front()) {
                (Some(began), Some((at, _))) => Some(began + *at).filter(|at| *at <= now),
                _ => None,
            };
            match (self.head_done.filter(|done| *done <= now), change) {
                (Some(done), change) if change.is_none_or(|at| done <= at) => self.serve(done),
                (_, Some(_)) => {
                    if let Some((_, text)) = self.schedule.pop_front() {
                        // Read once already, when the link was made.
                        let _ = self.settings.apply(&text);
                    }
                }
                _ => return,
            }
        }
    }

    /// The packet at the head leaves the bottleneck at `done`; the next one's turn begins.
    fn serve(&mut self, done: Duration) {
        let Some(head) = self.queue.pop_front() else { return };
        let size = head.packet.len();
        self.backlog -= size;
        let queued = (done - head.arrived).saturating_sub(self.settings.service(size));
        self.records.push(Record {
            arrived: head.arrived,
            size: size as u16,
            flow: head.flow,
            fate: Fate::Carried { queued, left: done },
        });
        self.head_done = self.queue.front().map(|next| done + self.settings.service(next.packet.len()));
        // Two uniform draws make a triangle around zero.
        let part = self.deviate.next() + self.deviate.next() - 1.0;
        let jitter = self.settings.jitter.mul_f64(part.abs());
        let way = if part < 0.0 { self.settings.delay.saturating_sub(jitter) } else { self.settings.delay + jitter };
        let mut at = done + way;
        if !self.settings.reorder {
            at = at.max(self.newest);
            self.newest = at;
        }
        let twice = self.repeat.happens(self.settings.duplicate).then(|| head.packet.clone());
        for packet in std::iter::once(head.packet).chain(twice) {
            self.under_way_bytes += packet.len();
            self.serial += 1;
            self.under_way.push(Reverse(Due { at, serial: self.serial, packet }));
        }
    }
}
