//! Conclave: video meetings whose keys only their members hold.
//!
//! One package, two programs: `conclave` (the app, and the same engine without a window) and
//! `conclave-relay` (a rendezvous server that knows nothing).
//!
//! The way down is one way: `ui, headless → engine → {media, transport, rendezvous, protocol} → crypto`, and
//! `relay → rendezvous::frames` alone. `crypto` and `protocol` name no socket, file, clock or random source:
//! time and entropy are arguments. `tests/house.rs` reads every import and fails on one that goes up.
#![deny(unsafe_code)]

#[cfg(feature = "protocol")]
pub mod crypto;
#[cfg(feature = "client")]
pub mod engine;
#[cfg(feature = "client")]
pub mod headless;
#[cfg(feature = "relay")]
pub mod logging;
#[cfg(feature = "client")]
pub mod media;
#[cfg(feature = "protocol")]
pub mod protocol;
#[cfg(feature = "relay")]
pub mod relay;
#[cfg(feature = "relay")]
pub mod rendezvous;
#[cfg(feature = "client")]
pub mod settings;
#[cfg(feature = "client")]
pub mod transport;
#[cfg(feature = "desktop")]
pub mod ui;
