//! Who is in the meeting: a chain of entries, each signed by the host, which every member checks for itself.
//!
//! A member encrypts for the list in force and for nobody else, and takes names from it and from nowhere else. Who hosts,
//! who takes over if the host is lost, and whether the door is locked stand in the list as well.

pub mod chain;
pub mod entry;

pub use chain::{Roster, RosterError, Taken};
pub use entry::{Entry, EntryError, EntryHash, Head, Listed, MemberRole, NOBODY, Operation, Signed};
