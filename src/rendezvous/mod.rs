//! How members find each other: the relay's frames, a client for it, the relay inside the app, discovery on the
//! local network and port mapping at the router.

pub mod client;
pub mod frames;
#[cfg(feature = "client")]
pub mod lan;
pub mod local;
#[cfg(feature = "client")]
pub mod port_mapping;
