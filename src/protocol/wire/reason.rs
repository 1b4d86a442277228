//! Why somebody is not let in, and why a session ends: one byte each, and unknown ones are taken as no more than that.

/// Why a guest was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeclineReason {
    /// A person said no.
    Declined,
    /// The meeting has no free seat.
    Full,
    /// Too many are waiting at the door.
    Busy,
    /// Nobody answered the knock in time.
    Unanswered,
    /// The guest has the host's own identity.
    OwnIdentity,
    /// The meeting is locked.
    Locked,
    /// The invite was for one person, and somebody else has come in with it.
    Spent,
    /// A reason this program does not know.
    Other(u8),
}

impl DeclineReason {
    /// On the wire.
    pub fn code(self) -> u8 {
        match self {
            Self::Declined => 1,
            Self::Full => 2,
            Self::Busy => 3,
            Self::Unanswered => 4,
            Self::OwnIdentity => 5,
            Self::Locked => 6,
            Self::Spent => 7,
            Self::Other(code) => code,
        }
    }

    /// From the wire.
    pub fn from_code(code: u8) -> Self {
        match code {
            1 => Self::Declined,
            2 => Self::Full,
            3 => Self::Busy,
            4 => Self::Unanswered,
            5 => Self::OwnIdentity,
            6 => Self::Locked,
            7 => Self::Spent,
            other => Self::Other(other),
        }
    }
}

/// Why a session was ended by the one who ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaveReason {
    /// The person left.
    Left,
    /// The host ended the meeting for everyone.
    MeetingOver,
    /// The receiver of this message broke the protocol.
    Violation,
    /// The same identity came in anew.
    Replaced,
    /// The speaker had not heard from the receiver for too long.
    Dropped,
    /// The host sent the receiver out.
    Removed,
    /// A reason this program does not know.
    Other(u8),
}

impl LeaveReason {
    /// On the wire.
    pub fn code(self) -> u8 {
        match self {
            Self::Left => 1,
            Self::MeetingOver => 2,
            Self::Violation => 3,
            Self::Replaced => 4,
            Self::Dropped => 5,
            Self::Removed => 6,
            Self::Other(code) => code,
        }
    }

    /// From the wire.
    pub fn from_code(code: u8) -> Self {
        match code {
            1 => Self::Left,
            2 => Self::MeetingOver,
            3 => Self::Violation,
            4 => Self::Replaced,
            5 => Self::Dropped,
            6 => Self::Removed,
            other => Self::Other(other),
        }
    }
}
