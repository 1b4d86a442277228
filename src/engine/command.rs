//! What a person can ask of the engine.

use std::path::PathBuf;
use std::time::Duration;

use crate::engine::view::{InviteNo, PeerId};
use crate::media::device::{CameraChoice, MicChoice, SpeakerChoice};
use crate::settings::Settings;

/// What a person came for.
#[derive(Clone, PartialEq, Eq)]
pub enum Intent {
    /// A new meeting, on this device.
    Start,
    /// The meeting behind an invite link. It holds secrets: it has no `Debug`.
    Join(String),
}

/// What two people found when they compared their safety numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The numbers were equal. It is remembered for this identity key.
    Match,
    /// They were not: media to and from that peer stops.
    Mismatch,
    /// The person takes an earlier verdict back.
    Withdrawn,
}

/// An invite that the host wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InviteWish {
    /// For whom; shown to the host alone.
    pub label: String,
    /// How long it works; `None`: until the meeting ends.
    pub lasts: Option<Duration>,
    /// It lets in one person.
    pub single_use: bool,
}

/// One request. The engine answers by a new [`View`](super::View) or an [`Event`](super::Event).
#[derive(Clone)]
pub enum Command {
    /// Opens the pre-join screen and starts the preview of camera and microphone.
    Prepare(Intent),
    /// From the pre-join screen into the meeting (or its lobby), under this name.
    Enter {
        /// The name that the others will see once admitted.
        name: String,
    },
    /// From pre-join, or from the ended screen, back home. Releases the devices.
    GoHome,
    /// Leaves the meeting, the lobby, or gives up connecting.
    Leave,
    /// Microphone on (`true`) or muted.
    SetMic(bool),
    /// Camera on or off. Off releases the device.
    SetCamera(bool),
    /// Another camera; it is remembered.
    ChooseCamera(CameraChoice),
    /// Another microphone; it is remembered.
    ChooseMic(MicChoice),
    /// Another speaker; it is remembered.
    ChooseSpeaker(SpeakerChoice),
    /// Looks for devices now.
    RefreshDevices,
    /// Plays a short sound on the chosen speaker.
    TestSound,
    /// Before a meeting: records what others would hear, for some seconds, and then plays it once. `false` ends the
    /// recording and plays what there is, or ends the playing. Nothing of it leaves the device.
    HearMyself(bool),
    /// Lets a knocker in.
    Admit(PeerId),
    /// Turns a knocker away.
    Decline(PeerId),
    /// Turns a knocker away, now and whenever they knock again.
    Block(PeerId),
    /// Hears somebody knocking again, named by their fingerprint.
    Unblock(String),
    /// Opens a further invite (the host).
    CreateInvite(InviteWish),
    /// Closes an invite (the host). Who came in with it stays.
    RevokeInvite(InviteNo),
    /// Sends a member out (host, co-host).
    Remove(PeerId),
    /// Locks or opens the door (host, co-host).
    SetLocked(bool),
    /// Makes a member a co-host, or an ordinary member again (the host).
    SetCoHost {
        /// Whom.
        peer: PeerId,
        /// Co-host or not.
        cohost: bool,
    },
    /// Makes a member the host and stays as an ordinary one (the host).
    HandOver(PeerId),
    /// Leaves the meeting to whoever is to take over, instead of ending it for everyone (the host).
    LeaveToHeir,
    /// What reading the group code aloud showed.
    JudgeCode {
        /// The digits of the code that was read: another may have taken its place meanwhile.
        digits: String,
        /// What it showed.
        verdict: Verdict,
    },
    /// Writes the signed log of the meeting to this file.
    SaveLog(PathBuf),
    /// Writes the report of the call (figures only, no names and no addresses) to this file.
    SaveReport(PathBuf),
    /// What the comparison of safety numbers with a peer showed.
    Judge {
        /// With whom it was compared.
        peer: PeerId,
        /// What it showed.
        verdict: Verdict,
    },
    /// How loud a peer is played: 0 silent, 1 as sent, 2 at most.
    SetVolume {
        /// Whose.
        peer: PeerId,
        /// Factor, clamped to 0..=2.
        volume: f32,
    },
    /// How large a peer's pictures are shown: they are asked to send no larger ones. Before the first such command they may
    /// send any.
    WatchPeer {
        /// Whose.
        peer: PeerId,
        /// Rows of pixels on the screen; 0: they are not shown at all, and none are to be sent.
        height: u32,
    },
    /// Replaces the settings, applies and saves them.
    ChangeSettings(Box<Settings>),
    /// Ends everything in good order; the engine stops.
    Quit,
}
