//! Every word of the window, in one place: sentence case, plain, without colons after labels, '…' where more is asked.

macro_rules! words {
    ($($name:ident = $text:literal;)*) => {
        $(#[doc = $text] pub const $name: &str = $text;)*
        /// Title of the window that is shown instead of the app.
pub const CANNOT_START: &str = "Conclave cannot start";

#[cfg(test)]
        const ALL: &[(&str, &str)] = &[$((stringify!($name), $text),)*];
    };
}

words! {
    APP = "Conclave";
    PROMISE = "Meetings whose keys only the people in them hold.";

    START_MEETING = "Start a meeting";
    OR = "or";
    PASTE_LINK = "Paste an invite link";
    LINK_HINT = "conclave://…";
    JOIN = "Join";
    CONTINUE = "Continue";
    OWN_FINGERPRINT = "This device";
    OWN_FINGERPRINT_EXPLAINED = "The fingerprint of this device's identity key. Others can use it to recognise you.";
    SETTINGS = "Settings";
    HOST = "Host";
    RELAY = "Relay";
    EXPIRES = "Works until";
    NEVER_EXPIRES = "No end date";
    HOST_NEW = "You have not met this host before";
    DROP_HINT = "The link is checked on this device. Nobody is contacted before you join.";

    NEW_MEETING = "New meeting";
    JOIN_MEETING = "Join a meeting";
    YOUR_NAME = "Your name";
    NAME_HINT = "How others will see you";
    NAME_MISSING = "Enter a name, so that others know who you are.";
    ASK_TO_JOIN = "Ask to join";
    BACK = "Back";
    CAMERA = "Camera";
    MICROPHONE = "Microphone";
    SPEAKER = "Speaker";
    CAMERA_DEVICE = "Camera device";
    MICROPHONE_DEVICE = "Microphone device";
    SPEAKER_DEVICE = "Speaker device";
    SYSTEM_DEFAULT = "System default";
    FIRST_CAMERA = "First camera found";
    TEST_PICTURE = "Moving picture (built in)";
    TEST_VOICE = "Voice (built in)";
    CHOOSE_FILE = "Choose a file…";
    NO_CAMERA = "No camera";
    NO_MICROPHONE = "No microphone";
    NO_SPEAKER = "No speaker";
    NOT_CONNECTED = "Not connected";
    VIDEO_FILES = "Video (Y4M)";
    SOUND_FILES = "Sound (WAV)";
    MIC_LEVEL = "Microphone level";
    WE_HEAR_YOU = "We can hear you";
    SAY_SOMETHING = "Say something to test your microphone";
    MIC_IS_OFF = "Your microphone is off";
    MIC_OPENING = "Opening the microphone…";
    MIC_NONE = "No microphone is chosen";
    CAMERA_IS_OFF = "Your camera is off";
    CAMERA_OPENING = "Opening the camera…";
    CAMERA_NONE = "No camera is chosen";
    TEST_SOUND = "Play a test sound";
    RELAY_IN_APP = "the relay in this app";
    YOU = "You";
    YOUR_PICTURE = "Your picture";

    CONNECTING = "Connecting";
    CONNECTING_PROMISE = "Nothing is shared until the connection is encrypted.";
    CANCEL = "Cancel";

    WAITING_FOR_HOST = "Waiting for the host to let you in";
    LOBBY_EXPLAINED = "The host sees the name you gave. Your camera and microphone reach nobody until you are in.";
    HOST_FINGERPRINT = "Fingerprint of the host";
    LOBBY_NUMBER = "Your safety number with the host";
    LOBBY_NUMBER_EXPLAINED = "If you can talk to the host another way, compare it already. Both of you see the same number.";
    LEAVE = "Leave";

    ALONE = "Waiting for others";
    AGREEING = "Agreeing keys…";
    ENCRYPTED = "End-to-end encrypted";
    VERIFIED = "Verified";
    WARNING = "Check security";
    MUTE = "Mute (M)";
    UNMUTE = "Unmute (M)";
    CAMERA_TURN_OFF = "Turn camera off (V)";
    CAMERA_TURN_ON = "Turn camera on (V)";
    MUTED = "Muted";
    COPY_LINK = "Copy invite link";
    COPY_LINK_TIP = "Copy invite link (Ctrl+L)";
    LINK_COPIED = "Invite link copied. Only share it with people you want at the door.";
    COPIED = "Copied";
    PEOPLE = "People";
    SECURITY = "Security and route";
    CLOSE = "Close";

    ALONE_TITLE = "You are the only one here";
    ALONE_EXPLAINED = "Send the link to the person you want to meet. Whoever opens it knocks first, and you decide who comes in.";
    ALONE_GUEST = "Nobody else is here any more.";
    SHOW_QR = "Show as QR code";
    INVITE = "Invite link";
    INVITE_EXPLAINED = "Scan this with the device that should join. The link is a key to the door: share it in private.";
    REACHABLE = "Your link can reach this device at";
    NOT_REACHABLE = "No address was found that others could reach.";
    ROUTER_ASKING = "Asking the router to open a port…";
    ANNOUNCED = "Announced on the local network";
    RELAY_EMBEDDED = "The relay runs in this app";
    RELAY_CONNECTED = "Connected";
    RELAY_DISCONNECTED = "Not connected";

    FORKED = "The host has shown different people different lists of who is here. Nothing is sent any more. Leave, and ask why.";
    HOST_LOST = "Nothing is heard of the host. Nobody can join or be removed until somebody takes over.";

    KNOCKING = "wants to join";
    ADMIT = "Admit";
    DECLINE = "Decline";
    NEW_PERSON = "Not met before";
    MORE_WAITING = "Show all";

    NO_PICTURE = "Camera off";
    CONNECTING_PEER = "Finding a path…";
    RECONNECTING_PEER = "Reconnecting…";
    STOPPED_PEER = "Stopped, because your safety numbers differ";
    VERIFY = "Verify…";
    UNNAMED = "Somebody without a name";

    COMPARE_EXPLAINED = "Both screens must show the same number. Read it aloud to each other, or send it over another channel that you trust.";
    SAFETY_NUMBER = "Safety number";
    COPY_NUMBER = "Copy number";
    SCAN = "Or scan it from the other screen";
    COMPARE_FIELD = "Paste or type their number to compare";
    COMPARE_HINT = "60 digits";
    NUMBERS_EQUAL = "The numbers are equal.";
    NUMBERS_DIFFER = "The numbers are different.";
    THEY_MATCH = "They match";
    THEY_DIFFER = "They don't match";
    ALREADY_VERIFIED = "You compared this number and it was right";
    WITHDRAW = "Withdraw verification";
    MISMATCH_TITLE = "Your safety numbers differ";
    MISMATCH_EXPLAINED = "Somebody may be between the two of you. Nothing is sent to or played from this person any more.";
    MISMATCH_ADVICE = "Leave, and reach this person another way. If one of you made a mistake while comparing, compare again.";
    COMPARE_AGAIN = "Compare again";
    COPY_EVIDENCE = "Copy evidence";
    CHANGED_TITLE = "This is not the key you verified";
    CHANGED_EXPLAINED = "You verified somebody of this name before, with another key. A new device has a new key, and so has an impostor. Compare again before you trust it.";

    SECURITY_STATE = "State";
    STATE_ALONE = "Nobody else is here. Nothing is sent.";
    STATE_AGREEING = "Keys are being agreed between your devices. Nothing is sent until they are.";
    STATE_ENCRYPTED = "Only the people here hold the keys. Compare safety numbers to be sure who they are.";
    STATE_VERIFIED = "Only the people here hold the keys, and you have compared safety numbers with everyone.";
    KEY_AGREEMENT = "Key agreement";
    KEY_AGREEMENT_VALUE = "X25519 and ML-KEM-768";
    MEDIA_CIPHER = "Media";
    MEDIA_CIPHER_VALUE = "AES-256-GCM (SFrame)";
    FINGERPRINT = "Fingerprint";
    VERIFIED_ON = "Verified";
    NOT_VERIFIED = "Not verified yet";
    VERIFICATION_MISMATCH = "Numbers differ";
    VERIFICATION_CHANGED = "Key has changed";
    KEY_GENERATION = "Key generation";
    ROUTE = "Route";
    ROUTE_DIRECT = "Direct";
    ROUTE_RELAYED = "Through a relay";
    ROUTE_NONE = "No path yet";
    OWN_ADDRESS = "Your address";
    THEIR_ADDRESS = "Their address";
    ROUND_TRIP = "Round trip";
    LOSS = "Packets lost";
    RECEIVING = "Receiving";
    SENDING = "Sending";
    PICTURE = "Picture";
    UNOPENED = "Refused frames";
    UNKNOWN = "Unknown";
    RELAY_SEES = "What the relay can see";
    RELAY_SEES_1 = "The addresses of those who connect";
    RELAY_SEES_2 = "When they connect, and how much they send through it";
    RELAY_BLIND = "What it cannot see";
    RELAY_BLIND_1 = "Names, fingerprints and safety numbers";
    RELAY_BLIND_2 = "Keys, pictures and sound";
    RELAY_BLIND_3 = "Which invite was used";

    VOLUME = "Volume";
    MIC_ON = "Microphone on";
    MIC_OFF = "Microphone off";
    CAMERA_ON = "Camera on";
    CAMERA_OFF = "Camera off";
    AT_THE_DOOR = "At the door";
    IN_THE_MEETING = "In the meeting";
    HOSTING = "Host";

    PROFILE = "Profile";
    DEVICES = "Devices";
    NETWORK = "Network";
    APPEARANCE = "Appearance";
    SHORTCUTS = "Shortcuts";
    ABOUT = "About";
    OWN_RELAY = "Your own relay";
    OWN_RELAY_HINT = "relay.example:7770";
    OWN_RELAY_EXPLAINED = "Leave it empty to use the relay in this app.";
    ANNOUNCE = "Announce meetings on the local network";
    ANNOUNCE_EXPLAINED = "A link then keeps working nearby when addresses change.";
    OPEN_PORT = "Ask the router to open a port";
    OPEN_PORT_EXPLAINED = "So that people outside your network can reach a meeting you host.";
    SYSTEM = "System";
    DARK = "Dark";
    LIGHT = "Light";
    LICENCES = "Inter and JetBrains Mono under the SIL Open Font License 1.1. Lucide icons under the ISC License.";
    SHORTCUT_MIC = "Microphone on or off";
    SHORTCUT_CAMERA = "Camera on or off";
    SHORTCUT_COPY = "Copy the invite link";
    SHORTCUT_CLOSE = "Close a sheet or panel";
    SHORTCUT_ENTER = "Join";
    KEY_MIC = "M";
    KEY_CAMERA = "V";
    KEY_COPY = "Ctrl+L";
    KEY_CLOSE = "Esc";
    KEY_ENTER = "Enter";

    ENDED = "The meeting has ended";
    ENDED_FAILED = "The meeting could not go on";
    ENDED_NEVER = "The meeting did not begin";
    LASTED = "It lasted";
    WHO_WAS_THERE = "Who was there";
    REJOIN = "Join again";
    HOME = "Back to start";

    RELAY_LOST = "The relay cannot be reached. You can go on talking, but nobody new can join.";
    MIC_SILENT = "Your microphone delivers silence. Check that it is not switched off, and that the right one is chosen.";
    SPEAKING_MUTED = "You are muted. Press M to be heard.";
    MIC_STAYS_OFF = "Your microphone is still off.";
}

/// A name that somebody else chose, made safe to show: no control or direction characters, one line, at most 40 characters.
pub fn shown_name(name: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{061c}')
    };
    let plain: String = name.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| !hidden(*c)).collect();
    let one_line = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    if one_line.is_empty() {
        return UNNAMED.to_owned();
    }
    if one_line.chars().count() <= 40 { one_line } else { one_line.chars().take(39).chain(['…']).collect() }
}

/// Up to two letters that stand for a name where there is no picture.
pub fn initials(name: &str) -> String {
    let letters: Vec<char> =
        name.split_whitespace().filter_map(|word| word.chars().find(|c| c.is_alphanumeric())).collect();
    match letters.as_slice() {
        [] => "?".to_owned(),
        [only] => only.to_uppercase().collect(),
        [first, .., last] => first.to_uppercase().chain(last.to_uppercase()).collect(),
    }
}

/// The line under the pre-join controls.
pub fn encrypted_via(relay: &str) -> String {
    format!("{ENCRYPTED} · via {relay}")
}

/// The host of a link is somebody known by name.
pub fn host_met(name: &str) -> String {
    format!("You have met this host before as {}", shown_name(name))
}

/// The host of a link is somebody verified.
pub fn host_verified(name: &str) -> String {
    format!("This is {}, whom you have verified", shown_name(name))
}

/// What the person allows stands in the way of a path.
pub fn route_refused(name: &str, why: &str) -> String {
    format!("No way to {name} is used. {why}")
}

/// No path to somebody has been found for a while.
pub fn no_path(name: &str) -> String {
    format!("No way to {} has been found yet. Both networks may refuse direct connections.", shown_name(name))
}

/// Somebody whose safety number was compared and found different.
pub fn did_not_match(name: &str) -> String {
    format!("Not {}: you compared safety numbers, and they differed", shown_name(name))
}

/// Somebody's name is like that of a contact with another key.
pub fn look_alike(name: &str) -> String {
    format!("Not the {} you know: the name is alike, the key is another", shown_name(name))
}

/// Somebody at the door who was met before.
pub fn knock_met(name: &str) -> String {
    format!("Met before as {}", shown_name(name))
}

/// Somebody at the door who was verified before.
pub fn knock_verified(name: &str) -> String {
    format!("Verified as {}", shown_name(name))
}

/// The title of a knock banner.
pub fn wants_to_join(name: &str) -> String {
    format!("{} {KNOCKING}", shown_name(name))
}

/// The accessible name of the button that admits somebody.
pub fn admit(name: &str) -> String {
    format!("{ADMIT} {}", shown_name(name))
}

/// The accessible name of the button that declines somebody.
pub fn decline(name: &str) -> String {
    format!("{DECLINE} {}", shown_name(name))
}

/// More people knock than are shown.
pub fn more_knocks(count: usize) -> String {
    format!("{count} more at the door")
}

/// Attempts at the door without the secret.
pub fn refused(count: u64) -> String {
    if count == 1 {
        "1 attempt without the right link was turned away".to_owned()
    } else {
        format!("{count} attempts without the right link were turned away")
    }
}

/// The title of the verify sheet.
pub fn verify_title(name: &str) -> String {
    format!("Verify {}", shown_name(name))
}

/// The accessible name of the button that opens the verify sheet.
pub fn verify_button(name: &str) -> String {
    format!("Verify {}…", shown_name(name))
}

/// The accessible name of a peer's volume.
pub fn volume_of(name: &str) -> String {
    format!("{VOLUME} of {}", shown_name(name))
}

/// How many digits of a pasted number are there so far.
pub fn digits_so_far(count: usize) -> String {
    format!("{count} of 60 digits")
}

/// Verified on a day.
pub fn verified_on(day: &str) -> String {
    format!("Verified on {day}")
}

/// The router agreed.
pub fn router_open(address: &str) -> String {
    format!("The router lets people in at {address}")
}

/// The router did not agree.
pub fn router_refused(why: &str) -> String {
    format!("The router opened no port. {why}")
}

/// The path to a peer is sought again; says what is true of the own microphone, because a reconnect never changes it.
pub fn reconnecting(name: &str, mic_on: bool) -> String {
    let name = shown_name(name);
    if mic_on { format!("Reconnecting to {name}…") } else { format!("Reconnecting to {name}… {MIC_STAYS_OFF}") }
}

/// A device stopped.
pub fn camera_lost(why: &str) -> String {
    format!("Your camera stopped. {why}")
}

/// A device stopped.
pub fn mic_lost(why: &str) -> String {
    format!("Your microphone stopped. {why}")
}

/// A device stopped.
pub fn speaker_lost(why: &str) -> String {
    format!("Your speaker stopped. {why}")
}

/// A verified person came back with another key.
pub fn key_changed(name: &str) -> String {
    format!("{} has another key than the one you verified. Compare again before you trust it.", shown_name(name))
}

/// What a tile shows, for those who listen to it.
pub fn tile(name: &str, mic_on: bool, camera_on: bool, verified: bool) -> String {
    let mut said = format!(
        "{name}, {}, {}",
        lower(if mic_on { MIC_ON } else { MIC_OFF }),
        lower(if camera_on { CAMERA_ON } else { CAMERA_OFF })
    );
    if verified {
        said.push_str(", verified");
    }
    said
}

fn lower(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// The version line.
pub fn version(version: &str) -> String {
    format!("Conclave {version}")
}

/// The evidence of a failed comparison, to be kept or sent.
pub fn evidence(name: &str, theirs: &str, own: &str, number: &str, compared: &str, when: &str) -> String {
    let compared = if compared.is_empty() { "not entered" } else { compared };
    format!(
        "Conclave: safety numbers differed\nTime: {when}\nOther person: {}\nTheir identity key: {theirs}\nOwn identity key: {own}\nNumber on this device: {number}\nNumber compared with: {compared}\n",
        shown_name(name)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_words_are_missing() {
        for (name, text) in ALL {
            assert!(!text.trim().is_empty(), "{name}");
            assert_eq!(text.trim(), *text, "{name} has space around it");
        }
    }

    #[test]
    fn labels_end_without_a_colon_and_use_one_ellipsis_character() {
        for (name, text) in ALL {
            assert!(!text.ends_with(':'), "{name}");
            assert!(!text.contains("..."), "{name}");
        }
    }

    #[test]
    fn words_are_in_sentence_case() {
        const PROPER: &[&str] = &[
            "QR",
            "X25519",
            "ML-KEM-768",
            "AES-256-GCM",
            "SFrame",
            "SFrame)",
            "(SFrame)",
            "Inter",
            "JetBrains",
            "Mono",
            "SIL",
            "Open",
            "Font",
            "License",
            "License.",
            "ISC",
            "Lucide",
            "M",
            "V",
            "WAV",
            "(M)",
            "(V)",
            "(Y4M)",
            "(WAV)",
            "(Ctrl+L)",
        ];
        for (name, text) in ALL {
            let mut starts = true;
            for word in text.split(' ') {
                let capital = word.chars().next().is_some_and(char::is_uppercase)
                    || word.starts_with('(') && word[1..].starts_with(char::is_uppercase);
                assert!(starts || !capital || PROPER.contains(&word), "{name}: {word}");
                starts = word.ends_with(['.', '…']);
            }
        }
    }

    #[test]
    fn a_strangers_name_cannot_reorder_or_break_the_line() {
        assert_eq!(shown_name("Ana\u{202e}anA"), "AnaanA");
        assert_eq!(shown_name("  Ana \n\t Silva "), "Ana Silva");
        assert_eq!(shown_name("\u{200b}\u{feff}"), UNNAMED);
        assert_eq!(shown_name(&"x".repeat(500)).chars().count(), 40);
    }

    #[test]
    fn initials_are_first_and_last() {
        assert_eq!(initials("ana maria silva"), "AS");
        assert_eq!(initials("Ana"), "A");
        assert_eq!(initials("…"), "?");
    }

    #[test]
    fn a_reconnect_says_that_the_microphone_stays_off() {
        assert!(reconnecting("Ana", false).contains("still off"));
        assert!(!reconnecting("Ana", true).contains("still off"));
    }
}
