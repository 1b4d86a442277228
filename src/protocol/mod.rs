//! What two people's programs say to each other: the invite link, the envelopes that a relay carries, the messages inside
//! sealed sessions, and the meeting as a state machine.
//!
//! Nothing here names a socket, a clock or a random source. `handle_*(now, …)` goes in, `poll_*()` comes out, entropy is
//! passed in once; so every rule can be tested on virtual time over a virtual network. `docs/PROTOCOL.md` says byte for
//! byte what this module sends.

pub mod envelope;
pub mod group_code;
pub mod invite;
pub mod link;
pub mod log;
pub mod log_compare;
pub mod log_reader;
pub mod media_header;
pub mod meeting;
pub mod relay_address;
pub mod roster;
pub mod timers;
pub mod wire;

pub use invite::{Invite, InviteError};
pub use meeting::{Event, Meeting, PeerNo, Transmit};
pub use relay_address::RelayAddress;
