//! The window, driven by the names that a screen reader says, with a scripted engine at the other ends of its handle.
#![cfg(feature = "desktop")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test may end it")]

mod before;
mod door;
mod meeting;
mod outside;
mod people;
mod quality;
mod settings;
mod trust;
#[path = "../window_script/mod.rs"]
mod window_script;
mod windows;
