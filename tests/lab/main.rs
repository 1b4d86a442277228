//! Calls over networks that lose, delay and narrow: the emulated link itself, and what must hold of a call whatever the link
//! does. `make lab` measures the same over the same link, beside Chromium; nothing here fails on a figure of quality.
//! Needs root, iproute2 and TUN devices.
#![cfg(all(feature = "desktop", target_os = "linux"))]
// A test may panic: that is how it fails.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    unreachable_pub
)]

mod calls;
mod emulate;
mod link;
mod link_tests;
#[allow(dead_code)]
#[path = "../netns/mod.rs"]
mod netns;
#[path = "../processes/mod.rs"]
mod processes;
mod record;

/// What this program does when it is run again: it is the link.
#[test]
#[ignore = "a part of the others"]
fn parts() {
    let part = std::env::var(netns::PART).unwrap();
    let words = part.split_whitespace().map(str::to_owned);
    emulate::Options::read(words).and_then(emulate::emulate).unwrap();
}
