//! The whole truth of what may be shown. The window keeps no state of the meeting of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use crate::engine::quality::{Cause, Quality, Reason};
use crate::media::device::DeviceList;
use crate::media::frame::{Latest, Picture};
use crate::settings::Settings;

/// A peer within this meeting, numbered by this engine.
pub type PeerId = u32;

/// An invite within this meeting, numbered by this engine.
pub type InviteNo = u32;

/// Everything a window may show, as of one moment.
#[derive(Clone, PartialEq)]
pub struct View {
    /// Where the person is.
    pub stage: Stage,
    /// This device's identity, as a person reads it: groups of letters and digits.
    pub fingerprint: String,
    /// The settings in force.
    pub settings: Arc<Settings>,
    /// What can be chosen.
    pub devices: Arc<DeviceList>,
    /// Own camera and microphone (in pre-join, lobby and meeting).
    pub own: Own,
    /// What gets in the way just now, most serious first.
    pub notices: Vec<Notice>,
    /// Whom this device does not hear knocking any more.
    pub blocked: Arc<Vec<Blocked>>,
}

/// Somebody whose knocks are turned away unheard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// The name they went by.
    pub name: String,
    /// Fingerprint of their identity key; it names them in [`Command::Unblock`](super::Command::Unblock).
    pub fingerprint: String,
}

/// Where the person is.
#[derive(Clone, PartialEq)]
pub enum Stage {
    /// Nothing is going on.
    Home,
    /// Before a meeting, with preview.
    PreJoin(PreJoin),
    /// On the way to the relay or to the host: nothing is shared yet.
    Connecting(Connecting),
    /// At the door: a session with the host alone; no media, no key, no names.
    Lobby(Lobby),
    /// In the meeting.
    Meeting(Box<Meeting>),
    /// After it.
    Ended(Ended),
}

/// Own devices and whether they are on.
#[derive(Clone, PartialEq)]
pub struct Own {
    /// Microphone on (not muted).
    pub mic_on: bool,
    /// Camera on.
    pub camera_on: bool,
    /// State of the chosen microphone.
    pub mic: DeviceState,
    /// State of the chosen camera.
    pub camera: DeviceState,
    /// State of the chosen speaker.
    pub speaker: DeviceState,
    /// Loudness of the microphone now: 0 silence … 1 full scale, on a perceptual (dB) scale. Moves while muted too.
    pub mic_level: f32,
    /// Own picture, not mirrored.
    pub picture: Arc<Latest<Picture>>,
    /// The recording of what others would hear.
    pub hear_myself: HearMyself,
}

/// The recording of what others would hear, made and played on this device alone.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum HearMyself {
    /// There is none.
    #[default]
    Idle,
    /// It is being made.
    Recording {
        /// Loudness now, 0 to 1 as in [`Own::mic_level`].
        level: f32,
        /// How much of it is made, 0 to 1. It ends by itself.
        done: f32,
    },
    /// It is being played.
    Playing {
        /// How much of it was played, 0 to 1.
        done: f32,
    },
}

/// What a device is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceState {
    /// Off by choice, and released.
    Off,
    /// Being opened.
    Opening,
    /// Running, under this name.
    Running(String),
    /// Not running, and why, in a sentence for the person.
    Failed(String),
}

/// The pre-join screen.
#[derive(Clone, PartialEq)]
pub struct PreJoin {
    /// `None` when starting a meeting; the link's facts when joining.
    pub link: Option<LinkFacts>,
}

/// What an invite link says, before anyone is contacted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkFacts {
    /// The name that the link gives its host. Nothing proves it but the key.
    pub host_name: Option<String>,
    /// Fingerprint of the host's identity key.
    pub host_fingerprint: String,
    /// Whether this device has met that key.
    pub host: Familiarity,
    /// Host name or address of the relay, as a person reads it.
    pub relay: String,
    /// When it stops working (seconds since 1970), if ever.
    pub expires: Option<u64>,
}

/// What the checked text of the link field is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkCheck {
    /// Nothing typed yet.
    Empty,
    /// A good link.
    Good(LinkFacts),
    /// Not usable, and why, in a sentence.
    Bad(String),
}

/// Whether an identity key is known on this device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Familiarity {
    /// Never met.
    New,
    /// Met before under this name, not compared.
    Met(String),
    /// Compared and found right, under this name.
    Verified(String),
    /// Compared, and found to be somebody else than this name said.
    Mismatch(String),
    /// The name resembles that of a saved contact who has another key.
    LookAlike(String),
}

/// On the way in.
#[derive(Clone, Debug, PartialEq)]
pub struct Connecting {
    /// What is being tried, as a sentence in the present tense.
    pub step: String,
}

/// At the door.
#[derive(Clone, Debug, PartialEq)]
pub struct Lobby {
    /// Fingerprint of the host, proven by the handshake.
    pub host_fingerprint: String,
    /// Own safety number with the host: 60 digits in groups of five.
    pub safety_number: String,
    /// Since when.
    pub since: Instant,
}

/// In the meeting.
#[derive(Clone, PartialEq)]
pub struct Meeting {
    /// Whether this device hosts.
    pub hosting: bool,
    /// What this person may do here.
    pub role: Role,
    /// The invite link to hand out (the host only): that of the first invite that is still open. A secret.
    pub link: Option<String>,
    /// All invites of this meeting, in the order in which they were made (the host only).
    pub invites: Vec<InviteLink>,
    /// Nobody new is let in, and no knock is shown.
    pub locked: bool,
    /// Name of whoever takes over if the host is lost; `None` if nobody does. "You" is for the window to say.
    pub heir: Option<Heir>,
    /// The certified list of members: how often it has changed, and the beginning of its hash as people compare it.
    pub roster: Roster,
    /// The code that verifies everyone here at once.
    pub code: GroupCode,
    /// State of the encryption, from the state of the code.
    pub encryption: Encryption,
    /// Since when this person is in it.
    pub since: Instant,
    /// The others, in the order in which they came.
    pub peers: Vec<Peer>,
    /// Who of them spoke last, as this device heard it: it stays theirs until somebody else speaks or they leave.
    pub speaking: Option<PeerId>,
    /// Who waits at the door (the host only).
    pub knocks: Vec<Knock>,
    /// How many attempts at the door did not know the invite's secret (the host only).
    pub refused: u64,
    /// The rendezvous relay.
    pub relay: Relay,
}

/// What a member may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Certifies who is in the meeting.
    Host,
    /// Sees who knocks and may admit, decline, remove and lock, through the host's program.
    CoHost,
    /// Everyone else.
    #[default]
    Member,
}

/// Who takes over if the host is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heir {
    /// This person.
    Own,
    /// Somebody else, by this name.
    Peer(String),
}

/// The certified list, in short.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    /// Number of the entry in force.
    pub entry: u64,
    /// The first 8 hexadecimal digits of its hash.
    pub hash: String,
    /// The host signed two different lists; the sentence says so. Media have stopped.
    pub forked: Option<String>,
}

/// One invite of this meeting. It holds a secret: it has no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct InviteLink {
    /// Names it in commands.
    pub id: InviteNo,
    /// For whom it is, as the host called them; it never leaves this device. Empty for the general link.
    pub label: String,
    /// The link. A secret.
    pub link: String,
    /// When it stops working (seconds since 1970), if ever.
    pub expires: Option<u64>,
    /// It lets in one person.
    pub single_use: bool,
    /// Whether it still opens the door.
    pub state: InviteState,
    /// Names of all who knocked with it, in order, each once by key. More than one on a personal link: it was passed on.
    pub used_by: Vec<String>,
}

/// Whether an invite still opens the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InviteState {
    /// It does.
    Open,
    /// It was for one person, who is in.
    Used,
    /// The host took it back.
    Revoked,
    /// Its time is over.
    Expired,
}

/// The live code that everybody here sees, if everybody has the same list of members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupCode {
    /// Four words, once agreed for the list in force; empty before.
    pub words: Vec<String>,
    /// The same as 14 digits, in groups.
    pub digits: String,
    /// This person has said that it was the same for all.
    pub confirmed: bool,
    /// This person has said that it was not.
    pub differs: bool,
    /// Names of those here who are not verified yet.
    pub unverified: Vec<String>,
}

/// The word in the pill at the top left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// Nobody else is here: nothing is sent.
    Alone,
    /// Keys are being agreed; nothing is sent until they are.
    Agreeing,
    /// End-to-end encrypted with everyone here; not everyone has been verified.
    Encrypted,
    /// End-to-end encrypted, and everyone here has been verified.
    Verified,
    /// A comparison of safety numbers failed, or a verified person's key changed; the sentence says which.
    Warning(String),
}

/// Somebody else in the meeting.
#[derive(Clone, PartialEq)]
pub struct Peer {
    /// Number within this meeting.
    pub id: PeerId,
    /// The name they gave (or the one they were saved under).
    pub name: String,
    /// Fingerprint of their identity key.
    pub fingerprint: String,
    /// Their newest picture.
    pub picture: Arc<Latest<Picture>>,
    /// How loud they are now, 0..=1 on a perceptual scale.
    pub level: f32,
    /// Playback volume, 0..=2.
    pub volume: f32,
    /// Their microphone is on.
    pub mic_on: bool,
    /// Their camera is on.
    pub camera_on: bool,
    /// What they may do.
    pub role: Role,
    /// State of the path to them.
    pub link: PeerLink,
    /// Whether their key has been compared.
    pub verification: Verification,
    /// Pair safety number: 60 digits in twelve groups of five, separated by single spaces.
    pub safety_number: String,
    /// The same as a QR code, row by row; true is dark. Without a quiet zone.
    pub safety_qr: Arc<Vec<Vec<bool>>>,
    /// Generation of the newest key received from them.
    pub generation: u32,
    /// How media reach them; `None` until a path is found.
    pub route: Option<Route>,
    /// Figures of the last second.
    pub stats: PeerStats,
    /// How well pictures and sound pass between us.
    pub quality: Quality,
    /// Why it is not better, what is noticed first at the front. Empty while it is good.
    pub reasons: Vec<Reason>,
}

/// State of the path to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerLink {
    /// Looking for a path.
    Connecting,
    /// Media flow.
    Live,
    /// The path was lost and is being sought again.
    Reconnecting,
    /// Media were stopped because safety numbers differed.
    Stopped,
}

/// Whether a peer's identity key has been compared by the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verification {
    /// Not yet.
    No,
    /// Yes, on this day (seconds since 1970).
    Yes {
        /// When.
        since: u64,
    },
    /// Compared, and different.
    Mismatch,
    /// Somebody of this name was verified with another key.
    Changed,
}

/// How media reach a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Through a TURN relay rather than directly.
    pub relayed: bool,
    /// If this side has media relayed: how its TURN server is reached.
    pub relay_transport: Option<RelayTransport>,
    /// Own address and port as used.
    pub local: String,
    /// The peer's address and port as used.
    pub remote: String,
    /// What the own address is: [`RouteKind::Relay`] if this side has media relayed.
    pub local_kind: RouteKind,
    /// What the peer's address is, as the peer says: [`RouteKind::Relay`] if that side has media relayed.
    pub remote_kind: RouteKind,
    /// Country of the peer's address, a two-letter code; `None` without a table, or where it does not say.
    pub country: Option<String>,
}

/// How a TURN server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayTransport {
    /// Datagrams.
    Udp,
    /// A TCP stream in the clear.
    Tcp,
    /// A TLS stream.
    Tls,
}

/// What an address of a route is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// The device's own.
    Host,
    /// That of a router in front of it.
    Reflexive,
    /// That of a TURN server.
    Relay,
}

/// Figures of the last second with a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PeerStats {
    /// Round trip in milliseconds.
    pub rtt_ms: Option<f32>,
    /// Pictures decoded a second.
    pub fps: f32,
    /// Width of their picture in pixels.
    pub width: u32,
    /// Height of their picture in pixels.
    pub height: u32,
    /// Received, kbit/s.
    pub receive_kbps: f32,
    /// Sent, kbit/s.
    pub send_kbps: f32,
    /// Packets lost on the way here, percent.
    pub loss_percent: f32,
    /// Packets lost on the way there, percent, as they report it.
    pub send_loss_percent: f32,
    /// What the path may carry in pictures, kbit/s; `None` if it is not estimated.
    pub target_kbps: Option<f32>,
    /// Own pictures handed to the path a second.
    pub send_fps: f32,
    /// Delay of their sound in the jitter buffer, milliseconds.
    pub jitter_ms: Option<f32>,
    /// Sound that had to be made up, percent.
    pub concealed_percent: f32,
    /// Frames that did not open (forged, replayed, or sealed with an unknown key), since the start.
    pub unopened: u64,
}

/// Somebody at the door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Knock {
    /// Number to admit or decline by.
    pub id: PeerId,
    /// The name they gave. Not proven.
    pub name: String,
    /// Fingerprint of their identity key, proven by the handshake.
    pub fingerprint: String,
    /// Whether this device has met that key.
    pub who: Familiarity,
    /// The label of the invite they used; empty for the general link, and for a co-host, who does not know.
    pub invite: String,
    /// Name of another person who used the same personal invite before: the link was passed on.
    pub shared_with: Option<String>,
}

/// The rendezvous relay, and what it takes to reach it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relay {
    /// Its address as a person reads it.
    pub address: String,
    /// It runs inside this app.
    pub embedded: bool,
    /// The connection to it stands.
    pub connected: bool,
    /// Addresses that the link offers.
    pub reachable: Vec<String>,
    /// What came of asking the router for a port: `None` while not asked for.
    pub port_mapping: Option<PortMapping>,
    /// It is announced on the local network.
    pub announced: bool,
    /// The connection to it is protected by TLS.
    pub tls: bool,
    /// What it can see of this meeting so far.
    pub sees: RelaySight,
}

/// What the relay can see: counted, not guessed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RelaySight {
    /// The beginning of the room's name there, in hexadecimal.
    pub room: String,
    /// Own address as the relay sees it is not hidden from it.
    pub own_address: bool,
    /// Sealed messages handed to it.
    pub messages_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Sealed messages taken from it.
    pub messages_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Other connections in the room just now.
    pub others: usize,
}

/// What came of asking the router to open a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortMapping {
    /// The router is being asked.
    Asking,
    /// It agreed: people on the internet can reach this address.
    Open(String),
    /// It did not, and why, in a sentence.
    Refused(String),
}

/// After the meeting.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// Why, in a sentence.
    pub reason: String,
    /// Whether it ended by something going wrong.
    pub failed: bool,
    /// How long it lasted; `None` if it never began.
    pub lasted: Option<Duration>,
    /// Names of those who were there, and whether each was verified.
    pub met: Vec<(String, bool)>,
    /// Going back the same way is possible.
    pub rejoin: bool,
    /// A signed log of the meeting can be saved.
    pub log: bool,
    /// A report of the call can be saved.
    pub report: bool,
}

/// Something that gets in the way. One place in the window, one wording each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The path to a peer was lost and is sought again.
    Reconnecting {
        /// Who.
        name: String,
    },
    /// No path to a peer has been found, though one has been looked for a while.
    NoPath {
        /// Who.
        name: String,
    },
    /// The person's own pins, or that the address is to be hidden, stand in the way of a path to a peer.
    RouteRefused {
        /// Who.
        name: String,
        /// Why, in a sentence.
        why: String,
    },
    /// The relay cannot be reached; media go on, nobody new can join.
    RelayLost,
    /// The chosen camera stopped.
    CameraLost(String),
    /// The chosen microphone stopped.
    MicLost(String),
    /// The chosen speaker stopped.
    SpeakerLost(String),
    /// The microphone is on but has delivered pure silence for a while.
    MicSilent,
    /// The person speaks while muted.
    SpeakingWhileMuted,
    /// The processor cannot encode as much as the network would carry: one's own picture is smaller or slower for it.
    Overloaded,
    /// The host signed two different lists of members.
    Forked,
    /// Nothing is heard of the host: nobody can come or go until somebody takes over.
    HostLost,
    /// A verified person came back with another key.
    KeyChanged {
        /// Who.
        name: String,
    },
    /// What others see of this person is held back by the network.
    WeakUpload {
        /// Who sees less.
        names: Vec<String>,
        /// Whose side is the narrow one.
        cause: Cause,
    },
    /// What this person sees of others is held back by the network.
    WeakDownload {
        /// Of whom less is seen.
        names: Vec<String>,
        /// Whose side is the narrow one.
        cause: Cause,
    },
}
