//! The same engine without a window: for bots, benches and tests.

pub mod call;
pub mod log;
pub mod report;
pub mod route_args;
