//! Everything that can reach the session task from outside, in one queue.

use tokio::sync::mpsc;

use crate::engine::devices::DeviceReport;
use crate::engine::view::{PeerId, PortMapping};
use crate::media::device::DeviceList;
use crate::transport::{PathStats, PolicyError, Route, RouteRefusal};

/// Where threads and tasks put what they have for the session.
pub(crate) type Inputs = mpsc::UnboundedSender<Input>;

/// One thing that happened. Media never pass through here.
pub(crate) enum Input {
    /// A device opened, failed, or was lost.
    Device(DeviceReport),
    /// The devices there are.
    DeviceList(DeviceList),
    /// News of the path to a peer. `path` numbers the attempt: news of an earlier one is stale.
    Path { peer: PeerId, path: u64, news: PathNews },
    /// What came of asking the router.
    PortMapping(PortMapping),
    /// Where the local network says that the meeting's relay is.
    FoundOnLan(Vec<std::net::SocketAddr>),
    /// The relay inside the app runs, or does not.
    RelayStarted(Result<crate::engine::hosting::OwnRelay, String>),
}

/// News of a path.
pub(crate) enum PathNews {
    /// Our offer, to be handed to the peer.
    Offer(String),
    /// Our answer, to be handed to the peer.
    Answer(String),
    /// One of our candidates, to be handed to the peer.
    Candidate(String),
    /// Media can flow.
    Connected,
    /// The path broke; it may come back by itself.
    Disconnected,
    /// The path is gone.
    Failed,
    /// The pair in use.
    Route(Route),
    /// What is allowed leaves no way, or none yet.
    Refused(RouteRefusal),
    /// What is allowed leaves no way that could even be looked for.
    Ruled(PolicyError),
    /// Figures since the path was made.
    Stats(Box<PathStats>),
}
