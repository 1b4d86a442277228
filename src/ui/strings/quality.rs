//! How well it goes, and why not better.

use super::{QUALITY_FAIR, QUALITY_GOOD, QUALITY_POOR, UNKNOWN, listed, shown_name};
use crate::engine::view::{Cause, Quality, Reason};

/// How well it goes, in a word.
pub fn quality(quality: Quality) -> &'static str {
    match quality {
        Quality::Unknown => UNKNOWN,
        Quality::Poor => QUALITY_POOR,
        Quality::Fair => QUALITY_FAIR,
        Quality::Good => QUALITY_GOOD,
    }
}

/// The same of the connection to somebody.
pub fn connection(name: &str, how: Quality) -> String {
    format!("Connection to {}: {}", shown_name(name), quality(how).to_lowercase())
}

/// The same with all the reasons, for those who listen to it.
pub fn with_reasons(word: &str, why: &[String]) -> String {
    let why: String = why.iter().map(|sentence| format!(" {sentence}")).collect();
    format!("{word}.{why}")
}

/// Why it does not go better with somebody, a sentence each.
pub fn reasons(name: &str, reasons: &[Reason]) -> Vec<String> {
    reasons.iter().map(|why| reason(name, *why)).collect()
}

/// Why it does not go better with somebody.
pub fn reason(name: &str, reason: Reason) -> String {
    let (shown, names) = (shown_name(name), [name.to_owned()]);
    match reason {
        Reason::Sending(cause) => weak_upload(&names, cause),
        Reason::Receiving(cause) => weak_download(&names, cause),
        Reason::Standing => format!("{shown}’s picture stands still at times."),
        Reason::SoundRepaired(percent) => format!("Sound from {shown} is being repaired: {percent} %."),
        Reason::Delay(ms) => format!("Sound takes long between you and {shown}: {ms} ms there and back."),
        Reason::Overloaded => super::OVERLOADED.to_owned(),
    }
}

/// What these people see and hear of this person is limited.
pub fn weak_upload(names: &[String], cause: Cause) -> String {
    let all = listed(names);
    match (names, cause) {
        ([_], Cause::Own) => format!("Your upload limits what {all} sees and hears of you."),
        ([_], Cause::Theirs) => format!("{all}’s download limits what {all} sees and hears of you."),
        ([_], Cause::Either) => format!("Your upload, or {all}’s download, limits what {all} sees and hears of you."),
        (_, Cause::Theirs) => format!("The downloads of {all} limit what they see and hear of you."),
        _ => format!("Your upload limits what {all} see and hear of you."),
    }
}

/// What this person sees and hears of these people is limited.
pub fn weak_download(names: &[String], cause: Cause) -> String {
    let all = listed(names);
    match (names, cause) {
        ([_], Cause::Own) => format!("Your download limits {all}’s picture and sound."),
        ([_], Cause::Theirs) => format!("{all}’s upload limits {all}’s picture and sound."),
        ([_], Cause::Either) => format!("Your download, or {all}’s upload, limits {all}’s picture and sound."),
        (_, Cause::Theirs) => format!("The uploads of {all} limit their pictures and sound."),
        _ => format!("Your download limits the pictures and sound of {all}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_side_is_narrow_is_said_and_one_is_not_many() {
        let names = ["Ana".to_owned(), "Ben".to_owned()];
        assert_eq!(weak_upload(&names[..1], Cause::Own), "Your upload limits what Ana sees and hears of you.");
        assert_eq!(weak_upload(&names, Cause::Own), "Your upload limits what Ana and Ben see and hear of you.");
        assert_eq!(weak_download(&names[..1], Cause::Theirs), "Ana’s upload limits Ana’s picture and sound.");
        assert!(weak_download(&names[..1], Cause::Either).contains("Your download, or Ana’s upload"));
    }

    #[test]
    fn a_mark_is_read_out_with_its_reasons() {
        let why = reasons("Ana", &[Reason::SoundRepaired(7), Reason::Overloaded]);
        let said = with_reasons(&connection("Ana", Quality::Poor), &why);
        assert!(said.starts_with("Connection to Ana: poor. Sound from Ana is being repaired: 7 %."), "{said}");
        assert!(said.ends_with(super::super::OVERLOADED));
    }
}
