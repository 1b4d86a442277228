//! The messages, each way and in every shape that a stranger could give them.

use proptest::prelude::*;

use super::*;
use crate::protocol::roster::entry::tests::{entry, identity};

fn any_message() -> impl Strategy<Value = Message> {
    let name = || "\\PC{1,64}".prop_map(|text| clean_name(&text));
    prop_oneof![
        (any::<[u8; 32]>(), any::<[u8; 32]>(), any::<[u8; 32]>()).prop_map(|(key, a, b)| {
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(&a);
            signature[32..].copy_from_slice(&b);
            Message::Proof { identity: IdentityKey(key), signature }
        }),
        name().prop_map(|name| Message::Knock { name }),
        (any::<u16>(), any::<[u8; 32]>(), any::<[u8; 32]>()).prop_map(|(your_index, meeting, secret)| {
            Message::Admit { your_index, meeting, secret: Secret::new(secret), roster: roster() }
        }),
        any::<u8>().prop_map(|reason| Message::Decline { reason }),
        any::<u8>().prop_map(|reason| Message::Leave { reason }),
        (any::<u32>(), any::<[u8; 32]>(), any::<[u8; 32]>()).prop_map(|(generation, roster, base)| {
            Message::SenderKey { generation, roster, base: Secret::new(base) }
        }),
        any::<u32>().prop_map(|generation| Message::KeyAck { generation }),
        "[ -~\r\n\t]{1,2000}".prop_map(|sdp| Message::Offer { sdp }),
        "[ -~\r\n\t]{1,2000}".prop_map(|sdp| Message::Answer { sdp }),
        "[ -~]{0,512}".prop_map(|line| Message::Candidate { line }),
        any::<(bool, bool)>().prop_map(|(mic, camera)| Message::MediaState { mic, camera }),
        any::<u16>().prop_map(|height| Message::VideoWish { height }),
        any::<u64>().prop_map(|token| Message::Ping { token }),
        any::<u64>().prop_map(|token| Message::Pong { token }),
        any_roster_message(),
        any_code_message(),
    ]
}

fn roster() -> Box<Signed> {
    Box::new(Signed::make(entry(), &[7; 32], &identity(1)))
}

fn any_roster_message() -> impl Strategy<Value = Message> {
    let name = || "\\PC{1,64}".prop_map(|text| clean_name(&text));
    let waiting = |list: Vec<(u32, [u8; 32], String)>| {
        let one = |(number, identity, name)| Waiting { number, identity: IdentityKey(identity), name };
        Message::Waiting(list.into_iter().map(one).collect())
    };
    let one = (any::<u32>(), any::<[u8; 32]>(), name());
    let request = prop_oneof![
        any::<u32>().prop_map(Request::Admit),
        any::<u32>().prop_map(Request::Decline),
        any::<u16>().prop_map(Request::Remove),
        Just(Request::Lock),
        Just(Request::Unlock),
    ];
    prop_oneof![
        Just(()).prop_map(|()| Message::Roster(roster())),
        (any::<u32>(), any::<u64>(), any::<[u8; 32]>())
            .prop_map(|(term, counter, hash)| { Message::Head(Head { term, counter, hash, signature: [3; 64] }) }),
        prop::collection::vec(one, 0..=MAX_WAITING).prop_map(waiting),
        request.prop_map(Message::Request),
    ]
}

fn any_code_message() -> impl Strategy<Value = Message> {
    let table = || prop::collection::btree_map(any::<u16>(), any::<[u8; 32]>(), 0..MAX_LISTED);
    prop_oneof![
        any::<(Round, PeopleHash)>().prop_map(|(round, people)| Message::CodeOpen { round, people }),
        any::<(Round, Commitment)>().prop_map(|(round, commitment)| Message::CodeCommit { round, commitment }),
        (any::<Round>(), table()).prop_map(|(round, set)| Message::CodeSet { round, signature: [4; 64], set }),
        any::<[u8; 32]>().prop_map(|secret| Message::MembersSecret { secret: Secret::new(secret) }),
        any::<(Round, [u8; 32])>().prop_map(|(round, value)| Message::CodeReveal { round, value: Secret::new(value) }),
        (any::<Round>(), table()).prop_map(|(round, values)| Message::CodeValues {
            round,
            values: values.into_iter().map(|(index, value)| (index, Secret::new(value))).collect(),
        }),
    ]
}

proptest! {
    #[test]
    fn every_message_reads_back_as_it_was_written(message in any_message()) {
        let bytes = message.encode().unwrap();
        prop_assert!(Message::decode(&bytes).unwrap() == message);
    }

    #[test]
    fn a_cut_or_lengthened_message_is_refused(message in any_message(), cut in any::<prop::sample::Index>()) {
        let bytes = message.encode().unwrap();
        prop_assert!(Message::decode(&bytes[..cut.index(bytes.len())]).is_err());
        let longer = [&bytes[..], &[0]].concat();
        let refused = Message::decode(&longer).err();
        let behind_a_list = WireError::Entry(EntryError::TrailingBytes);
        prop_assert!(refused == Some(WireError::TrailingBytes) || refused == Some(behind_a_list));
    }

    #[test]
    fn random_bytes_never_panic_and_what_they_mean_is_written_the_same(bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 0u8..0x19) {
        let mut bytes = bytes;
        for first in [bytes.first().copied().unwrap_or(0), kind] {
            if let Some(byte) = bytes.first_mut() { *byte = first; }
            if let Ok(message) = Message::decode(&bytes) {
                prop_assert_eq!(&message.encode().unwrap()[..], &bytes[..]);
            }
        }
    }

    #[test]
    fn any_text_becomes_a_name_that_the_wire_takes(text in ".{0,200}") {
        let name = clean_name(&text);
        let encoded = Message::Knock { name: name.clone() }.encode();
        prop_assert!(encoded.is_ok());
        prop_assert_eq!(clean_name(&name), name);
    }
}

#[test]
fn every_text_has_a_bound_and_keeps_it() {
    let encode = |message: Message| message.encode().map(|bytes| bytes.len());
    let x = |n: usize| "x".repeat(n);
    assert_eq!(encode(Message::Offer { sdp: x(MAX_SDP) }), Ok(3 + MAX_SDP));
    assert_eq!(encode(Message::Offer { sdp: x(MAX_SDP + 1) }), Err(WireError::TextLength));
    assert_eq!(encode(Message::Offer { sdp: String::new() }), Err(WireError::TextLength));
    assert_eq!(encode(Message::Answer { sdp: x(MAX_SDP + 1) }), Err(WireError::TextLength));
    assert_eq!(encode(Message::Candidate { line: x(MAX_CANDIDATE) }), Ok(3 + MAX_CANDIDATE));
    assert_eq!(encode(Message::Candidate { line: x(MAX_CANDIDATE + 1) }), Err(WireError::TextLength));
    assert_eq!(encode(Message::Candidate { line: String::new() }), Ok(3));
    assert_eq!(encode(Message::Knock { name: x(64) }), Ok(3 + 64));
    assert_eq!(encode(Message::Knock { name: "\u{1f600}".repeat(64) }), Ok(3 + 256));
    assert_eq!(encode(Message::Knock { name: x(65) }), Err(WireError::TextLength));
    assert_eq!(encode(Message::Knock { name: String::new() }), Err(WireError::TextLength));
}

#[test]
fn the_same_bounds_hold_for_what_arrives() {
    let text = |kind: u8, length: usize| {
        let mut bytes = vec![kind];
        bytes.extend((length as u16).to_be_bytes());
        bytes.resize(3 + length, b'x');
        Message::decode(&bytes).map(|_| ())
    };
    for (kind, most) in [(0x08, MAX_SDP), (0x09, MAX_SDP), (0x0a, MAX_CANDIDATE), (0x02, MAX_NAME_CHARS)] {
        assert_eq!(text(kind, most), Ok(()), "{kind:#x}");
        assert_eq!(text(kind, most + 1), Err(WireError::TextLength), "{kind:#x}");
    }
    for kind in [0x08, 0x09, 0x02] {
        assert_eq!(text(kind, 0), Err(WireError::TextLength), "{kind:#x}");
    }
    assert_eq!(Message::decode(&[]), Err(WireError::Truncated));
    assert_eq!(Message::decode(&[0x19]), Err(WireError::UnknownType(0x19)));
    assert_eq!(Message::decode(&[0x18, 1]), Err(WireError::Truncated));
    assert_eq!(Message::decode(&[0x10, MAX_WAITING as u8 + 1]), Err(WireError::List));
    assert_eq!(Message::decode(&[0x11, 9, 0, 0, 0, 0]), Err(WireError::UnknownRequest));
    assert_eq!(Message::decode(&[0x11, 3, 0, 1, 0, 0]), Err(WireError::UnknownRequest));
    let table = |entries: &[u16]| {
        let mut bytes = vec![0x16];
        bytes.extend([0; 16]);
        bytes.extend((entries.len() as u16).to_be_bytes());
        entries.iter().for_each(|index| bytes.extend([&index.to_be_bytes()[..], &[0; 32]].concat()));
        Message::decode(&bytes).map(|_| ())
    };
    assert_eq!(table(&[1, 2, 9]), Ok(()));
    assert_eq!(table(&[1, 1]), Err(WireError::List));
    assert_eq!(table(&[2, 1]), Err(WireError::List));
    assert_eq!(table(&[0; MAX_LISTED + 1]), Err(WireError::List));
    assert_eq!(Message::decode(&[0x0b, 4]), Err(WireError::UnknownFlag));
}

#[test]
fn a_name_cannot_reorder_or_hide_text() {
    for name in ["Ana\u{202e}", "\u{2066}Ana", "A\u{200b}na", "Ana\n", " Ana", "Ana ", "\u{feff}Ana", "\u{7f}"] {
        assert_eq!(Message::Knock { name: name.into() }.encode(), Err(WireError::TextContent), "{name:?}");
    }
    assert_eq!(clean_name(" \u{202e}Ana\u{0} B.\t "), "Ana B.");
    assert_eq!(clean_name("\u{200b}"), "Guest");
}

#[test]
fn reasons_keep_their_codes() {
    for code in 0..=255 {
        assert_eq!(DeclineReason::from_code(code).code(), code);
        assert_eq!(LeaveReason::from_code(code).code(), code);
    }
}

#[test]
fn debug_shows_no_field() {
    assert_eq!(format!("{:?}", Message::Knock { name: "Ana".into() }), "knock");
}
