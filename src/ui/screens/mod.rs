//! The screens, one for each stage. Each returns how far above the lower edge toasts are to stand, in points.

pub(crate) mod connecting;
pub(crate) mod ended;
pub(crate) mod home;
pub(crate) mod lobby;
pub(crate) mod meeting;
mod overlay;
pub(crate) mod pop_out;
pub(crate) mod prejoin;
mod stage;
pub(crate) use stage::reachability;
