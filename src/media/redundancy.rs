//! How often a packet of sound is repeated, and the packets that may still be. Pure.
//!
//! A packet can carry copies of earlier ones (the idea of RFC 2198, inside of what is sealed). They cost as much as the
//! original, so they are sent only to whom the network loses something; how much it loses is all that decides. What is
//! said has no part in it: all packets of one mode are of one size.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::frame::BLOCK;

/// Loss from which on one copy is sent.
const ONE_FROM: f32 = 0.025;
/// Loss from which on two are.
const TWO_FROM: f32 = 0.08;
/// Loss below which the second copy is not worth its bytes any more.
const TWO_UNTIL: f32 = 0.05;
/// Loss below which the first is not.
const ONE_UNTIL: f32 = 0.015;
/// How long loss must have been low before anything is taken back: networks that lost will lose again.
const CALM: Duration = Duration::from_secs(10);
/// Share of a new report in the average, where it is worse than the average. One report covers some fifty packets only.
const WORSE: f32 = 0.5;
/// The same where it is better.
const BETTER: f32 = 0.15;
/// Peers that may report.
const PEERS: usize = 64;
/// Loss that the codec's own redundancy is dimensioned for until somebody has reported, in percent.
const FIRST_PERCENT: u8 = 10;
/// The least and the most it is dimensioned for.
const PERCENT: std::ops::RangeInclusive<u8> = 2..=20;

/// How many copies a packet carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Redundancy {
    /// None.
    #[default]
    Off,
    /// One, of the packet before the last: two losses on end are made up for, and the codec's own redundancy has the last.
    One,
    /// Two, of the last and of the third last: three losses on end are made up for.
    Two,
}

impl Redundancy {
    /// How many packets back the copies lie.
    pub fn distances(self) -> &'static [u8] {
        match self {
            Self::Off => &[],
            Self::One => &[2],
            Self::Two => &[1, 3],
        }
    }
}

/// What each peer's network loses of the own sound.
#[derive(Debug, Default)]
pub struct LossLedger {
    peers: Vec<Peer>,
    mode: Redundancy,
    /// Since when less would do.
    calm: Option<Instant>,
}

#[derive(Debug)]
struct Peer {
    id: u32,
    loss: f32,
    /// Their way is so narrow that more than one copy would starve everything else.
    narrow: bool,
}

impl LossLedger {
    fn peer(&mut self, id: u32) -> Option<&mut Peer> {
        let at = match self.peers.iter().position(|peer| peer.id == id) {
            Some(at) => at,
            None if self.peers.len() < PEERS => {
                self.peers.push(Peer { id, loss: -1.0, narrow: false });
                self.peers.len() - 1
            }
            None => return None,
        };
        self.peers.get_mut(at)
    }

    /// A peer's side reports at `now` that `loss` (0 to 1) of what was sent to it did not arrive.
    pub fn handle_loss(&mut self, now: Instant, id: u32, loss: f32) {
        let loss = if loss.is_finite() { loss.clamp(0.0, 1.0) } else { return };
        if let Some(peer) = self.peer(id) {
            let share = if loss > peer.loss { WORSE } else { BETTER };
            // The first report stands for itself, but one alone is not believed to the full.
            peer.loss = if peer.loss < 0.0 { WORSE * loss } else { peer.loss + share * (loss - peer.loss) };
        }
        self.choose(now);
    }

    /// Whether a peer's way carries sound and hardly more.
    pub fn set_narrow(&mut self, now: Instant, id: u32, narrow: bool) {
        if let Some(peer) = self.peer(id) {
            peer.narrow = narrow;
        }
        self.choose(now);
    }

    /// Nothing goes to that peer any more.
    pub fn forget(&mut self, now: Instant, id: u32) {
        self.peers.retain(|peer| peer.id != id);
        self.choose(now);
    }

    /// The worst of the peers' losses, 0 to 1; `None` before anybody has reported.
    pub fn worst(&self) -> Option<f32> {
        self.peers.iter().map(|peer| peer.loss).filter(|loss| *loss >= 0.0).reduce(f32::max)
    }

    /// The mode in force.
    pub fn mode(&self) -> Redundancy {
        // Whose way is narrow is among those who get it: nobody may be starved by what another one needs.
        let most = if self.peers.iter().any(|peer| peer.narrow) { Redundancy::One } else { Redundancy::Two };
        self.mode.min(most)
    }

    /// What the codec's own redundancy is to be dimensioned for, in percent.
    pub fn percent(&self) -> u8 {
        match self.worst() {
            None => FIRST_PERCENT,
            Some(loss) => ((loss * 100.0).ceil() as u8).clamp(*PERCENT.start(), *PERCENT.end()),
        }
    }

    fn choose(&mut self, now: Instant) {
        let loss = self.worst().unwrap_or(0.0);
        let needed = if loss >= TWO_FROM {
            Redundancy::Two
        } else if loss >= ONE_FROM {
            Redundancy::One
        } else {
            Redundancy::Off
        };
        let enough = match self.mode {
            Redundancy::Two if loss < ONE_UNTIL => Redundancy::Off,
            Redundancy::Two if loss < TWO_UNTIL => Redundancy::One,
            Redundancy::One if loss < ONE_UNTIL => Redundancy::Off,
            mode => mode,
        };
        if needed > self.mode {
            self.mode = needed;
            self.calm = None;
        } else if enough < self.mode {
            if now.saturating_duration_since(*self.calm.get_or_insert(now)) >= CALM {
                self.mode = enough;
                self.calm = None;
            }
        } else {
            self.calm = None;
        }
    }
}

/// The newest packets sent, for copies.
#[derive(Debug, Default)]
pub struct SentPackets {
    packets: VecDeque<(u32, Vec<u8>)>,
}

/// Packets kept: as far back as a copy can lie.
const KEPT: usize = 3;

impl SentPackets {
    /// `packet` went out with this RTP timestamp.
    pub fn push(&mut self, rtp_timestamp: u32, packet: &[u8]) {
        let mut slot = if self.packets.len() >= KEPT { self.packets.pop_front() } else { None }.unwrap_or_default();
        slot.0 = rtp_timestamp;
        slot.1.clear();
        slot.1.extend_from_slice(packet);
        self.packets.push_back(slot);
    }

    /// The packet `distance` before the one that is about to be sent with this timestamp, if no pause lies between.
    pub fn before(&self, rtp_timestamp: u32, distance: u8) -> Option<&[u8]> {
        let stamp = rtp_timestamp.wrapping_sub(u32::from(distance) * BLOCK as u32);
        let at = self.packets.len().checked_sub(distance.into())?;
        self.packets.get(at).filter(|(sent, _)| *sent == stamp).map(|(_, packet)| packet.as_slice())
    }

    /// Nothing sent so far may be repeated: the key, or who listens, has changed.
    pub fn clear(&mut self) {
        self.packets.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(ledger: &mut LossLedger, start: Instant, seconds: std::ops::Range<u64>, id: u32, loss: f32) {
        for second in seconds {
            ledger.handle_loss(start + Duration::from_secs(second), id, loss);
        }
    }

    #[test]
    fn copies_follow_the_loss_up_at_once_and_down_after_a_while() {
        let start = Instant::now();
        let mut ledger = LossLedger::default();
        assert_eq!((ledger.mode(), ledger.percent()), (Redundancy::Off, 10));
        report(&mut ledger, start, 0..20, 1, 0.01);
        assert_eq!((ledger.mode(), ledger.percent()), (Redundancy::Off, 2));
        report(&mut ledger, start, 20..23, 1, 0.04);
        assert_eq!(ledger.mode(), Redundancy::One);
        report(&mut ledger, start, 23..27, 1, 0.12);
        assert_eq!(ledger.mode(), Redundancy::Two);
        assert!(ledger.percent() >= 10);
        report(&mut ledger, start, 27..37, 1, 0.0);
        assert_eq!(ledger.mode(), Redundancy::Two, "not yet");
        report(&mut ledger, start, 37..80, 1, 0.0);
        assert_eq!(ledger.mode(), Redundancy::Off);
    }

    #[test]
    fn a_loss_at_the_threshold_does_not_make_it_waver() {
        let start = Instant::now();
        let mut ledger = LossLedger::default();
        let (mut changes, mut last) = (0, Redundancy::Off);
        for second in 0..600u64 {
            let loss = if second % 3 == 0 { 0.055 } else { 0.012 };
            ledger.handle_loss(start + Duration::from_secs(second), 1, loss);
            changes += u32::from(ledger.mode() != last);
            last = ledger.mode();
        }
        assert!(changes <= 2, "{changes}");
    }

    #[test]
    fn the_worst_of_the_peers_decides_and_who_has_gone_does_not() {
        let start = Instant::now();
        let mut ledger = LossLedger::default();
        report(&mut ledger, start, 0..10, 1, 0.0);
        report(&mut ledger, start, 0..10, 2, 0.2);
        assert_eq!(ledger.mode(), Redundancy::Two);
        ledger.forget(start + Duration::from_secs(10), 2);
        report(&mut ledger, start, 10..25, 1, 0.0);
        assert_eq!(ledger.mode(), Redundancy::Off);
    }

    #[test]
    fn where_a_way_is_narrow_one_copy_is_the_most() {
        let start = Instant::now();
        let mut ledger = LossLedger::default();
        report(&mut ledger, start, 0..10, 1, 0.2);
        ledger.set_narrow(start, 2, true);
        assert_eq!(ledger.mode(), Redundancy::One);
        ledger.set_narrow(start, 2, false);
        assert_eq!(ledger.mode(), Redundancy::Two);
    }

    #[test]
    fn strange_reports_and_crowds_are_bounded() {
        let start = Instant::now();
        let mut ledger = LossLedger::default();
        for id in 0..1_000 {
            ledger.handle_loss(start, id, [f32::NAN, f32::INFINITY, -3.0, 7.0][id as usize % 4]);
        }
        assert!(ledger.peers.len() <= PEERS);
        assert!(ledger.worst().is_some_and(|loss| (0.0..=1.0).contains(&loss)));
        assert!(PERCENT.contains(&ledger.percent()));
    }

    #[test]
    fn a_packet_from_before_a_pause_is_not_repeated() {
        let mut sent = SentPackets::default();
        assert_eq!(sent.before(0, 1), None);
        for n in 0..5u32 {
            sent.push(n * 960, &[n as u8]);
        }
        assert_eq!(sent.before(5 * 960, 1), Some(&[4][..]));
        assert_eq!(sent.before(5 * 960, 3), Some(&[2][..]));
        assert_eq!(sent.before(5 * 960, 4), None);
        assert_eq!(sent.before(50 * 960, 1), None, "time has leapt");
        sent.push(50 * 960, &[50]);
        assert_eq!(sent.before(51 * 960, 1), Some(&[50][..]));
        assert_eq!(sent.before(51 * 960, 2), None);
        sent.clear();
        assert_eq!(sent.before(51 * 960, 1), None);
    }
}
