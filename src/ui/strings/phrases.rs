//! Sentences with a name or a figure in them.

use super::*;

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

/// A notification that somebody is at the door.
pub fn notice_knock(name: &str) -> String {
    format!("{} asks to join", shown_name(name))
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
    format!("No way to {} is used. {why}", shown_name(name))
}

/// A word of a list of allowed relays is none.
pub fn no_relay(word: &str) -> String {
    format!("“{word}” is neither the name nor the address of a relay. Until that is put right, nothing is contacted.")
}

/// A word of a list of allowed networks is none.
pub fn no_network(word: &str) -> String {
    format!("“{word}” is not a network such as 192.0.2.0/24. Until that is put right, nothing is contacted.")
}

/// A word of a list of allowed countries is none.
pub fn no_country(word: &str) -> String {
    format!("“{word}” is not a two-letter code such as DE. Until that is put right, nothing is contacted.")
}

/// No path to somebody has been found for a while.
pub fn no_path(name: &str) -> String {
    format!("No way to {} has been found yet. Both networks may refuse direct connections.", shown_name(name))
}

/// Somebody whose safety number was compared and found different.
pub fn did_not_match(name: &str) -> String {
    format!("Not {}: you compared safety numbers, and they differed", shown_name(name))
}

/// A link's host goes by a name like that of a contact with another key.
pub fn host_look_alike(name: &str, known: &str) -> String {
    format!(
        "This link's host calls itself {}, but has another key than the {} you know.",
        shown_name(name),
        shown_name(known)
    )
}

/// What to do about such a link.
pub fn host_look_alike_advice(known: &str) -> String {
    format!("Ask {} in another way before you join.", shown_name(known))
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

/// The accessible name of the button that declines and blocks somebody.
pub fn block(name: &str) -> String {
    format!("{BLOCK} {}", shown_name(name))
}

/// The accessible name of a button that opens a menu about somebody.
pub fn more_about(name: &str) -> String {
    format!("More for {}", shown_name(name))
}

/// Which invite somebody knocked with.
pub fn knocked_with(label: &str) -> String {
    if label.trim().is_empty() {
        format!("With the {}", lower(GENERAL_LINK))
    } else {
        format!("With the {}", lower(&invite_for(label)))
    }
}

/// A personal link in the hands of more than the one it was for.
pub fn passed_on_to_knock(first: &str) -> String {
    format!("This link was passed on: {} knocked with it before", shown_name(first))
}

/// The title of an invite.
pub fn invite_for(label: &str) -> String {
    if label.trim().is_empty() { GENERAL_LINK.to_owned() } else { format!("Invite for {}", shown_name(label)) }
}

/// The accessible name of the button that copies an invite's link.
pub fn copy_invite(label: &str) -> String {
    if label.trim().is_empty() { COPY_GENERAL_LINK.to_owned() } else { format!("Copy {}", lower(&invite_for(label))) }
}

/// The accessible name of the button that shows an invite as a code.
pub fn show_invite(label: &str) -> String {
    if label.trim().is_empty() {
        SHOW_GENERAL_QR.to_owned()
    } else {
        format!("Show {} as QR code", lower(&invite_for(label)))
    }
}

/// The accessible name of the button that takes an invite back.
pub fn revoke_invite(label: &str) -> String {
    if label.trim().is_empty() { REVOKE_GENERAL.to_owned() } else { format!("Revoke {}…", lower(&invite_for(label))) }
}

/// Until when an invite works; `None`: until the meeting ends.
pub fn invite_works(until: Option<&str>, single_use: bool) -> String {
    let until = until.map_or_else(|| lower(UNTIL_END), |until| format!("until {until}"));
    if single_use { format!("For one person, {until}") } else { format!("For any number of people, {until}") }
}

/// Who knocked with an invite.
pub fn invite_used_by(names: &[String]) -> String {
    format!("Used by {}", listed(names))
}

/// More people than one knocked with a personal invite.
pub fn invite_passed_on(names: &[String]) -> String {
    let count = match names.len() {
        2 => "two".to_owned(),
        3 => "three".to_owned(),
        more => more.to_string(),
    };
    format!("Used by {count} people ({}): it was passed on", listed(names))
}

/// Names as a sentence lists them.
pub(super) fn listed(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| shown_name(name)).collect();
    match names.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
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

/// How many are in the meeting, oneself included.
pub fn in_the_meeting(count: usize) -> String {
    format!("{IN_THE_MEETING} · {count}")
}

/// Who takes over.
pub fn takes_over(name: &str) -> String {
    format!("Takes over if the host is lost: {}", shown_name(name))
}

/// Nothing is heard of the host, and somebody else is to take over.
pub fn host_lost(heir: &str) -> String {
    let heir = shown_name(heir);
    format!("Nothing is heard of the host. If that lasts, {heir} takes over. Until then nobody can join or be removed.")
}

/// The title of the sheet that asks before somebody is removed.
pub fn remove_title(name: &str) -> String {
    format!("Remove {}?", shown_name(name))
}

/// What removing somebody means.
pub fn remove_explained(name: &str) -> String {
    let name = shown_name(name);
    format!("The keys change at once, and {name} hears and sees nothing more. {name} can knock again; you decide then.")
}

/// The title of the sheet that asks before the meeting is handed over.
pub fn hand_over_title(name: &str) -> String {
    format!("Make {} the host?", shown_name(name))
}

/// What handing over means.
pub fn hand_over_explained(name: &str) -> String {
    let name = shown_name(name);
    format!(
        "{name} then decides who comes in and who is removed. Your invite links stop working. You stay as an ordinary member, and only {name} can make you host again."
    )
}

/// The button with which a host leaves the meeting to somebody.
pub fn leave_to(name: &str) -> String {
    format!("Leave; {} takes over", shown_name(name))
}

/// What leaving to somebody means.
pub fn leave_to_explained(name: &str) -> String {
    format!("The others can go on without you: {} then decides who comes in.", shown_name(name))
}

/// So many people here are not verified.
pub fn not_yet_verified(count: usize) -> String {
    format!("{count} new, not yet verified")
}

/// Who here is not verified.
pub fn not_yet_verified_names(names: &[String]) -> String {
    format!("{}: {}", not_yet_verified(names.len()), listed(names))
}

/// Number and beginning of the hash of the list in force.
pub fn roster_entry(entry: u64, hash: &str) -> String {
    format!("Entry {entry} · {hash}")
}

/// Path, round trip and loss of a peer in one line.
pub fn route_in_short(route: &str, rtt: &str, loss: &str) -> String {
    format!("{route} · {rtt} · {loss}")
}

/// A figure of both directions.
pub fn both_ways(here: &str, there: &str) -> String {
    format!("{here} here · {there} there")
}

/// The accessible name of the button that unfolds somebody's figures.
pub fn details_of(name: &str) -> String {
    format!("Details of {}", shown_name(name))
}

/// The accessible name of the button that lets somebody knock again.
pub fn unblock(name: &str) -> String {
    format!("{UNBLOCK} {}", shown_name(name))
}

/// The room as the relay knows it, and who else is in it.
pub fn relay_sees_room(room: &str, others: usize) -> String {
    match others {
        0 => format!("Room {room}…, with no other connection in it"),
        1 => format!("Room {room}…, with 1 other connection in it"),
        more => format!("Room {room}…, with {more} other connections in it"),
    }
}

/// What went through the relay, `to` it or from it.
pub fn relay_sees_messages(out: u64, out_bytes: u64, taken: u64, taken_bytes: u64) -> String {
    let messages =
        |count: u64| if count == 1 { "1 sealed message".to_owned() } else { format!("{count} sealed messages") };
    format!(
        "{} from you ({}) and {} to you ({}), with time and size",
        messages(out),
        bytes(out_bytes),
        messages(taken),
        bytes(taken_bytes)
    )
}

/// A number of bytes as people read it (powers of ten).
pub fn bytes(count: u64) -> String {
    match count {
        0..1000 => format!("{count} bytes"),
        1000..1_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        _ => format!("{:.1} MB", count as f64 / 1e6),
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
pub fn tile(name: &str, mic_on: bool, camera_on: bool, verified: bool, speaking: bool) -> String {
    let mut said = format!(
        "{name}, {}, {}",
        lower(if mic_on { MIC_ON } else { MIC_OFF }),
        lower(if camera_on { CAMERA_ON } else { CAMERA_OFF })
    );
    if verified {
        said.push_str(", verified");
    }
    if speaking && mic_on {
        said.push_str(", speaking");
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

/// What is known when a comparison fails.
pub struct Evidence<'a> {
    /// Date and time.
    pub when: &'a str,
    /// Fingerprint of the own identity key.
    pub own: &'a str,
    /// Names and fingerprints of the others it is about.
    pub others: &'a [(&'a str, &'a str)],
    /// The number or code on this device.
    pub number: &'a str,
    /// What it was compared with; empty if nothing was entered.
    pub compared: &'a str,
    /// Entry and beginning of the hash of the list of people in force.
    pub roster: &'a str,
}

impl Evidence<'_> {
    /// That of two safety numbers, to be kept or sent.
    pub fn of_numbers(&self) -> String {
        let compared = if self.compared.is_empty() { "not entered" } else { self.compared };
        self.written(
            "safety numbers differed",
            &format!("Number on this device: {}\nNumber compared with: {compared}", self.number),
        )
    }

    /// That of a group code, to be kept or sent.
    pub fn of_code(&self) -> String {
        self.written("group codes differed", &format!("Code on this device: {}", self.number))
    }

    fn written(&self, what: &str, numbers: &str) -> String {
        let others: String = self
            .others
            .iter()
            .map(|(name, fingerprint)| format!("Identity key of {}: {fingerprint}\n", shown_name(name)))
            .collect();
        format!(
            "{APP}: {what}\nTime: {}\n{others}Own identity key: {}\n{numbers}\nList of people: {}\n",
            self.when, self.own, self.roster
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_link_passed_on_names_all_who_used_it() {
        let names = ["Ben".to_owned(), "Carla".to_owned(), "Dina".to_owned()];
        assert_eq!(invite_used_by(&names[..1]), "Used by Ben");
        assert_eq!(invite_passed_on(&names[..2]), "Used by two people (Ben and Carla): it was passed on");
        assert_eq!(invite_passed_on(&names), "Used by three people (Ben, Carla and Dina): it was passed on");
    }

    #[test]
    fn evidence_holds_both_numbers_all_keys_and_the_list() {
        let evidence = Evidence {
            when: "now",
            own: "OWN",
            others: &[("Ana\u{202e}", "THEIRS")],
            number: "11111",
            compared: "",
            roster: "Entry 3 · 0a1b2c3d",
        };
        for part in ["now", "OWN", "Ana: THEIRS", "11111", "not entered", "0a1b2c3d"] {
            assert!(evidence.of_numbers().contains(part), "{part}");
        }
        assert!(evidence.of_code().contains("Code on this device: 11111"));
    }

    #[test]
    fn sizes_change_their_unit_at_a_thousand() {
        assert_eq!(bytes(999), "999 bytes");
        assert_eq!(bytes(3400), "3.4 kB");
        assert_eq!(bytes(2_500_000), "2.5 MB");
    }
}
