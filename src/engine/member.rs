//! One other member as this engine lives with it: names and roles from the roster, keys, pictures and the path to them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::crypto::identity::IdentityKey;
use crate::engine::peer_path::PeerPath;
use crate::engine::quality::Monitor;
use crate::engine::receiving::Inbound;
use crate::engine::statistics::Reading;
use crate::engine::view::{self, PeerId, PeerLink, PeerStats, Verification};
use crate::media::adapt::WISH_INTERVAL;
use crate::protocol::roster::MemberRole;

/// A path that is not found by then probably will not be.
const PATH_PATIENCE: Duration = Duration::from_secs(12);

/// Somebody whom the roster names.
pub(crate) struct Member {
    pub(crate) id: PeerId,
    pub(crate) identity: IdentityKey,
    /// As the roster has it, or as they were saved.
    pub(crate) name: String,
    /// Sender index.
    pub(crate) index: u16,
    pub(crate) role: MemberRole,
    /// They have proven their identity to this device; before, it is the host's word alone.
    pub(crate) proven: bool,
    pub(crate) inbound: Arc<Inbound>,
    pub(crate) path: Option<PeerPath>,
    pub(crate) link: PeerLink,
    pub(crate) mic_on: bool,
    pub(crate) camera_on: bool,
    pub(crate) volume: f32,
    pub(crate) verification: Verification,
    pub(crate) safety_number: String,
    pub(crate) safety_qr: Arc<Vec<Vec<bool>>>,
    pub(crate) generation: u32,
    pub(crate) route: Option<view::Route>,
    /// Why no way to them is allowed, in a sentence.
    pub(crate) refused: Option<String>,
    pub(crate) stats: PeerStats,
    /// Since when a path to them is sought, or was found.
    pub(crate) since: Instant,
    /// Nothing has come through the relay for a while.
    pub(crate) silent: bool,
    pub(crate) shown: Shown,
    /// Watches how well it goes.
    pub(crate) monitor: Monitor,
    pub(crate) last: Option<Reading>,
}

/// How large their pictures are shown, and what they were told of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    /// In rows of pixels; none: nobody has said.
    pub(crate) height: Option<u16>,
    told: Option<u16>,
    at: Option<Instant>,
}

impl Shown {
    /// The height to tell them now, if there is news. While a window is being resized it is told a few times a second.
    pub(crate) fn news(&mut self, now: Instant) -> Option<u16> {
        let news = self.height.filter(|height| Some(*height) != self.told)?;
        if self.at.is_some_and(|at| now.saturating_duration_since(at) < WISH_INTERVAL) {
            return None;
        }
        (self.told, self.at) = (Some(news), Some(now));
        Some(news)
    }

    /// They know nothing of it: the session is a new one.
    pub(crate) fn forget_told(&mut self) {
        (self.told, self.at) = (None, None);
    }
}

impl Member {
    /// Whether a pause between their pictures is one: not while their camera is off, or nobody looks.
    pub(crate) fn expect_pictures(&self) {
        self.inbound.expect_pictures(self.camera_on && self.shown.height != Some(0));
    }

    /// A path has been sought for so long that something must be in its way.
    pub(crate) fn finds_no_path(&self) -> bool {
        self.link == PeerLink::Connecting && self.since.elapsed() > PATH_PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_told_the_newest_height_once_and_a_few_times_a_second_at_most() {
        let (mut shown, start) = (Shown::default(), Instant::now());
        assert_eq!(shown.news(start), None, "nobody has said anything");
        let mut told = Vec::new();
        for tick in 0..100u16 {
            shown.height = Some(300 + tick.min(60));
            told.extend(shown.news(start + Duration::from_millis(u64::from(tick) * 10)));
        }
        assert_eq!(told, [300, 325, 350, 360]);
        shown.forget_told();
        assert_eq!(shown.news(start), Some(360), "a new session knows nothing");
    }
}
