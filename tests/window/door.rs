//! The door: invites, knocks, the lock.

use std::time::Duration;

use conclave::engine::Command;
use conclave::engine::command::InviteWish;
use conclave::engine::view::{Familiarity, InviteState, Role as Part};
use conclave::ui::strings;
use egui::accesskit::{Role, Toggled};
use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable;

use crate::window_script::{GOOD_LINK, Script, guest, invite, knock, meeting, people};

#[test]
fn alone_the_host_copies_the_link_by_button_or_key_and_sees_what_can_reach_it() {
    let mut script = Script::new(meeting(vec![]));
    assert!(script.says("Your link can reach this device at 192.168.1.20, 2001:db8::20"));
    assert!(script.says(&strings::router_refused("It does not answer.")));
    script.window.get_all_by_label(strings::COPY_LINK).next().unwrap().click();
    script.window.run();
    assert_eq!(script.copied().as_deref(), Some(GOOD_LINK));
    script.window.run();
    assert!(script.says(strings::LINK_COPIED));
    script.window.key_press_modifiers(Modifiers::COMMAND, Key::L);
    script.window.run();
    assert_eq!(script.copied().as_deref(), Some(GOOD_LINK));
}

#[test]
fn the_invite_can_be_shown_as_a_code_and_esc_closes_it() {
    let mut script = Script::new(meeting(vec![]));
    script.press(strings::SHOW_QR);
    assert!(script.window.query_by_role_and_label(Role::Image, strings::INVITE).is_some());
    script.window.key_press(Key::Escape);
    script.window.run();
    assert!(script.window.query_by_role_and_label(Role::Image, strings::INVITE).is_none());
}

#[test]
fn a_knock_is_admitted_or_declined_by_name() {
    let mut script = Script::new(meeting(vec![]));
    script.in_meeting(|meeting| {
        meeting.knocks =
            vec![knock(7, "Ben\u{202e}", Familiarity::New), knock(8, "Ana", Familiarity::LookAlike("Ana".to_owned()))];
    });
    assert!(script.says("Ben wants to join"));
    assert!(script.says(&strings::more_knocks(1)));
    script.press(&strings::admit("Ben"));
    script.press(&strings::decline("Ben"));
    assert!(matches!(script.commands().as_slice(), [Command::Admit(7), Command::Decline(7)]));
    script.press(strings::MORE_WAITING);
    assert!(script.says(&strings::look_alike("Ana")));
    script.press("Decline Ana (at the door)");
    assert!(matches!(script.commands().as_slice(), [Command::Decline(8)]));
}

#[test]
fn a_knock_says_which_invite_it_used_and_that_the_link_was_passed_on() {
    let mut script = Script::new(meeting(vec![]));
    script.in_meeting(|meeting| {
        let mut first = knock(7, "Carla", Familiarity::Met("Carla".to_owned()));
        first.invite = "Ben".to_owned();
        first.shared_with = Some("Ben".to_owned());
        meeting.knocks = vec![first];
    });
    assert!(script.says("With the invite for Ben"));
    assert!(script.says(&strings::passed_on_to_knock("Ben")));
    assert!(script.says(&strings::knock_met("Carla")));
    script.in_meeting(|meeting| meeting.knocks = vec![knock(8, "Dina", Familiarity::New)]);
    assert!(script.says("With the general link"));
}

#[test]
fn a_knock_is_declined_for_good_from_the_banner_and_from_the_list() {
    let mut script = Script::new(meeting(vec![]));
    script.in_meeting(|meeting| meeting.knocks = vec![knock(7, "Ben", Familiarity::New)]);
    script.choose(&strings::more_about("Ben"), strings::BLOCK);
    assert!(matches!(script.commands().as_slice(), [Command::Block(7)]));
    script.press(strings::PEOPLE);
    script.press("Decline and block Ben (at the door)");
    assert!(matches!(script.commands().as_slice(), [Command::Block(7)]));
}

#[test]
fn a_cohost_answers_knocks_and_locks_the_door_but_has_no_invites() {
    let mut script = Script::new(meeting(people(2)));
    guest(&mut script);
    script.in_meeting(|meeting| {
        meeting.role = Part::CoHost;
        meeting.knocks = vec![knock(7, "Ina", Familiarity::New)];
    });
    script.press(&strings::admit("Ina"));
    assert!(matches!(script.commands().as_slice(), [Command::Admit(7)]));
    assert!(!script.says(strings::INVITE_PEOPLE));
    script.press(strings::PEOPLE);
    script.press(strings::LOCK_MEETING);
    assert!(matches!(script.commands().as_slice(), [Command::SetLocked(true)]));
    assert!(!script.says(strings::MANAGE_INVITES));
}

#[test]
fn the_door_is_locked_and_opened_and_everyone_sees_that_it_is() {
    let mut script = Script::new(meeting(people(1)));
    script.press(strings::PEOPLE);
    script.press(strings::LOCK_MEETING);
    assert!(matches!(script.commands().as_slice(), [Command::SetLocked(true)]));
    assert!(!script.says(strings::LOCKED));
    script.in_meeting(|meeting| meeting.locked = true);
    assert_eq!(script.toggled(strings::LOCK_MEETING), Some(Toggled::True));
    assert!(script.says(strings::LOCKED));
    script.press(strings::LOCK_MEETING);
    assert!(matches!(script.commands().as_slice(), [Command::SetLocked(false)]));
    guest(&mut script);
    assert!(script.says(strings::LOCKED_EXPLAINED));
    assert!(script.window.query_by_role_and_label(Role::Switch, strings::LOCK_MEETING).is_none());
}

#[test]
fn invites_are_reached_from_the_card_the_toolbar_and_the_panel() {
    let mut script = Script::new(meeting(vec![]));
    let opened = |script: &mut Script| {
        assert!(script.says(strings::INVITES_EXPLAINED));
        script.window.key_press(Key::Escape);
        script.window.run();
        assert!(!script.says(strings::INVITES_EXPLAINED));
    };
    script.press(strings::MANAGE_INVITES);
    opened(&mut script);
    script.in_meeting(|meeting| meeting.peers = people(1));
    script.choose(strings::INVITE_PEOPLE, strings::MANAGE_INVITES);
    opened(&mut script);
    script.press(strings::PEOPLE);
    script.press(strings::MANAGE_INVITES);
    opened(&mut script);
    script.choose(strings::INVITE_PEOPLE, strings::COPY_LINK_TIP);
    assert_eq!(script.copied().as_deref(), Some(GOOD_LINK));
    script.choose(strings::INVITE_PEOPLE, strings::SHOW_QR);
    assert!(script.window.query_by_role_and_label(Role::Image, strings::INVITE).is_some());
}

#[test]
fn a_personal_invite_is_made_with_a_name_a_time_and_a_rule() {
    let mut script = Script::new(meeting(vec![]));
    script.press(strings::MANAGE_INVITES);
    script.press(strings::NEW_INVITE);
    script.press(strings::CREATE_INVITE);
    assert!(script.commands().is_empty());
    script.type_into(strings::INVITE_FOR, " Ben ");
    script.press(strings::ONE_HOUR);
    assert_eq!(script.toggled(strings::SINGLE_USE), Some(Toggled::True));
    script.press(strings::CREATE_INVITE);
    let wish = InviteWish { label: "Ben".to_owned(), lasts: Some(Duration::from_secs(3600)), single_use: true };
    assert!(matches!(script.commands().as_slice(), [Command::CreateInvite(sent)] if *sent == wish));
    assert!(script.says(strings::INVITES_EXPLAINED));

    script.press(strings::NEW_INVITE);
    script.type_into(strings::INVITE_FOR, "The choir");
    script.press(strings::UNTIL_END);
    script.press(strings::SINGLE_USE);
    script.press(strings::CREATE_INVITE);
    let wish = InviteWish { label: "The choir".to_owned(), lasts: None, single_use: false };
    assert!(matches!(script.commands().as_slice(), [Command::CreateInvite(sent)] if *sent == wish));
}

#[test]
fn an_invite_is_copied_shown_and_after_a_question_taken_back() {
    let mut script = Script::new(meeting(vec![]));
    script.in_meeting(|meeting| meeting.invites.push(invite(5, "Ben")));
    script.press(strings::MANAGE_INVITES);
    script.press(&strings::copy_invite("Ben"));
    assert_eq!(script.copied(), Some(format!("{GOOD_LINK}5")));
    script.press(&strings::show_invite("Ben"));
    assert!(script.window.query_by_role_and_label(Role::Image, "Invite for Ben").is_some());
    script.press(strings::ALL_INVITES);
    script.press(&strings::revoke_invite("Ben"));
    assert!(script.commands().is_empty());
    script.press(strings::KEEP);
    script.press(&strings::revoke_invite("Ben"));
    script.press(strings::REVOKE_NOW);
    assert!(matches!(script.commands().as_slice(), [Command::RevokeInvite(5)]));
    script.in_meeting(|meeting| meeting.invites[1].state = InviteState::Revoked);
    assert!(script.says(strings::INVITE_REVOKED));
    assert!(!script.says(&strings::copy_invite("Ben")));
}

#[test]
fn a_personal_invite_that_two_people_used_is_said_to_be_passed_on() {
    let mut script = Script::new(meeting(vec![]));
    script.in_meeting(|meeting| {
        let names = vec!["Ben".to_owned(), "Carla".to_owned()];
        meeting.invites[0].used_by.clone_from(&names);
        meeting.invites.push(invite(5, "Ben"));
        meeting.invites[1].used_by = names;
    });
    script.press(strings::MANAGE_INVITES);
    assert!(script.says("Used by two people (Ben and Carla): it was passed on"));
    // The general link is for whoever it is sent to.
    assert!(script.says("Used by Ben and Carla"));
}

#[test]
fn every_state_of_an_invite_has_its_word_and_a_host_without_any_is_told() {
    let mut script = Script::new(meeting(vec![]));
    script.press(strings::MANAGE_INVITES);
    for (state, word) in [
        (InviteState::Open, strings::INVITE_OPEN),
        (InviteState::Used, strings::INVITE_USED),
        (InviteState::Revoked, strings::INVITE_REVOKED),
        (InviteState::Expired, strings::INVITE_EXPIRED),
    ] {
        script.in_meeting(|meeting| meeting.invites[0].state = state);
        assert!(script.says(word), "{word}");
        assert_eq!(script.says(strings::INVITES_GONE), state != InviteState::Open);
    }
    script.in_meeting(|meeting| meeting.link = None);
    script.window.key_press(Key::Escape);
    script.window.run();
    assert!(script.says(strings::INVITES_GONE));
    script.press(strings::MANAGE_INVITES);
    assert!(script.says(strings::NEW_INVITE));
}
