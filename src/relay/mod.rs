//! The rendezvous relay: it carries opaque messages between the connections of a room and answers STUN binding
//! requests on the same port number. It stores nothing, parses no payload, and bounds whatever a stranger controls.
//!
//! What it speaks is in [`rendezvous::frames`](crate::rendezvous::frames). [`room`], [`limits`] and [`stun`] are
//! pure; [`server`] has the sockets. Logs hold no address and no room.

mod connection;
mod hall;
pub mod limits;
mod metered;
pub mod metrics;
pub mod record;
pub mod room;
pub mod server;
pub mod settings;
pub mod stun;
pub mod tls;

pub use metrics::Counters;
pub use server::{RelayError, RelayServer};
pub use settings::{Limits, Rate, RelayConfig, TlsFiles};
