//! What a meeting tells its engine, and the reasons it gives.

use std::fmt;
use std::time::Duration;

use crate::crypto::identity::IdentityKey;
use crate::crypto::sender_keys::SenderKey;
use crate::protocol::group_code::{Code, CodeError};
use crate::protocol::invite::InviteId;
use crate::protocol::roster::{EntryHash, Head, MemberRole, RosterError};
use crate::protocol::wire::{DeclineReason, LeaveReason, WireError};

/// A connection at the relay, numbered by the relay.
pub type ConnId = u64;

/// Somebody at the door or in the meeting, numbered by this program: never reused within a meeting.
pub type PeerNo = u32;

/// A payload for the relay.
#[derive(Clone, PartialEq, Eq)]
pub struct Transmit {
    /// To one connection, or (`None`) to everyone else in the room.
    pub to: Option<ConnId>,
    /// An [`Envelope`](crate::protocol::envelope::Envelope), at most 65,536 bytes.
    pub payload: Vec<u8>,
}

/// The roster in force, in the terms of this program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterState {
    /// Number of the entry.
    pub counter: u64,
    /// Its hash.
    pub hash: EntryHash,
    /// Nobody new comes in.
    pub locked: bool,
    /// What we may do.
    pub own_role: MemberRole,
    /// What the others may do.
    pub roles: Vec<(PeerNo, MemberRole)>,
    /// Who takes over if the host is lost.
    pub heir: Heir,
}

/// Who takes over if the host is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heir {
    /// Nobody.
    Nobody,
    /// We.
    Own,
    /// Somebody else.
    Peer(PeerNo),
}

/// Something that happened. Poll until `None` after every call.
pub enum Event {
    /// Guest: the host has proven the identity that the link names, and has our knock. We are in the lobby.
    Reached {
        /// The host.
        peer: PeerNo,
        /// As in the link.
        identity: IdentityKey,
    },
    /// Host and co-hosts: somebody with a valid invite and a proven identity asks to be let in.
    Knocked {
        /// To admit or decline by.
        peer: PeerNo,
        /// Proven to the host.
        identity: IdentityKey,
        /// What they call themselves; nothing proves it.
        name: String,
        /// The invite they used; a co-host is not told.
        invite: Option<InviteId>,
        /// This identity had been admitted to this meeting before.
        returning: bool,
    },
    /// Host and co-hosts: a knocker has gone, or came again under another number.
    KnockGone {
        /// Who.
        peer: PeerNo,
    },
    /// Host: calls that knew no valid invite, so far. They were answered with silence.
    RefusedAtDoor {
        /// Since the meeting began.
        total: u64,
    },
    /// Host: somebody who holds an invite called with a suite that is not spoken here (without ML-KEM, say), and was told so.
    SuiteRefused {
        /// What they wanted to speak.
        suite: u8,
    },
    /// Both: we are in the meeting. A host hears this at once.
    Entered {
        /// Our sender index, for the KID of what we seal.
        own_index: u16,
        /// The meeting's id: the metadata (AAD) of every sealed frame.
        meeting: [u8; 32],
    },
    /// Both: the roster names somebody who is in the meeting with us. Names come from here and from nowhere else.
    Joined {
        /// Who, from now on.
        peer: PeerNo,
        /// As the host certified.
        identity: IdentityKey,
        /// As the host certified.
        name: String,
        /// Their sender index.
        index: u16,
    },
    /// Both: a session with a member stands, and the identity that the roster names is proven. Descriptions, candidates and
    /// keys pass from here on.
    Paired {
        /// With whom.
        peer: PeerNo,
        /// Our engine makes the offer, at once.
        offers: bool,
    },
    /// Both: the session with a member has ended, though the roster still names it. It may be paired anew.
    Unpaired {
        /// With whom.
        peer: PeerNo,
    },
    /// Both: the roster in force, after each change.
    Roster(RosterState),
    /// Both: a code for everyone who is here; `None` when the one before holds no longer.
    Code(Option<Code>),
    /// Both: the host signed two entries for one place: somebody is shown another list. Nothing is sealed any more.
    Forked {
        /// What is in force here.
        ours: Head,
        /// What came.
        other: Head,
    },
    /// Both: a session description arrived.
    Offer {
        /// From whom.
        peer: PeerNo,
        /// Hostile until parsed.
        sdp: String,
    },
    /// Both: a session description arrived.
    Answer {
        /// From whom.
        peer: PeerNo,
        /// Hostile until parsed.
        sdp: String,
    },
    /// Both: an ICE candidate arrived; empty ends them.
    Candidate {
        /// From whom.
        peer: PeerNo,
        /// Hostile until parsed.
        line: String,
    },
    /// Both: what a peer is sending.
    MediaState {
        /// Who.
        peer: PeerNo,
        /// Microphone on.
        mic: bool,
        /// Camera on.
        camera: bool,
    },
    /// Both: how large a peer shows our pictures.
    VideoWish {
        /// Who.
        peer: PeerNo,
        /// Rows of pixels that it has a place for, whatever it says; 0: it wants none.
        height: u16,
    },
    /// Both: seal with this key from now on, with a key frame first. The key before it is to be forgotten.
    SendKey(SenderKey),
    /// Both: nobody is left to seal for. Stop, and forget the key.
    SendKeyGone,
    /// Both: frames of this peer and generation can be opened with this key.
    OpenKey {
        /// Whose.
        peer: PeerNo,
        /// Their sender index, as in the KID.
        sender: u16,
        /// Generation and base key.
        key: SenderKey,
    },
    /// Both: forget this key of this peer.
    RetireKey {
        /// Whose.
        peer: PeerNo,
        /// Which.
        generation: u32,
    },
    /// Both: a round trip through the relay.
    Rtt {
        /// With whom.
        peer: PeerNo,
        /// How long it took.
        rtt: Duration,
    },
    /// Both: nothing has been heard from a member for a while. Media may still flow; the engine decides, and can
    /// [`drop_peer`](super::Meeting::drop_peer). Guest: from the host, before it admitted us; we call it again.
    Silent {
        /// Who.
        peer: PeerNo,
    },
    /// Both: somebody silent was heard again.
    HeardAgain {
        /// Who.
        peer: PeerNo,
    },
    /// Both: somebody is no longer in the meeting. Their keys are to be forgotten.
    Left {
        /// Who.
        peer: PeerNo,
        /// Why.
        why: Departure,
    },
    /// Both: this meeting is over for us. No further event follows.
    Ended {
        /// Why.
        why: End,
    },
}

impl Event {
    /// The name of the event's kind, for logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Reached { .. } => "reached",
            Self::Knocked { .. } => "knocked",
            Self::KnockGone { .. } => "knock gone",
            Self::RefusedAtDoor { .. } => "refused at the door",
            Self::SuiteRefused { .. } => "suite refused",
            Self::Entered { .. } => "entered",
            Self::Joined { .. } => "joined",
            Self::Paired { .. } => "paired",
            Self::Unpaired { .. } => "unpaired",
            Self::Roster(_) => "roster",
            Self::Code(_) => "code",
            Self::Forked { .. } => "forked",
            Self::Offer { .. } => "offer",
            Self::Answer { .. } => "answer",
            Self::Candidate { .. } => "candidate",
            Self::MediaState { .. } => "media state",
            Self::VideoWish { .. } => "video wish",
            Self::SendKey(_) => "send key",
            Self::SendKeyGone => "send key gone",
            Self::OpenKey { .. } => "open key",
            Self::RetireKey { .. } => "retire key",
            Self::Rtt { .. } => "round trip",
            Self::Silent { .. } => "silent",
            Self::HeardAgain { .. } => "heard again",
            Self::Left { .. } => "left",
            Self::Ended { .. } => "ended",
        }
    }
}

/// Names, descriptions and keys stay out of logs.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Left { why, .. } => write!(f, "left: {why:?}"),
            Self::Ended { why } => write!(f, "ended: {why:?}"),
            other => f.write_str(other.kind()),
        }
    }
}

/// Why somebody is no longer in the meeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Departure {
    /// They said so.
    Said(LeaveReason),
    /// They broke the protocol.
    Broke(Violation),
    /// They came in anew (after a crash, say) and knock again.
    Replaced,
    /// This program gave them up: nothing was heard of them.
    Dropped,
    /// The host, as the roster says, sent them out.
    Removed,
    /// The roster no longer names them, since they left or were lost.
    Listed,
}

/// Why a meeting is over for this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// We left.
    Left,
    /// The host ended the meeting, or our part in it.
    HostLeft(LeaveReason),
    /// We gave the host up, having heard nothing for too long.
    HostLost,
    /// The host did not let us in.
    Declined(DeclineReason),
    /// No answer came that the host of this link could have sent.
    NoAnswer {
        /// Answers that did come and were not the host's: somebody in between made or damaged them.
        forged: u32,
    },
    /// Whoever answered holds the meeting's key and is not the identity that the link names.
    WrongHost(HostProof),
    /// The host broke the protocol.
    HostBroke(Violation),
    /// The host's program does not speak this suite, and said what it speaks.
    SuiteRefused {
        /// What it speaks.
        suite: u8,
    },
}

/// What was wrong with the proof of the host's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostProof {
    /// It proves another identity than the link's.
    OtherIdentity,
    /// The signature is not valid.
    BadSignature,
}

/// A rule that a peer broke inside an authentic session. The session is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// Bytes that are no message.
    #[error("not a message: {0}")]
    Malformed(WireError),
    /// The rules of the link layer.
    #[error("delivery: {0}")]
    Delivery(&'static str),
    /// A message at a time or from a side that may not send it.
    #[error("a {0} message out of place")]
    OutOfPlace(&'static str),
    /// A guest's proof of identity is not valid.
    #[error("the proof of identity is not valid")]
    BadProof,
    /// A sender key that is not newer than the last.
    #[error("a sender key's generation did not rise")]
    StaleGeneration,
    /// An acknowledgement of a key that was never handed out.
    #[error("a key that was never sent is acknowledged")]
    UnknownGeneration,
    /// A roster entry that is none, or not the host's.
    #[error("roster: {0}")]
    Roster(RosterError),
    /// A step of the group code that is not right.
    #[error("group code: {0}")]
    Code(CodeError),
    /// More messages than anyone needs.
    #[error("too many messages")]
    TooFast,
    /// It does not acknowledge what it is sent.
    #[error("too many messages wait for acknowledgement")]
    Unresponsive,
    /// The session has sealed all it can.
    #[error("the session is used up")]
    UsedUp,
}

/// What was dropped or refused, since the start: for statistics and diagnostics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Host: first messages that knew no valid invite, or came too fast.
    pub refused_at_door: u64,
    /// Payloads that are no envelope, or not one for this side.
    pub malformed: u64,
    /// Handshake messages that did not open.
    pub forged_handshakes: u64,
    /// Session messages that did not open (forged, damaged, replayed).
    pub not_authentic: u64,
    /// Session messages for no session known here.
    pub unknown_session: u64,
    /// Sessions closed because the peer broke the protocol.
    pub violations: u64,
    /// Roster entries refused.
    pub bad_entries: u64,
    /// Steps of a group code refused.
    pub bad_codes: u64,
    /// What only a host may say, or may be asked by a co-host, said by or to somebody who is not that: forged, or sent while the
    /// list was changing.
    pub out_of_turn: u64,
    /// Sender keys refused: their generation did not rise.
    pub stale_keys: u64,
    /// Host: successions that its heir claimed while it was here.
    pub false_claims: u64,
    /// Calls for another suite, refused with a word.
    pub suites_refused: u64,
    /// Handshakes and proofs of whoever is not the member it claims to be.
    pub false_members: u64,
}

/// Why a request to a meeting was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MeetingError {
    /// Only a host can do this.
    #[error("only the host can do this")]
    NotHost,
    /// Only a host or a co-host can do this.
    #[error("only the host or a co-host can do this")]
    NotInCharge,
    /// The meeting is locked.
    #[error("the meeting is locked")]
    Locked,
    /// Nobody of this number, or no longer.
    #[error("there is no such peer")]
    NoSuchPeer,
    /// Not in the meeting (yet).
    #[error("the peer has not been admitted")]
    NotAdmitted,
    /// Nobody of this number waits at the door.
    #[error("the peer is not waiting at the door")]
    NotWaiting,
    /// All seats are taken.
    #[error("the meeting is full")]
    Full,
    /// The roster takes no such member, who is turned away: another has its static key.
    #[error("the roster cannot list this member")]
    Unlistable,
    /// The meeting is over.
    #[error("the meeting is over")]
    Over,
    /// A text that may not be sent.
    #[error("the message cannot be sent: {0}")]
    Unsendable(WireError),
    /// The link was made by this very identity.
    #[error("the link is one's own")]
    OwnInvite,
    /// As many invites as a host keeps.
    #[error("too many invites are open")]
    TooManyInvites,
    /// The invite's relays.
    #[error("an invite names one to eight relays")]
    RelayCount,
    /// The handshake could not be begun: the link's key is not a usable one.
    #[error("the link's key cannot be used")]
    UnusableKey,
}
