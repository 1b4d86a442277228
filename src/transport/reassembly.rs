//! Fragments back into sealed frames, in order, with the gaps named.
//!
//! Pure: `now` is passed in, nothing waits. Everything a stranger could inflate is bounded: frames in flight
//! ([`MAX_IN_FLIGHT`]), bytes in flight ([`MAX_BYTES_IN_FLIGHT`]), fragments and bytes of one frame
//! ([`super::fragment`]), and the age of an unfinished frame ([`MAX_AGE`]).
//!
//! A complete frame waits for the frames before it, because a retransmission may still bring them; after a short wait
//! they count as lost and the frame is delivered with the gap before it. A key frame waits for nobody: no decoder
//! needs what came before it.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::fragment::{FragmentError, HEADER_LEN, Header, MAX_FRAME};

/// Most frames held at once, complete or not.
pub const MAX_IN_FLIGHT: usize = 32;
/// Most bytes held at once, over all frames.
pub const MAX_BYTES_IN_FLIGHT: usize = 8 << 20;
/// Age at which an unfinished frame is given up, whatever follows it.
pub const MAX_AGE: Duration = Duration::from_secs(1);
/// How long a complete frame waits for those before it until a round-trip time is known.
pub const DEFAULT_WAIT: Duration = Duration::from_millis(200);
const MIN_WAIT: Duration = Duration::from_millis(150);
const MAX_WAIT: Duration = Duration::from_millis(500);
/// A timeout that comes this much too late means that this program slept, and what was waited for may be in a socket.
const OVERSLEPT: Duration = Duration::from_millis(25);
/// Time to read the sockets after having overslept.
const GRACE: Duration = Duration::from_millis(15);

/// A frame in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The sealed bytes.
    pub data: Bytes,
    /// RTP timestamp of the frame, 90 kHz.
    pub rtp_ts: u32,
    /// The sender calls it a key frame.
    pub key: bool,
    /// When its last missing fragment came.
    pub arrived: Instant,
    /// The frames lost immediately before it, if any.
    pub gap: Option<Gap>,
}

/// A run of frames that never completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Number of the first lost frame, modulo 65,536.
    pub from: u16,
    /// Number of the last lost frame, modulo 65,536.
    pub to: u16,
}

/// What happened so far, for statistics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReassemblyCounters {
    /// Frames delivered.
    pub frames: u64,
    /// Frames that never completed.
    pub lost: u64,
    /// Fragments that came twice.
    pub duplicates: u64,
    /// Fragments refused: malformed, or of a frame already past.
    pub refused: u64,
}

struct Partial {
    rtp_ts: u32,
    key: bool,
    fragments: Vec<Option<Bytes>>,
    received: usize,
    count: Option<usize>,
    bytes: usize,
    first: Instant,
    complete: Option<Instant>,
}

/// Puts fragments together. See the module's text.
pub struct Reassembler {
    frames: BTreeMap<u64, Partial>,
    /// Extended number of the next frame to deliver.
    next: u64,
    /// Where frames are lost since the last delivery, as an extended number.
    gap_from: Option<u64>,
    bytes: usize,
    wait: Duration,
    grace: Option<Instant>,
    ready: VecDeque<Frame>,
    counters: ReassemblyCounters,
}

impl Default for Reassembler {
    fn default() -> Self {
        Self::new()
    }
}

impl Reassembler {
    /// An empty one; the sender's first frame has number 0.
    pub fn new() -> Self {
        Self {
            frames: BTreeMap::new(),
            next: 1 << 16,
            gap_from: None,
            bytes: 0,
            wait: DEFAULT_WAIT,
            grace: None,
            ready: VecDeque::new(),
            counters: ReassemblyCounters::default(),
        }
    }

    /// Fits the wait to the path: time for three rounds of "that one is missing" (a round is a little more than a round
    /// trip) and a little for the queue. Giving up costs more: a key frame has to be asked for, made and sent.
    pub fn set_rtt(&mut self, rtt: Duration) {
        self.wait = (rtt * 4 + Duration::from_millis(60)).clamp(MIN_WAIT, MAX_WAIT);
    }

    /// Totals since the start.
    pub fn counters(&self) -> ReassemblyCounters {
        self.counters
    }

    /// Bytes of fragments held right now.
    pub fn bytes_in_flight(&self) -> usize {
        self.bytes
    }

    /// Takes one RTP payload. Frames that became deliverable are handed out by [`Self::poll`].
    ///
    /// # Errors
    /// A [`FragmentError`] names why this fragment was not used; the frames in flight are unharmed.
    pub fn push(&mut self, now: Instant, payload: &Bytes, rtp_ts: u32) -> Result<(), FragmentError> {
        let result = self.insert(now, payload, rtp_ts);
        if result.is_err() {
            self.counters.refused += 1;
        }
        self.advance(None);
        result
    }

    /// The next frame in order.
    pub fn poll(&mut self) -> Option<Frame> {
        self.ready.pop_front()
    }

    /// Gives up what has waited long enough.
    pub fn handle_timeout(&mut self, now: Instant) {
        let Some(due) = self.poll_timeout() else { return };
        if now < due {
            return;
        }
        if self.grace.is_none() && now.saturating_duration_since(due) > OVERSLEPT {
            self.grace = Some(now + GRACE);
            return;
        }
        self.grace = None;
        self.advance(Some(now));
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let due_of = |partial: &Partial| partial.complete.map_or(partial.first + MAX_AGE, |at| at + self.wait);
        let due = self.frames.values().map(due_of).min()?;
        Some(self.grace.map_or(due, |grace| grace.max(due)))
    }

    fn insert(&mut self, now: Instant, payload: &Bytes, rtp_ts: u32) -> Result<(), FragmentError> {
        let header = Header::parse(payload)?;
        let number = extend(self.next, header.frame);
        if number < self.next {
            return Err(FragmentError::Late);
        }
        let body = payload.slice(HEADER_LEN..);
        let index = usize::from(header.index);
        let partial = self.frames.entry(number).or_insert_with(|| Partial {
            rtp_ts,
            key: header.key,
            fragments: Vec::new(),
            received: 0,
            count: None,
            bytes: 0,
            first: now,
            complete: None,
        });
        let contradicts = partial.rtp_ts != rtp_ts
            || partial.key != header.key
            || partial.count.is_some_and(|count| index >= count || header.last != (index + 1 == count))
            || (header.last && partial.fragments.len() > index + 1)
            || partial.bytes + body.len() > MAX_FRAME;
        if contradicts {
            return Err(FragmentError::Malformed);
        }
        if header.last {
            partial.count = Some(index + 1);
        }
        if partial.fragments.len() <= index {
            partial.fragments.resize(index + 1, None);
        }
        if partial.fragments[index].is_some() {
            self.counters.duplicates += 1;
            return Ok(());
        }
        self.bytes += body.len();
        partial.bytes += body.len();
        partial.fragments[index] = Some(body);
        partial.received += 1;
        if partial.count == Some(partial.received) {
            partial.complete = Some(now);
        }
        Ok(())
    }

    /// Delivers what may be delivered and gives up what must be given up; what is too old only if `now` is given.
    fn advance(&mut self, now: Option<Instant>) {
        while let Some((&number, partial)) = self.frames.first_key_value() {
            let older = |at: Instant, age| now.is_some_and(|now| now.saturating_duration_since(at) >= age);
            // What has become too old goes, and what stands before it: no frame may outlive its age because younger ones do.
            let stale = self.frames.values().any(|p| p.complete.is_none() && older(p.first, MAX_AGE));
            let over = stale || self.frames.len() > MAX_IN_FLIGHT || self.bytes > MAX_BYTES_IN_FLIGHT;
            let complete = partial.complete.is_some();
            if complete && (number == self.next || over) {
                self.deliver(number);
                continue;
            }
            // A complete key frame, or one that has waited its time, ends the wait of all before it.
            let key = self.frames.iter().find(|(_, p)| p.key && p.complete.is_some()).map(|(&n, _)| n);
            let waited =
                self.frames.iter().find(|(_, p)| p.complete.is_some_and(|at| older(at, self.wait))).map(|(&n, _)| n);
            if let Some(target) = key.max(waited.filter(|_| key.is_none())) {
                self.give_up_before(target);
                self.deliver(target);
                continue;
            }
            if over {
                self.give_up_before(number + 1);
                continue;
            }
            break;
        }
    }

    fn give_up_before(&mut self, end: u64) {
        if end <= self.next {
            return;
        }
        self.gap_from.get_or_insert(self.next);
        self.counters.lost += end - self.next;
        self.next = end;
        while let Some(entry) = self.frames.first_entry() {
            if *entry.key() >= end {
                break;
            }
            self.bytes -= entry.remove().bytes;
        }
    }

    fn deliver(&mut self, number: u64) {
        self.give_up_before(number);
        let Some(partial) = self.frames.remove(&number) else { return };
        self.bytes -= partial.bytes;
        self.next = number + 1;
        let Some(arrived) = partial.complete else { return };
        let mut fragments = partial.fragments.into_iter().flatten();
        let data = if partial.received == 1 {
            fragments.next().unwrap_or_default()
        } else {
            let mut data = BytesMut::with_capacity(partial.bytes);
            fragments.for_each(|piece| data.extend_from_slice(&piece));
            data.freeze()
        };
        let gap = self.gap_from.take().map(|from| Gap { from: from as u16, to: (number - 1) as u16 });
        self.counters.frames += 1;
        self.ready.push_back(Frame { data, rtp_ts: partial.rtp_ts, key: partial.key, arrived, gap });
    }
}

/// The extended number nearest to `reference` whose low 16 bits are `number`.
fn extend(reference: u64, number: u16) -> u64 {
    let distance = number.wrapping_sub(reference as u16).cast_signed();
    reference.wrapping_add_signed(i64::from(distance))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fragment::{MAX_PAYLOAD, split};
    use super::*;

    fn cut(frame: &[u8], key: bool, number: u16) -> Vec<Bytes> {
        let mut out = Vec::new();
        split(frame, key, number, MAX_PAYLOAD, &mut out).unwrap();
        out
    }

    fn drain(r: &mut Reassembler) -> Vec<Frame> {
        std::iter::from_fn(|| r.poll()).collect()
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn frames_come_out_in_order_whatever_the_order_of_their_fragments() {
        let (mut r, now) = (Reassembler::new(), Instant::now());
        let mut pieces: Vec<(u32, Bytes)> = Vec::new();
        for n in 0..5u16 {
            pieces.extend(cut(&vec![n as u8; 3000], n == 0, n).into_iter().map(|p| (u32::from(n), p)));
        }
        pieces.reverse();
        // Frame 0 is the only key frame and completes last, so that all wait for it.
        for (ts, piece) in &pieces {
            r.push(now, piece, *ts).unwrap();
        }
        let frames = drain(&mut r);
        assert_eq!(frames.len(), 5);
        for (n, frame) in frames.iter().enumerate() {
            assert_eq!((&frame.data[..], frame.rtp_ts, frame.gap), (&vec![n as u8; 3000][..], n as u32, None));
        }
        assert_eq!(r.bytes_in_flight(), 0);
    }

    #[test]
    fn a_lost_frame_is_named_as_a_gap_after_the_wait_and_not_before() {
        let (mut r, start) = (Reassembler::new(), Instant::now());
        r.push(start, &cut(b"zero", false, 0)[0], 0).unwrap();
        r.push(start, &cut(b"three", false, 3)[0], 3).unwrap();
        assert_eq!(drain(&mut r).len(), 1);
        assert_eq!(r.poll_timeout(), Some(start + DEFAULT_WAIT));
        r.handle_timeout(start + DEFAULT_WAIT - MS);
        assert!(drain(&mut r).is_empty());
        r.handle_timeout(start + DEFAULT_WAIT);
        let frames = drain(&mut r);
        assert_eq!(frames[0].gap, Some(Gap { from: 1, to: 2 }));
        assert_eq!(&frames[0].data[..], b"three");
        assert_eq!(r.counters().lost, 2);
        assert_eq!(r.push(start, &cut(b"one", false, 1)[0], 1), Err(FragmentError::Late));
    }

    #[test]
    fn a_retransmission_within_the_wait_closes_the_hole() {
        let (mut r, start) = (Reassembler::new(), Instant::now());
        r.push(start, &cut(b"one", false, 1)[0], 1).unwrap();
        r.push(start + 100 * MS, &cut(b"zero", false, 0)[0], 0).unwrap();
        let frames = drain(&mut r);
        assert_eq!(frames.len(), 2);
        assert!(frames.iter().all(|f| f.gap.is_none()));
    }

    #[test]
    fn after_oversleeping_the_sockets_are_read_before_anything_is_given_up() {
        let (mut r, start) = (Reassembler::new(), Instant::now());
        r.push(start, &cut(b"one", false, 1)[0], 1).unwrap();
        let late = start + DEFAULT_WAIT + 300 * MS;
        r.handle_timeout(late);
        assert_eq!((drain(&mut r).len(), r.poll_timeout()), (0, Some(late + GRACE)));
        r.push(late, &cut(b"zero", false, 0)[0], 0).unwrap();
        assert!(drain(&mut r).iter().all(|f| f.gap.is_none()));
        r.push(late, &cut(b"four", false, 4)[0], 4).unwrap();
        assert_eq!(r.poll_timeout(), Some(late + DEFAULT_WAIT), "the grace was for once");
        r.handle_timeout(late + DEFAULT_WAIT);
        assert_eq!(drain(&mut r)[0].gap, Some(Gap { from: 2, to: 3 }));
    }

    #[test]
    fn a_complete_key_frame_waits_for_nobody() {
        let (mut r, now) = (Reassembler::new(), Instant::now());
        r.push(now, &cut(&[1; 3000], false, 0)[0], 0).unwrap();
        r.push(now, &cut(b"one", false, 1)[0], 1).unwrap();
        r.push(now, &cut(b"key", true, 2)[0], 2).unwrap();
        let frames = drain(&mut r);
        assert_eq!(frames.len(), 1);
        assert!(frames[0].key);
        assert_eq!(frames[0].gap, Some(Gap { from: 0, to: 1 }));
        assert_eq!(r.bytes_in_flight(), 0);
    }

    #[test]
    fn an_unfinished_frame_is_given_up_after_a_second_and_named_later() {
        let (mut r, start) = (Reassembler::new(), Instant::now());
        r.push(start, &cut(&[1; 3000], false, 0)[0], 0).unwrap();
        assert_eq!(r.poll_timeout(), Some(start + MAX_AGE));
        r.handle_timeout(start + MAX_AGE);
        assert_eq!((r.bytes_in_flight(), r.poll_timeout()), (0, None));
        r.push(start + MAX_AGE, &cut(b"one", false, 1)[0], 1).unwrap();
        assert_eq!(drain(&mut r)[0].gap, Some(Gap { from: 0, to: 0 }));
    }

    #[test]
    fn numbers_wrap_without_a_gap() {
        let (mut r, now) = (Reassembler::new(), Instant::now());
        for n in 0..70_000u32 {
            r.push(now, &cut(&n.to_be_bytes(), false, n as u16)[0], n).unwrap();
            let frames = drain(&mut r);
            assert_eq!(frames.len(), 1);
            assert_eq!(frames[0].gap, None);
        }
    }

    #[test]
    fn fragments_that_contradict_their_frame_are_refused() {
        let (mut r, now) = (Reassembler::new(), Instant::now());
        let frame = cut(&[1; 3000], true, 0);
        r.push(now, &frame[2], 0).unwrap();
        assert_eq!(r.push(now, &frame[0], 9), Err(FragmentError::Malformed), "another timestamp");
        assert_eq!(r.push(now, &cut(&[1; 3000], false, 0)[0], 0), Err(FragmentError::Malformed), "another kind");
        assert_eq!(r.push(now, &cut(&[1; 5000], true, 0)[3], 0), Err(FragmentError::Malformed), "beyond the last");
        assert_eq!(r.push(now, &cut(&[1; 1500], true, 0)[1], 0), Err(FragmentError::Malformed), "a second last");
        assert_eq!(r.counters().refused, 4);
        r.push(now, &frame[0], 0).unwrap();
        r.push(now, &frame[0], 0).unwrap();
        r.push(now, &frame[1], 0).unwrap();
        assert_eq!(r.counters().duplicates, 1);
        assert_eq!(&drain(&mut r)[0].data[..], &[1; 3000]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_order_with_any_duplicates_yields_every_frame_once(
            sizes in prop::collection::vec((1usize..6000, any::<bool>()), 1..20),
            seed in any::<u64>(),
        ) {
            let (mut r, now) = (Reassembler::new(), Instant::now());
            let mut pieces = Vec::new();
            for (n, &(size, twice)) in sizes.iter().enumerate() {
                let frame: Vec<u8> = (0..size).map(|i| (i * 7 + n) as u8).collect();
                // No key frames: they are allowed to overtake.
                for piece in cut(&frame, false, n as u16) {
                    pieces.push((n as u32, piece.clone()));
                    if twice { pieces.push((n as u32, piece)); }
                }
            }
            let mut state = seed | 1;
            for i in (1..pieces.len()).rev() {
                state ^= state << 13; state ^= state >> 7; state ^= state << 17;
                pieces.swap(i, (state % (i as u64 + 1)) as usize);
            }
            let mut frames = Vec::new();
            for (ts, piece) in &pieces {
                // A duplicate may come after its frame was delivered: then it is late, and harmless.
                let _ = r.push(now, piece, *ts);
                frames.extend(drain(&mut r));
            }
            prop_assert_eq!(frames.len(), sizes.len());
            for (n, frame) in frames.iter().enumerate() {
                prop_assert_eq!(frame.data.len(), sizes[n].0);
                prop_assert!(frame.data.iter().enumerate().all(|(i, &b)| b == (i * 7 + n) as u8));
                prop_assert_eq!(frame.gap, None);
            }
        }

        #[test]
        fn hostile_payloads_never_panic_and_memory_stays_bounded(
            input in prop::collection::vec(
                (prop::collection::vec(any::<u8>(), 0..64), any::<bool>(), any::<u16>(), 0u16..1100, 0u32..3, 0u64..300),
                1..400,
            ),
        ) {
            let mut r = Reassembler::new();
            let mut now = Instant::now();
            for (bytes, shaped, frame, index, ts, step) in input {
                let mut payload = bytes;
                if shaped && payload.len() > HEADER_LEN {
                    payload[0] = if index == 0 && payload[1] & 0x20 != 0 { 0x67 } else { 0x61 };
                    payload[1] &= 0x30;
                    payload[2..4].copy_from_slice(&frame.to_be_bytes());
                    payload[4..6].copy_from_slice(&index.to_be_bytes());
                }
                now += Duration::from_millis(step);
                let _ = r.push(now, &Bytes::from(payload), ts);
                prop_assert!(r.frames.len() <= MAX_IN_FLIGHT);
                prop_assert!(r.bytes_in_flight() <= MAX_BYTES_IN_FLIGHT);
                drain(&mut r);
            }
            r.handle_timeout(now + MAX_AGE);
            r.handle_timeout(now + MAX_AGE + GRACE);
            prop_assert_eq!(r.frames.len(), 0);
            prop_assert_eq!(r.bytes_in_flight(), 0);
            prop_assert_eq!(r.poll_timeout(), None);
        }
    }

    #[test]
    fn a_flood_of_large_unfinished_frames_stays_within_the_byte_bound() {
        let (mut r, now) = (Reassembler::new(), Instant::now());
        for n in 0..200u16 {
            let frame = cut(&vec![1; 1 << 20], false, n);
            for piece in &frame[1..] {
                let _ = r.push(now, piece, u32::from(n));
            }
            assert!(r.bytes_in_flight() <= MAX_BYTES_IN_FLIGHT);
        }
    }

    /// Found by fuzzing: an older frame behind a younger one, and a complete one of great age, were due and stayed, so that
    /// whoever waited for the timeout spun.
    #[test]
    fn a_timeout_that_is_due_always_leaves_less_to_wait_for() {
        let whole = |number| cut(&[7; 2000], false, number);
        let late = MAX_AGE - 10 * MS;
        for (early, second) in [(5, 3), (3, 5)] {
            let (mut r, start) = (Reassembler::new(), Instant::now());
            r.push(start, &whole(early)[0], 0).unwrap();
            r.push(start + late, &whole(second)[0], 0).unwrap();
            // And one that began long ago and became complete only now.
            r.push(start, &whole(9)[0], 0).unwrap();
            r.push(start + late, &whole(9)[1], 0).unwrap();
            let mut steps = 0;
            while let Some(due) = r.poll_timeout() {
                r.handle_timeout(due);
                assert!(r.poll_timeout().is_none_or(|next| next > due), "still due");
                steps += 1;
            }
            assert!((1..=3).contains(&steps));
            assert_eq!((drain(&mut r).len(), r.bytes_in_flight()), (1, 0));
        }
    }
}
