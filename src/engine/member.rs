//! One other member as this engine lives with it: names and roles from the roster, keys, pictures and the path to them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::crypto::identity::IdentityKey;
use crate::engine::peer_path::PeerPath;
use crate::engine::quality::Monitor;
use crate::engine::receiving::Inbound;
use crate::engine::statistics::Reading;
use crate::engine::view::{self, PeerId, PeerLink, PeerStats, Verification};
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
    /// Their pictures are on the screen.
    pub(crate) watched: bool,
    /// Watches how well it goes.
    pub(crate) monitor: Monitor,
    pub(crate) last: Option<Reading>,
}

impl Member {
    /// A path has been sought for so long that something must be in its way.
    pub(crate) fn finds_no_path(&self) -> bool {
        self.link == PeerLink::Connecting && self.since.elapsed() > PATH_PATIENCE
    }
}
