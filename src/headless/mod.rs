//! The same engine without a window: for bots, benches and tests.

pub mod call;
pub mod report;
mod route_args;
