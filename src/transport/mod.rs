//! The way media takes to one other member: WebRTC (ICE, DTLS-SRTP, RTP) under frames that are already sealed.
//!
//! A [`Path`] joins this member with one other. What it carries was sealed by SFrame before it got here, so nothing
//! in this module can read a picture or a sound; DTLS-SRTP is a second, pairwise envelope around it. Session
//! descriptions and candidates travel inside the members' Noise session, which is what makes the certificate
//! fingerprints in them worth checking.
//!
//! ```text
//! send_video → bandwidth::Sender (pacer, fragment::split, retransmissions) → SRTP → UDP
//! UDP → SRTP → loss tap (NACK) → RTX unwrapped → reassembly::Reassembler → PathEvent::Video
//! ```
//!
//! [`bandwidth`], [`fragment`], [`reassembly`], [`loss`], [`policy`] and [`sdp`] are pure: no socket, no clock. The driver of
//! the crate `webrtc` lives behind [`Path`], and what taps into its packet chain is in `interceptors`.

pub mod bandwidth;
mod ccfb;
pub mod fragment;
mod guarded;
mod interceptors;
pub mod loss;
mod path;
pub mod policy;
pub mod reassembly;
mod rtc;
pub mod sdp;
mod stats;
pub mod turn_stream;
mod watch;

pub use bandwidth::{LimitedBy, Limits, Target};
pub use path::{Path, PathConfig, PathError, PathEvent, Role};
pub use policy::{PolicyError, RouteGuard, RoutePolicy, RouteRefusal, TurnServer};
pub use stats::{PathStats, Route};
pub use turn_stream::{TurnTransport, TurnTrust};
