//! Comparing numbers and codes, and what the security panel says.

use conclave::engine::view::{Encryption, PeerLink, RelaySight, RouteKind, Verification};
use conclave::engine::{Command, Verdict};
use conclave::ui::strings;
use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable;

use crate::window_script::{Script, meeting, number, peer, people};

#[test]
fn they_match_is_sent_and_closes_the_sheet() {
    let mut script = Script::new(meeting(vec![peer("Ana")]));
    script.press(&strings::verify_button("Ana"));
    assert!(script.says(&number()));
    assert!(script.window.query_by_role_and_label(Role::Image, strings::SAFETY_NUMBER).is_some());
    script.type_into(strings::COMPARE_FIELD, &number());
    assert!(script.says(strings::NUMBERS_EQUAL));
    script.press(strings::THEY_MATCH);
    assert!(matches!(script.commands().as_slice(), [Command::Judge { peer: 1, verdict: Verdict::Match }]));
    assert!(script.window.query_by_label(strings::THEY_MATCH).is_none());
}

#[test]
fn a_number_that_differs_cannot_be_called_equal() {
    let mut script = Script::new(meeting(vec![peer("Ana")]));
    script.press(&strings::verify_button("Ana"));
    script.type_into(strings::COMPARE_FIELD, &number().replacen('1', "7", 1));
    assert!(script.says(strings::NUMBERS_DIFFER));
    script.press(strings::THEY_MATCH);
    assert!(script.commands().is_empty());
    script.press(strings::THEY_DIFFER);
    assert!(matches!(script.commands().as_slice(), [Command::Judge { peer: 1, verdict: Verdict::Mismatch }]));
    script.in_meeting(|meeting| {
        meeting.peers[0].verification = Verification::Mismatch;
        meeting.peers[0].link = PeerLink::Stopped;
    });
    assert!(script.says(strings::MISMATCH_EXPLAINED));
    script.press(strings::COPY_EVIDENCE);
    let evidence = script.copied().unwrap();
    assert!(evidence.contains(&number()) && evidence.contains(&peer("Ana").fingerprint));
    assert!(evidence.contains("3fa29c01") && evidence.contains(&number().replacen('1', "7", 1)));
}

#[test]
fn a_shortcut_never_fires_in_the_compare_field() {
    let mut script = Script::new(meeting(vec![peer("Ana")]));
    script.press(&strings::verify_button("Ana"));
    script.window.get_by_role_and_label(Role::TextInput, strings::COMPARE_FIELD).focus();
    script.window.run();
    for key in [Key::M, Key::V] {
        script.window.key_press(key);
        script.window.run();
    }
    script.window.key_press_modifiers(Modifiers::COMMAND, Key::L);
    script.window.run();
    assert!(script.commands().is_empty());
    assert_eq!(script.copied(), None);
}

#[test]
fn muting_by_key_works_while_a_sheet_is_open() {
    let mut script = Script::new(meeting(vec![peer("Ana")]));
    script.press(&strings::verify_button("Ana"));
    script.window.key_press(Key::M);
    script.window.run();
    assert!(matches!(script.commands().as_slice(), [Command::SetMic(false)]));
    script.window.key_press(Key::Escape);
    script.window.run();
    assert!(script.window.query_by_label(strings::THEY_MATCH).is_none());
}

#[test]
fn a_verified_peer_is_shown_as_such_and_verification_can_be_withdrawn() {
    let mut script = Script::new(meeting(vec![peer("Ana")]));
    script.in_meeting(|meeting| {
        meeting.peers[0].verification = Verification::Yes { since: 1_795_467_900 };
        meeting.encryption = Encryption::Verified;
    });
    script.press(strings::PEOPLE);
    assert!(script.says("Verified on 23 November 2026"));
    script.choose(&strings::more_about("Ana"), &strings::verify_button("Ana"));
    script.press(strings::WITHDRAW);
    assert!(matches!(script.commands().as_slice(), [Command::Judge { peer: 1, verdict: Verdict::Withdrawn }]));
}

#[test]
fn the_security_panel_states_the_route_and_the_figures() {
    let mut script = Script::new(meeting(vec![peer("Ana")]));
    script.press(strings::SECURITY);
    for words in [strings::ROUTE_DIRECT, "192.0.2.7:50000", "24 ms", "1.8 Mbit/s", strings::RELAY_SEES] {
        assert!(script.says(words), "{words}");
    }
    script.window.key_press(Key::Escape);
    script.window.run();
    assert!(!script.says(strings::RELAY_SEES));
}

#[test]
fn the_group_code_is_shown_as_words_and_digits_and_called_the_same() {
    let mut script = Script::new(meeting(people(3)));
    script.press(&strings::not_yet_verified(3));
    assert!(script.says(strings::CODE_EXPLAINED));
    for words in ["harbour", "violet", "window", "ladder", "40217 88530 1946"] {
        assert!(script.says(words), "{words}");
    }
    assert!(script.says("3 new, not yet verified: Ben Okafor, Chloé and Dina Petrova"));
    script.press(strings::CODE_SAME);
    assert!(matches!(script.commands().as_slice(), [Command::JudgeCode { verdict: Verdict::Match, .. }]));
    assert!(!script.says(strings::CODE_EXPLAINED));
}

#[test]
fn a_group_code_that_differs_is_said_in_plain_words_with_evidence() {
    let mut script = Script::new(meeting(people(2)));
    script.press(strings::PEOPLE);
    script.find_and_press(strings::VERIFY_EVERYONE_MORE);
    script.press(strings::CODE_DIFFERENT);
    assert!(matches!(script.commands().as_slice(), [Command::JudgeCode { verdict: Verdict::Mismatch, .. }]));
    script.in_meeting(|meeting| meeting.code.differs = true);
    assert!(script.says(strings::CODE_DIFFERS_TITLE));
    assert!(script.says(strings::CODE_DIFFERS_EXPLAINED));
    script.press(strings::COPY_EVIDENCE);
    let evidence = script.copied().unwrap();
    for part in ["harbour violet window ladder", "40217 88530 1946", "Chloé", "3fa29c01", "3RTB-K7QD-2M4P-9XWA"] {
        assert!(evidence.contains(part), "{part}");
    }
    script.press(strings::READ_AGAIN);
    assert!(matches!(script.commands().as_slice(), [Command::JudgeCode { verdict: Verdict::Withdrawn, .. }]));
}

#[test]
fn a_code_not_agreed_yet_cannot_be_judged() {
    let mut script = Script::new(meeting(people(2)));
    script.in_meeting(|meeting| meeting.code.words.clear());
    script.press(&strings::not_yet_verified(2));
    assert!(script.says(strings::CODE_PENDING));
    for name in [strings::CODE_SAME, strings::CODE_DIFFERENT] {
        assert!(script.window.query_by_label(name).is_none(), "{name}");
    }
}

#[test]
fn a_confirmed_code_is_said_to_be_so_and_can_be_withdrawn() {
    let mut script = Script::new(meeting(people(2)));
    script.in_meeting(|meeting| {
        meeting.code.confirmed = true;
        meeting.code.unverified.clear();
    });
    assert!(!script.says(&strings::not_yet_verified(2)));
    script.press(strings::SECURITY);
    script.press(strings::VERIFY_EVERYONE_MORE);
    assert!(script.says(strings::CODE_CONFIRMED));
    script.press(strings::WITHDRAW);
    assert!(matches!(script.commands().as_slice(), [Command::JudgeCode { verdict: Verdict::Withdrawn, .. }]));
}

#[test]
fn somebody_new_is_said_to_be_not_yet_verified() {
    let mut script = Script::new(meeting(people(2)));
    script.in_meeting(|meeting| meeting.code.unverified = vec!["Chloé".to_owned()]);
    assert!(script.says("1 new, not yet verified"));
    script.press(strings::SECURITY);
    assert!(script.says("1 new, not yet verified: Chloé"));
}

#[test]
fn the_security_panel_states_the_list_and_the_keys() {
    let mut script = Script::new(meeting(vec![peer("Ana")]));
    script.press(strings::SECURITY);
    for words in [
        "Entry 1 · 3fa29c01",
        strings::POST_QUANTUM_VALUE,
        strings::KEY_AGREEMENT_VALUE,
        "0.2 % here · 0.1 % there",
        "3",
    ] {
        assert!(script.says(words), "{words}");
    }
}

#[test]
fn the_figures_of_many_people_unfold_one_by_one() {
    let mut script = Script::new(meeting(people(4)));
    script.press(strings::SECURITY);
    assert!(!script.says(strings::THEIR_ADDRESS));
    script.press(&strings::details_of("Chloé"));
    assert_eq!(script.window.query_all_by_label(strings::THEIR_ADDRESS).count(), 1);
    script.press(&strings::details_of("Chloé"));
    assert!(!script.says(strings::THEIR_ADDRESS));
}

#[test]
fn what_the_relay_sees_is_counted_and_not_guessed() {
    let mut script = Script::new(meeting(vec![peer("Ana")]));
    script.press(strings::SECURITY);
    assert!(script.says("Room 7c1e90ab…, with 2 other connections in it"));
    assert!(
        script
            .says("41 sealed messages from you (18.4 kB) and 1 sealed message to you (812 bytes), with time and size")
    );
    assert!(script.says(strings::RELAY_SEES_ADDRESS) && !script.says(strings::RELAY_BLIND_ADDRESS));
    script.in_meeting(|meeting| meeting.relay.sees.own_address = false);
    assert!(!script.says(strings::RELAY_SEES_ADDRESS) && script.says(strings::RELAY_BLIND_ADDRESS));
    script.in_meeting(|meeting| meeting.relay.sees = RelaySight::default());
    assert!(script.says(strings::RELAY_SEES_1) && script.says(strings::RELAY_SEES_2));
}

#[test]
fn a_route_says_who_relays_it_what_each_address_is_and_the_country() {
    let mut script = Script::new(meeting(vec![peer("Ana")]));
    script.press(strings::SECURITY);
    assert!(script.says(strings::ROUTE_DIRECT));
    assert!(script.says(strings::ADDRESS_HOST) && script.says(strings::ADDRESS_REFLEXIVE));
    assert!(!script.says(strings::COUNTRY));
    for (local, remote, words) in [
        (RouteKind::Relay, RouteKind::Host, strings::ROUTE_RELAYED_OWN),
        (RouteKind::Reflexive, RouteKind::Relay, strings::ROUTE_RELAYED_THEIRS),
        (RouteKind::Relay, RouteKind::Relay, strings::ROUTE_RELAYED_BOTH),
        (RouteKind::Host, RouteKind::Host, strings::ROUTE_RELAYED),
    ] {
        script.in_meeting(|meeting| {
            let route = meeting.peers[0].route.as_mut().unwrap();
            (route.relayed, route.local_kind, route.remote_kind) = (true, local, remote);
            route.country = Some("DE".to_owned());
        });
        assert!(script.says(words), "{words}");
        assert!(script.says(strings::COUNTRY) && script.says("DE"));
    }
}
