//! Every word of the window, in one place: sentence case, plain, without colons after labels, '…' where more is asked.
//! What has a name or a figure in it is in `phrases`.

mod phrases;
mod quality;

pub use phrases::*;
pub use quality::*;

macro_rules! words {
    ($($name:ident = $text:literal;)*) => {
        $(#[doc = $text] pub const $name: &str = $text;)*
        #[cfg(test)]
        const ALL: &[(&str, &str)] = &[$((stringify!($name), $text),)*];
    };
}

words! {
    APP = "Conclave";
    CANNOT_START = "Conclave cannot start";
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
    HEAR_MYSELF = "What others hear";
    HEAR_RECORDING = "Say something. It is recorded for a few seconds on this device, and then played to you.";
    HEAR_PLAYING = "This is how others hear you.";
    HEAR_NOW = "Play it now";
    HEAR_STOP = "Stop";
    HEAR_MADE = "Recorded";
    HEAR_PLAYED = "Played";
    HEAR_WHERE = "How you sound with this you can hear before a meeting, with \u{201c}What others hear\u{201d}.";
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
    POP_OUT = "Small window";
    POP_OUT_TIP = "Small window that stays on top (P)";
    POP_OUT_TITLE = "Conclave: who is speaking";
    POP_OUT_CLOSE = "Close the small window";
    COPY_LINK = "Copy invite link";
    COPY_LINK_TIP = "Copy invite link (Ctrl+L)";
    INVITE_PEOPLE = "Invite people";
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
    MANAGE_INVITES = "Manage invites…";
    INVITES = "Invites";
    ALL_INVITES = "All invites";
    INVITES_EXPLAINED = "Whoever opens a link knocks first. A link of their own tells you whom a knock comes from, and can be taken back alone.";
    INVITES_GONE = "No invite is open, so nobody new can knock. Make one to let people find the door.";
    GENERAL_LINK = "General link";
    GENERAL_LINK_EXPLAINED = "For everyone you send it to";
    COPY_GENERAL_LINK = "Copy general link";
    SHOW_GENERAL_QR = "Show general link as QR code";
    REVOKE_GENERAL = "Revoke general link…";
    COPY_SHORT = "Copy";
    QR_SHORT = "QR code";
    REVOKE = "Revoke…";
    REVOKE_NOW = "Revoke";
    REVOKE_QUESTION = "It will open the door to nobody any more. Who came in with it stays.";
    KEEP = "Keep it";
    NEW_INVITE = "New personal invite…";
    INVITE_FOR = "For whom";
    INVITE_FOR_HINT = "Only you see this name";
    INVITE_LASTS = "Works for";
    ONE_HOUR = "1 hour";
    ONE_DAY = "1 day";
    UNTIL_END = "Until the meeting ends";
    SINGLE_USE = "For one person only";
    SINGLE_USE_EXPLAINED = "It stops working once somebody has come in with it.";
    CREATE_INVITE = "Create invite";
    INVITE_OPEN = "Open";
    INVITE_USED = "Used up";
    INVITE_REVOKED = "Revoked";
    INVITE_EXPIRED = "Expired";
    NOBODY_USED_IT = "Nobody has knocked with it yet";
    INVITE_EXPLAINED = "Scan this with the device that should join. The link is a key to the door: share it in private.";
    REACHABLE = "Your link can reach this device at";
    NOT_REACHABLE = "No address was found that others could reach.";
    ROUTER_ASKING = "Asking the router to open a port…";
    ANNOUNCED = "Announced on the local network";
    RELAY_EMBEDDED = "The relay runs in this app";
    RELAY_CONNECTED = "Connected";
    RELAY_DISCONNECTED = "Not connected";

    FORKED = "The host has shown different people different lists of who is here. Nothing is sent any more. Leave, and ask why.";
    HOST_LOST = "Nothing is heard of the host, and nobody can take over. You can go on talking, but nobody can join or be removed.";
    HOST_LOST_OWN = "Nothing is heard of the host. If that lasts, you take over. Until then nobody can join or be removed.";

    KNOCKING = "wants to join";
    ADMIT = "Admit";
    DECLINE = "Decline";
    BLOCK = "Decline and block";
    NEW_PERSON = "Not met before";
    MORE_WAITING = "Show all";

    NO_PICTURE = "Camera off";
    CONNECTING_PEER = "Finding a path…";
    RECONNECTING_PEER = "Reconnecting…";
    STOPPED_PEER = "Stopped, because what you compared did not match";
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

    VERIFY_EVERYONE = "Verify everyone";
    VERIFY_EVERYONE_MORE = "Verify everyone…";
    CODE_EXPLAINED = "Read them aloud. Everyone must have the same.";
    CODE_DIGITS = "The same as digits";
    CODE_PENDING = "The list of people has just changed. The code appears as soon as everyone has the same list.";
    CODE_SAME = "Same for everyone";
    CODE_DIFFERENT = "Different";
    CODE_CONFIRMED = "You found it the same for everyone";
    CODE_DIFFERS_TITLE = "The codes differ";
    CODE_DIFFERS_EXPLAINED = "Not everyone here has the same list of people and keys. Somebody may be between you, or the host may not be honest with everyone.";
    CODE_DIFFERS_ADVICE = "Leave, and reach these people another way. If somebody only misread it, read the code again.";
    READ_AGAIN = "Read again";

    SECURITY_STATE = "State";
    STATE_ALONE = "Nobody else is here. Nothing is sent.";
    STATE_AGREEING = "Keys are being agreed between your devices. Nothing is sent until they are.";
    STATE_ENCRYPTED = "Only the people here hold the keys. Verify them to be sure who they are.";
    STATE_VERIFIED = "Only the people here hold the keys, and you have verified everyone.";
    KEY_AGREEMENT = "Key agreement";
    KEY_AGREEMENT_VALUE = "X25519 and ML-KEM-768";
    POST_QUANTUM = "Post-quantum";
    POST_QUANTUM_VALUE = "Yes, without exception";
    ROSTER = "List of people";
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
    ROUTE_RELAYED_OWN = "Through your TURN server";
    ROUTE_RELAYED_TCP = "Through your TURN server, over TCP";
    ROUTE_RELAYED_TLS = "Through your TURN server, over TLS";
    ROUTE_RELAYED_THEIRS = "Through their TURN server";
    ROUTE_RELAYED_BOTH = "Through TURN servers on both sides";
    ADDRESS_HOST = "The device's own";
    ADDRESS_REFLEXIVE = "The router's";
    ADDRESS_RELAY = "The TURN server's";
    COUNTRY = "Country";
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
    RELAY_SEES_ADDRESS = "Your address, and when you are connected";
    RELAY_BLIND_ADDRESS = "Your own address";
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
    COHOST = "Co-host";
    THE_DOOR = "The door";
    LOCK_MEETING = "Lock the meeting";
    LOCK_EXPLAINED = "Nobody new comes in, and no knock is heard.";
    LOCKED = "Locked";
    LOCKED_EXPLAINED = "The meeting is locked. Nobody new comes in.";
    YOU_TAKE_OVER = "You take over if the host is lost.";
    NOBODY_TAKES_OVER = "Nobody can take over if the host is lost.";
    MAKE_COHOST = "Make co-host";
    MAKE_MEMBER = "Make ordinary member";
    MAKE_HOST = "Make host…";
    MAKE_HOST_NOW = "Make host";
    REMOVE = "Remove…";
    REMOVE_NOW = "Remove";

    LEAVE_TITLE = "Leave the meeting";
    END_FOR_EVERYONE = "End for everyone";
    LEAVE_NO_HEIR = "Nobody here can take over from you. If you leave, the meeting ends for everyone.";

    PROFILE = "Profile";
    DEVICES = "Devices";
    SOUND = "Sound";
    ECHO = "Cancel echo";
    ECHO_EXPLAINED = "Takes what your speaker plays out of what your microphone hears. With headphones you can do without.";
    NOISE = "Suppress noise";
    NOISE_EXPLAINED = "Takes out fans and other steady noise. Music sounds better without.";
    GAIN = "Even out my volume";
    GAIN_EXPLAINED = "Raises a low voice and lowers a loud one.";
    CONSTANT_RATE = "Send sound at a constant rate";
    CONSTANT_RATE_EXPLAINED = "All packets have one size, which tells nothing. Turned off, sound takes some 5 % less data while you speak and a third less while you are silent, but whoever sees the packets can tell from their sizes when you speak, and guess at words.";
    NETWORK = "Network";
    APPEARANCE = "Appearance";
    SHORTCUTS = "Shortcuts";
    PRIVACY = "Privacy";
    ADMIT_VERIFIED = "Let people I have verified in without asking";
    ADMIT_VERIFIED_EXPLAINED = "Only those whose safety number you compared and found right. All others still knock.";
    HIDE_NAME = "Leave my name out of invite links";
    HIDE_NAME_EXPLAINED = "Whoever finds a link then learns no name, but nobody is warned of a link that only looks like yours.";
    BLOCKED = "Blocked people";
    NOBODY_BLOCKED = "Nobody is blocked.";
    UNBLOCK = "Unblock";
    ABOUT = "About";
    OWN_RELAY = "Your own relay";
    OWN_RELAY_HINT = "relay.example:7770";
    OWN_RELAY_EXPLAINED = "Leave it empty to use the relay in this app.";
    ANNOUNCE = "Announce meetings on the local network";
    ANNOUNCE_EXPLAINED = "A link then keeps working nearby when addresses change.";
    OPEN_PORT = "Ask the router to open a port";
    OPEN_PORT_EXPLAINED = "So that people outside your network can reach a meeting you host.";
    TURN = "TURN server";
    TURN_HINT = "turn.example:3478";
    TURN_USER = "TURN user name";
    TURN_PASSWORD = "TURN password";
    TURN_EXPLAINED = "It passes sealed media on where no direct way is found or wanted. It sees addresses, times and sizes.";
    HIDE_ADDRESS = "Hide my address (always relay)";
    HIDE_ADDRESS_EXPLAINED = "The people you meet see the TURN server's address in place of yours.";
    HIDE_ADDRESS_NEEDS = "Name a TURN server above. Until then nothing is contacted.";
    ONLY = "Allowed routes";
    ONLY_EXPLAINED = "What is left empty allows all. What is not certain to be allowed is refused.";
    ONLY_RELAYS = "Only these relays";
    ONLY_RELAYS_HINT = "relay.example, turn.example";
    ONLY_NETWORKS = "Only these networks";
    ONLY_NETWORKS_HINT = "192.0.2.0/24, 2001:db8::/32";
    ONLY_COUNTRIES = "Only these countries";
    ONLY_COUNTRIES_HINT = "AT, CH, DE";
    COUNTRY_TABLE = "Table of countries";
    COUNTRY_TABLE_EXPLAINED = "A file that says which addresses belong to which country, as \u{201c}low,high,CC\u{201d} a line. It is read on this device.";
    COUNTRY_TABLE_NONE = "No file";
    COUNTRY_TABLE_FORGET = "Do without the table";
    COUNTRY_TABLE_NEEDED = "Countries need a table of countries. Until then nothing is contacted.";
    TABLE_FILES = "Table (CSV)";
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
    SAVE_LOG = "Save the signed meeting log…";
    SAVE_LOG_EXPLAINED = "Who came and went, and which keys were used. Nothing of what was said or shown.";
    LOG_FILES = "Meeting log";
    LOG_FILE_NAME = "meeting.log";
    SAVE_REPORT = "Save call report…";
    SAVE_REPORT_EXPLAINED = "Figures of the call, second by second, to show to somebody who helps. No names, no addresses, no keys.";
    REPORT_FILES = "Call report (JSON)";
    REPORT_FILE_NAME = "call-report.json";

    CONNECTION = "Connection";
    QUALITY_GOOD = "Good";
    QUALITY_FAIR = "Fair";
    QUALITY_POOR = "Poor";
    OVERLOADED = "This computer is busy. Your picture is sent smaller or less smoothly until it has time again.";
    SOUND_DELAY = "Sound buffer";
    SOUND_REPAIRED = "Sound repaired";
    ROOM_FOR_PICTURES = "Room for pictures";
    CALL_REPORT = "Call report";

    RELAY_LOST = "The relay cannot be reached. You can go on talking, but nobody new can join.";
    MIC_SILENT = "Your microphone delivers silence. Check that it is not switched off, and that the right one is chosen.";
    SPEAKING_MUTED = "You are muted. Press M to be heard.";
    MIC_STAYS_OFF = "Your microphone is still off.";

    DESKTOP = "Desktop";
    NOTIFY = "Notifications";
    NOTIFY_EXPLAINED = "When somebody knocks or the connection is lost, and only while you look at something else.";
    NOTIFY_NAMES = "Names in notifications";
    NOTIFY_NAMES_EXPLAINED = "Your desktop may keep notifications and show them on a locked screen.";
    TRAY = "Tray icon during a meeting";
    TRAY_EXPLAINED = "Shows whether you are muted. Some desktops have no tray.";
    CLEAR_CLIPBOARD = "Take copied invites off the clipboard";
    CLEAR_CLIPBOARD_EXPLAINED = "After a minute, if the invite is still there.";
    TRAY_HEARD = "In a meeting, microphone on";
    TRAY_MUTED = "In a meeting, muted";
    TRAY_SHOW = "Show the window";
    TRAY_MUTE = "Mute";
    TRAY_UNMUTE = "Unmute";
    TRAY_LEAVE = "Leave the meeting";
    STAYS_AWAKE = "A meeting is going on";
    NOTICE_KNOCK = "Somebody asks to join";
    NOTICE_KNOCK_EXPLAINED = "Let them in or turn them away in the window.";
    NOTICE_LOST = "The connection to the others is lost";
    NOTICE_BACK = "The connection to the others is back";
    LINK_WAITS = "Another invite was opened. It waits on the first screen, and nothing here has ended.";
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
            "I",
            "TURN",
            "(CSV)",
            "(P)",
            "CH,",
            "DE",
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
            "TCP",
            "TLS",
            "TCP.",
            "TLS.",
            "(M)",
            "(V)",
            "(Y4M)",
            "(WAV)",
            "(JSON)",
            "(Ctrl+L)",
        ];
        for (name, text) in ALL {
            let mut starts = true;
            for word in text.split(' ') {
                let capital = word.chars().next().is_some_and(char::is_uppercase)
                    || word.starts_with('(') && word[1..].starts_with(char::is_uppercase);
                assert!(starts || !capital || PROPER.contains(&word), "{name}: {word}");
                starts = word.ends_with(['.', '…', '?']);
            }
        }
    }
}
