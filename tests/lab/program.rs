//! `lab-link`: a network of two namespaces as bad as it is told to be, for `make lab`. See [`emulate`].
//!
//! ```text
//! lab-link NAMESPACE ADDRESS/LENGTH NAMESPACE ADDRESS/LENGTH [--seed N] [--ab|--ba|--both SETTINGS]
//!          [--at SECONDS ab|ba|both SETTINGS] [--log FILE]
//! ```
//!
//! SETTINGS are `key=value,…` as `link::Settings::apply` reads them, such as `delay=25,loss=5,rate=1000,queue=300`.
#![allow(dead_code, clippy::print_stderr, unreachable_pub)] // the tests of this code use the rest

#[cfg(target_os = "linux")]
mod emulate;
mod link;
mod record;

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    match emulate::Options::read(std::env::args().skip(1)).and_then(emulate::emulate) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("{sentence}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("Network namespaces are Linux's.");
    ExitCode::FAILURE
}
