//! Names and texts inside messages: what they may hold, and how they are written.

use super::WireError;

/// Longest name in characters.
pub const MAX_NAME_CHARS: usize = 64;

/// Makes any text usable as a name: forbidden characters and white space at the ends go, what is too long is cut, and
/// nothing becomes "Guest".
pub fn clean_name(text: &str) -> String {
    let kept: String = text.chars().filter(|c| !is_forbidden_in_name(*c)).collect();
    let cut: String = kept.trim().chars().take(MAX_NAME_CHARS).collect();
    match cut.trim_end() {
        "" => "Guest".to_owned(),
        name => name.to_owned(),
    }
}

/// Control characters, and those that reorder or hide the text around them (UAX #9 §2, zero-width ones), with which a name
/// could pretend to be another or to be part of the window.
fn is_forbidden_in_name(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

pub(super) fn take<const N: usize>(input: &mut &[u8]) -> Result<[u8; N], WireError> {
    let (head, rest) = input.split_first_chunk::<N>().ok_or(WireError::Truncated)?;
    *input = rest;
    Ok(*head)
}

pub(super) fn take_text(input: &mut &[u8], least: usize, most: usize) -> Result<String, WireError> {
    let length = usize::from(u16::from_be_bytes(take(input)?));
    if !(least..=most).contains(&length) {
        return Err(WireError::TextLength);
    }
    let (text, rest) = input.split_at_checked(length).ok_or(WireError::Truncated)?;
    let text = std::str::from_utf8(text).map_err(|_| WireError::TextContent)?;
    check_text(text, least, most)?;
    *input = rest;
    Ok(text.to_owned())
}

pub(super) fn put_text(out: &mut Vec<u8>, text: &str, least: usize, most: usize) -> Result<(), WireError> {
    check_text(text, least, most)?;
    out.extend((text.len() as u16).to_be_bytes());
    out.extend(text.as_bytes());
    Ok(())
}

fn check_text(text: &str, least: usize, most: usize) -> Result<(), WireError> {
    if !(least..=most).contains(&text.len()) {
        return Err(WireError::TextLength);
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\r' | '\n')) {
        return Err(WireError::TextContent);
    }
    Ok(())
}

pub(super) fn take_name(input: &mut &[u8]) -> Result<String, WireError> {
    let name = take_text(input, 1, MAX_NAME_CHARS * 4)?;
    check_name(&name)?;
    Ok(name)
}

pub(super) fn put_name(out: &mut Vec<u8>, name: &str) -> Result<(), WireError> {
    check_name(name)?;
    put_text(out, name, 1, MAX_NAME_CHARS * 4)
}

/// Whether a text may stand as a name.
pub fn is_name(name: &str) -> bool {
    check_name(name).is_ok()
}

fn check_name(name: &str) -> Result<(), WireError> {
    if name.is_empty() || name.chars().count() > MAX_NAME_CHARS {
        return Err(WireError::TextLength);
    }
    if name.trim() != name || name.chars().any(is_forbidden_in_name) {
        return Err(WireError::TextContent);
    }
    Ok(())
}
