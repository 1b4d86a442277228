//! Sentences for people. Errors are typed where they happen; here, and nowhere else, they are worded.

use crate::engine::countries::TableError;
use crate::engine::devices::{DeviceKind, DeviceNote};
use crate::engine::pins::PinError;
use crate::engine::routes::RouteDenied;
use std::path::Path;

use crate::engine::start::StartError;
use crate::engine::store::contacts::ContactsError;
use crate::engine::store::identity::IdentityError;
use crate::engine::view::DeviceState;
use crate::media::sound_host::{SoundError, SoundState};
use crate::media::source::CameraError;
use crate::protocol::invite::InviteError;
use crate::protocol::meeting::MeetingError;
use crate::protocol::relay_address::RelayAddressError;
use crate::protocol::wire::{DeclineReason, LeaveReason};
use crate::relay::RelayError;
use crate::rendezvous::client::RelayClientError;
use crate::rendezvous::frames::RefusedCode;
use crate::rendezvous::port_mapping::PortMappingError;
use crate::settings::SettingsError;
use crate::transport::{PolicyError, RouteRefusal};

/// Why the app cannot start at all.
pub fn start_error(error: &StartError) -> String {
    match error {
        StartError::Identity(IdentityError::Damaged(path)) => format!(
            "Your identity file {} is damaged, so this device cannot prove who it is. Put a good copy back, or move the file away to start as a new person: people who verified you will be told that your key changed.",
            path.display()
        ),
        StartError::Identity(IdentityError::Exposed(path)) => format!(
            "Other users of this computer can read your identity file {}. Conclave does not use a key that others may have. If you are sure that nobody copied it, allow only yourself to read it (chmod 600); otherwise move it away to start as a new person.",
            path.display()
        ),
        StartError::Identity(IdentityError::Io(path, error)) => {
            format!("Your identity file {} cannot be read or written: {error}.", path.display())
        }
        StartError::Contacts(ContactsError::Damaged(path)) => format!(
            "The list of people you have met, {}, is damaged. Without it, people you verified would look like strangers. Put a good copy back, or move the file away to start an empty list.",
            path.display()
        ),
        StartError::Contacts(ContactsError::Io(path, error)) => {
            format!("The list of people you have met, {}, cannot be read: {error}.", path.display())
        }
        StartError::Threads(error) => format!("The system did not let Conclave start its threads: {error}."),
    }
}

/// Settings that could not be used as they were.
pub fn settings_error(error: &SettingsError) -> String {
    match error {
        SettingsError::Damaged { reason, kept_as: Some(path) } => format!(
            "Your settings could not be understood ({reason}). They are kept as {}, and the usual ones are in force.",
            path.display()
        ),
        SettingsError::Damaged { reason, kept_as: None } => {
            format!("Your settings could not be understood ({reason}). The usual ones are in force.")
        }
        SettingsError::Io(error) => format!("Your settings could not be read or kept: {error}."),
    }
}

/// Said when echo cancellation and its like have failed.
pub fn sound_unprocessed() -> String {
    "Echo and noise could not be taken out of your microphone's sound. It goes out as it is; the others may hear an echo.".into()
}

/// A contact could not be kept.
pub fn contacts_error(error: &ContactsError) -> String {
    match error {
        ContactsError::Damaged(path) => format!("The list of people you have met, {}, is damaged.", path.display()),
        ContactsError::Io(path, error) => {
            format!("{} could not be written, so this will be forgotten: {error}.", path.display())
        }
    }
}

/// What is wrong with a pasted link.
pub fn invite_error(error: &InviteError) -> String {
    match error {
        InviteError::Empty => "Paste the invite link that you were given.".into(),
        InviteError::TooLong => "This is far longer than an invite link. Copy just the link.".into(),
        InviteError::NotALink => "This is not an invite link. One begins with conclave://.".into(),
        InviteError::OtherProduct => "This link belongs to something else than Conclave. Open it there.".into(),
        InviteError::Truncated => "The end of this link is missing. Copy it again, whole.".into(),
        InviteError::Mistyped => "Something in this link was changed on the way. Ask for it again.".into(),
        InviteError::NewerVersion(_) => "This link was made by a newer Conclave. Update this one to join.".into(),
        InviteError::Expired { at } => format!("This link stopped working {}. Ask for a new one.", ago(*at)),
        InviteError::AddressMismatch { shown, actual } => format!(
            "This link is not what it seems: it shows {shown} but leads to {actual}. Do not use it, and tell the person you have it from."
        ),
        InviteError::Invalid(_) => {
            "This link is broken in a way that copying does not explain. Ask for a new one.".into()
        }
    }
}

fn ago(at: u64) -> String {
    let seconds = super::unix_now().saturating_sub(at);
    match seconds {
        0..120 => "just now".into(),
        120..7_200 => format!("{} minutes ago", seconds / 60),
        7_200..172_800 => format!("{} hours ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// What is wrong with a relay in the settings.
pub fn relay_address_error(error: &RelayAddressError) -> String {
    match error {
        RelayAddressError::BadHost => "The relay's address is neither a name nor an address.".into(),
        RelayAddressError::BadPort => "The port of the relay's address is not a number from 1 to 65535.".into(),
        RelayAddressError::Unreachable => "Nothing can listen at the relay's address.".into(),
        _ => "Write the relay as relay.example or relay.example:7770 (with TLS), or as ws://relay.example:7770 (without).".into(),
    }
}

/// Why the relay inside the app does not run.
pub fn relay_error(error: &RelayError) -> String {
    format!("The relay inside Conclave could not start: {error}. Another program may use the network port; try again.")
}

/// Why the relay cannot be reached.
pub fn relay_client_error(error: &RelayClientError, relay: &str) -> String {
    match error {
        RelayClientError::UnknownName => {
            format!("No relay of the name {relay} is known. Check your network connection.")
        }
        RelayClientError::ConnectionRefused => {
            format!("Nothing answers at the relay {relay}. The meeting may be over, or not have begun.")
        }
        RelayClientError::Unreachable => format!(
            "The relay {relay} cannot be reached. Check your network connection. If the host sits behind a router, it may have to open a port, or use another relay."
        ),
        RelayClientError::Certificate => format!(
            "The relay {relay} does not prove who it is: its certificate is not valid here. Something may stand in between."
        ),
        RelayClientError::NotARelay | RelayClientError::Protocol => format!("What answers at {relay} is not a relay."),
        RelayClientError::Refused(RefusedCode::Version) => {
            format!("The relay {relay} speaks another version than this Conclave. Update whichever is older.")
        }
        RelayClientError::Refused(_) => format!("The relay {relay} is too busy, or full. Trying again…"),
        RelayClientError::Forbidden => format!(
            "The relay {relay} lies outside the networks and countries that you allow, so it was not contacted. Use another relay, or change what is allowed (Settings → Network)."
        ),
        RelayClientError::Lost => format!(
            "The connection to the relay {relay} broke. Trying again… (If it is a relay without TLS, its address begins with ws://.)"
        ),
        _ => format!("The relay {relay} cannot be used: {error}."),
    }
}

/// Why the router opened no port.
pub fn port_mapping_error(error: &PortMappingError) -> String {
    format!("Your router did not open a port: {error}. People outside your network need another relay.")
}

/// The router had opened a port and does not confirm it any more.
pub fn mapping_not_renewed() -> String {
    "Your router does not confirm the port it had opened. People outside your network may not reach you just now."
        .into()
}

/// Why a guest was not let in.
pub fn declined(reason: DeclineReason) -> String {
    match reason {
        DeclineReason::Declined => "The host did not let you in.".into(),
        DeclineReason::Full => "This meeting is full: it holds eight people.".into(),
        DeclineReason::Busy => "Too many people are at the door. Try again in a minute.".into(),
        DeclineReason::Unanswered => "Nobody answered the door. Ask the host, and try again.".into(),
        DeclineReason::Locked => "The meeting is locked: the host lets nobody new in just now.".into(),
        DeclineReason::Spent => "This link was for one person, and somebody has used it already. Ask for one of your own.".into(),
        DeclineReason::OwnIdentity => {
            "This is your own meeting: this device has the host's identity. Start with another --config folder to meet yourself.".into()
        }
        _ => "You were not let in, for a reason that this version does not know. It may be too old.".into(),
    }
}

/// Why a peer, or the host, is gone.
pub fn left(reason: LeaveReason) -> &'static str {
    match reason {
        LeaveReason::Left => "left",
        LeaveReason::MeetingOver => "ended the meeting",
        LeaveReason::Violation => "closed the session, because what this device sent was not right",
        LeaveReason::Replaced => "has seen you come in from elsewhere",
        LeaveReason::Dropped => {
            "closed the session: it heard nothing from this device for too long, or began anew with it"
        }
        LeaveReason::Removed => "has sent you out of the meeting",
        _ => "closed the session",
    }
}

/// A camera that does not run.
pub fn camera_error(error: &CameraError) -> String {
    match error {
        CameraError::NoCamera => "No camera is connected.".into(),
        CameraError::NotFound(name) => format!("The camera “{name}” is not connected."),
        CameraError::Busy => "Another program is using the camera. Close it there, or choose another camera.".into(),
        CameraError::Permission => {
            "This system does not let Conclave use the camera. Allow it in the system's privacy settings.".into()
        }
        CameraError::Lost => "The camera was disconnected.".into(),
        CameraError::Format => "This camera offers no kind of picture that Conclave can use.".into(),
        CameraError::File { path, why } => format!("{} cannot be played: {why}.", path.display()),
        other => format!("The camera does not work: {other}."),
    }
}

/// Somebody verified came in under another name.
pub fn other_name(saved: &str, given: &str) -> String {
    format!("{saved}, whom you verified, now calls themselves “{given}”. The name you verified is shown.")
}

/// Somebody with one of our links was refused for want of post-quantum keys.
pub fn suite_refused_here() -> String {
    "Somebody with your link uses a program without the post-quantum keys that every meeting here has. It was refused, and told why.".into()
}

/// The host's program refused ours.
pub fn suite_refused_there() -> String {
    "The host's program agrees on keys in another way than this one. There is no weaker way that both could take: update whichever is older.".into()
}

/// The group code was the same for everyone.
pub fn verified_by_code(names: &[String]) -> String {
    match names {
        [] => "Nobody is verified by this: nobody has proven their key to this device yet.".into(),
        [one] => format!("{one} is verified on this device from now on."),
        [rest @ .., last] => format!("{} and {last} are verified on this device from now on.", rest.join(", ")),
    }
}

/// Another code has taken the place of the one that was read.
pub fn code_changed() -> String {
    "The list of people has just changed, and the code with it. Read the new one aloud.".into()
}

/// The group code was not the same for everyone.
pub fn code_differs() -> String {
    "The code was not the same for everyone: somebody here is not who they seem. Nothing is sent to anyone, or shown from anyone. Leave, and meet again by a new link.".into()
}

/// The host cannot be heard again without coming in anew.
pub fn come_back_for(host: &str) -> String {
    format!("To see and hear {host} again, leave and come back by the link.")
}

/// The host signed two lists of members.
pub fn forked() -> String {
    "The host has signed two different lists of who is here. Nothing is sent any more.".into()
}

/// What speaks for a false identity was kept.
pub fn evidence_kept(name: &str, file: &Path) -> String {
    format!("What this device saw of {name} is kept as evidence in {}.", file.display())
}

/// It could not be kept.
pub fn evidence_not_kept(error: &std::io::Error) -> String {
    format!("The evidence could not be kept: {error}.")
}

/// The signed log was written.
pub fn log_saved(path: &Path) -> String {
    format!("The signed meeting log is in {}.", path.display())
}

/// It could not be written.
pub fn log_not_saved(path: &Path, error: &std::io::Error) -> String {
    format!("The meeting log could not be written to {}: {error}.", path.display())
}

/// The report of the call was written.
pub fn report_saved(path: &Path) -> String {
    format!("The call report is in {}. It holds figures only: no names and no addresses.", path.display())
}

/// It could not be written.
pub fn report_not_saved(path: &Path, error: &std::io::Error) -> String {
    format!("The call report could not be written to {}: {error}.", path.display())
}

/// This person hosts now.
pub fn you_host() -> String {
    "You are the host now. Earlier invite links lead nowhere any more: share your own.".into()
}

/// This person is a co-host now.
pub fn you_are_cohost() -> String {
    "You are a co-host now: you see who knocks, and can admit, decline, remove and lock.".into()
}

/// Somebody else hosts now.
pub fn hosts_now(name: &str) -> String {
    format!("{name} hosts the meeting now.")
}

/// What a microphone or speaker is doing.
pub(crate) fn sound_state(state: SoundState) -> DeviceState {
    match state {
        SoundState::Opening => DeviceState::Opening,
        SoundState::Running(name) => DeviceState::Running(name),
        SoundState::Failed(error) => DeviceState::Failed(sound_error(&error)),
    }
}

fn sound_error(error: &SoundError) -> String {
    match error {
        SoundError::File(error) => format!("The sound file cannot be played: {error}."),
        SoundError::NoDevice => "No such device is connected.".into(),
        SoundError::NotFound(name) => format!("“{name}” is not connected."),
        SoundError::Busy => "Another program is using it. Close it there, or choose another.".into(),
        SoundError::Permission => {
            "This system does not let Conclave use it. Allow it in the system's privacy settings.".into()
        }
        SoundError::Lost => "It was disconnected, or it stopped answering.".into(),
        other => format!("It does not work: {other}."),
    }
}

/// Nobody who could be the host answered in time.
pub fn no_answer(forged: u32) -> String {
    if forged > 0 {
        "Answers came that the host cannot have sent: something between you and the host made or damaged them. You were not let in, and nothing was shown to anyone.".into()
    } else {
        "The relay was reached, but the host did not answer. The meeting may be over, or this link withdrawn. Ask the host.".into()
    }
}

/// Somebody else than the link's host answered.
pub fn wrong_host() -> String {
    "Whoever answered is not the person this link belongs to, so you were not let in. Ask the host for a new link, over another channel.".into()
}

/// Something that a meeting does not allow.
pub fn meeting_error(error: &MeetingError) -> String {
    match error {
        MeetingError::Full => "This meeting is full: it holds eight people. They can come in when somebody leaves.".into(),
        MeetingError::OwnInvite => {
            "This link leads to your own meeting. To meet yourself on one computer, start a second Conclave with another --config folder.".into()
        }
        MeetingError::Locked => "The meeting is locked. Open it first, then let them in.".into(),
        MeetingError::NotHost => "Only the host can do this.".into(),
        MeetingError::NotInCharge => "Only the host and co-hosts can do this.".into(),
        MeetingError::TooManyInvites => "Too many invites are open. Take one back first.".into(),
        MeetingError::Unlistable => {
            "They cannot be let in: their program uses a key that somebody else in the meeting has.".into()
        }
        MeetingError::NoSuchPeer | MeetingError::NotWaiting | MeetingError::NotAdmitted => "They have gone.".into(),
        other => format!("That is not possible: {other}."),
    }
}

/// Why a meeting was not entered. `relays` are those that may be used.
pub fn route_denied(error: &RouteDenied, relays: &[String]) -> String {
    let allowed = relays.join(", ");
    match error {
        RouteDenied::Pin(error) => pin_error(error),
        RouteDenied::Turn(text) => format!(
            "“{text}” is not the address of a TURN server, so nothing was contacted. Write it as turn.example or turn.example:3478, as turn:turn.example:3478?transport=tcp, or as turns:turn.example:5349."
        ),
        RouteDenied::TurnAuthority(file) => format!(
            "No certificate can be read from {}, which is to say whom your TURN server's certificate must come from. Nothing was contacted.",
            file.display()
        ),
        RouteDenied::TurnNotPinned(host) => format!(
            "The TURN server {host} is not among the relays that you allow ({allowed}), so nothing was contacted. Allow it, or name another."
        ),
        RouteDenied::NoTurn => "You hide your address, and that needs a TURN server, which is not set. Nothing was contacted. Name one (Settings → Network), or stop hiding your address.".into(),
        RouteDenied::NoOwnAddress => "None of this device's addresses lies in the networks and countries that you allow, so nobody could come to a meeting here. Add its network, or use another relay (Settings → Network).".into(),
        RouteDenied::OwnRelayShows => "You hide your address, but a link to the relay inside Conclave would show it. Name another relay (Settings → Network), or stop hiding your address.".into(),
        RouteDenied::OwnRelayNotPinned => format!(
            "You allow only certain relays ({allowed}), and the relay inside Conclave is not one of them. Name one of these as your relay (Settings → Network), or allow all."
        ),
        RouteDenied::RelayIsHere(relay) => format!(
            "You hide your address, but the relay {relay} is this computer: each link would show its address. Name another relay."
        ),
        RouteDenied::RelayNotPinned(relay) => format!(
            "The relay {relay} is not among those that you allow ({allowed}), so it was not contacted. Allow it (Settings → Network), or ask for a link through another relay."
        ),
        RouteDenied::RelayIsLikelyTheHost(relay) => format!(
            "You hide your address, and the relay of this link, {relay}, would see it. It was not contacted. If you trust it with your address, add it to the relays that you allow (Settings → Network)."
        ),
    }
}

fn pin_error(error: &PinError) -> String {
    let what = match error {
        PinError::Relay(text) => format!("“{text}”, among the relays that you allow, is neither a name nor an address"),
        PinError::Network(text) => {
            format!("“{text}”, among the networks that you allow, is not a network such as 192.0.2.0/24")
        }
        PinError::Country(text) => {
            format!("“{text}”, among the countries that you allow, is not a two-letter code such as DE")
        }
        PinError::CountryNotInTable(country) => {
            format!("your table of countries does not know {country}, which is among those that you allow")
        }
        PinError::NoTable => "you allow certain countries only, but no file says which addresses belong to them".into(),
        PinError::Table(error) => {
            format!("you allow certain countries only, and the table of countries cannot be used: {error}")
        }
        PinError::TooMany => "more is listed as allowed than can be".into(),
    };
    format!("Nothing was contacted: {what}. Correct it, or take the restriction away (Settings → Network).")
}

/// The table of countries cannot be used, and nothing depends on it.
pub fn no_country_shown(error: &TableError) -> String {
    format!("No countries are shown: the table of countries cannot be used ({error}).")
}

/// Why there is no route to a peer.
pub(crate) fn route_refusal(refusal: RouteRefusal) -> String {
    match refusal {
        RouteRefusal::NotRelayed => "The path found would not have hidden your address, so it was closed.".into(),
        RouteRefusal::OwnAddress => {
            "The path found uses an address of yours outside what you allow, so it was closed.".into()
        }
        RouteRefusal::PeerAddress => {
            "The path found leads to an address outside the networks and countries that you allow, so it was closed."
                .into()
        }
        RouteRefusal::NoPeerAddress => {
            "All their addresses lie outside the networks and countries that you allow.".into()
        }
        RouteRefusal::TurnCertificate => {
            "Your TURN server's certificate is not trusted, so nothing is sent to it. If the server is your own, name the file \
             with its certificate authority in the settings."
                .into()
        }
        RouteRefusal::NoRelay => {
            "Your TURN server gave no address: it cannot be reached, is not allowed, or refuses the name and password."
                .into()
        }
    }
}

/// What became of a chosen device.
pub(crate) fn device_note(note: &DeviceNote) -> String {
    match note {
        DeviceNote::Gone(kind, name) => {
            let kind = if *kind == DeviceKind::Speaker { "speaker" } else { "microphone" };
            format!("The {kind} {name} is gone. Your system's own choice is used until it is back.")
        }
        DeviceNote::Back(_, name) => format!("{name} is back, and used again."),
    }
}

/// Why no route to a peer is even looked for.
pub(crate) fn policy_error(error: PolicyError) -> String {
    match error {
        PolicyError::NoOwnAddress => "None of this device's own addresses lies in the networks that you allow. Add its network, or a TURN server (Settings → Network).".into(),
        other => format!("No path was looked for: {other}."),
    }
}
