//! Who is here, and what can be done about them.

use conclave::engine::Command;
use conclave::engine::view::{Heir, Role as Part};
use conclave::ui::strings;
use egui::accesskit::Role;
use egui_kittest::kittest::Queryable;

use crate::window_script::{Script, guest, meeting, people};

#[test]
fn the_host_makes_a_member_cohost_and_an_ordinary_member_again() {
    let mut script = Script::new(meeting(people(2)));
    script.press(strings::PEOPLE);
    let more = strings::more_about("Ben Okafor");
    script.choose(&more, strings::MAKE_COHOST);
    assert!(matches!(script.commands().as_slice(), [Command::SetCoHost { peer: 1, cohost: true }]));
    script.in_meeting(|meeting| meeting.peers[0].role = Part::CoHost);
    assert!(script.says(strings::COHOST));
    script.choose(&more, strings::MAKE_MEMBER);
    assert!(matches!(script.commands().as_slice(), [Command::SetCoHost { peer: 1, cohost: false }]));
}

#[test]
fn handing_over_and_removing_are_asked_about_first() {
    let mut script = Script::new(meeting(people(2)));
    script.press(strings::PEOPLE);
    let more = strings::more_about("Chloé");
    script.choose(&more, strings::MAKE_HOST);
    assert!(script.says(&strings::hand_over_explained("Chloé")));
    script.press(strings::CANCEL);
    script.choose(&more, strings::REMOVE);
    assert!(script.says(&strings::remove_explained("Chloé")));
    script.press(strings::CANCEL);
    assert!(script.commands().is_empty());
    script.choose(&more, strings::MAKE_HOST);
    script.press(strings::MAKE_HOST_NOW);
    script.choose(&more, strings::REMOVE);
    script.press(strings::REMOVE_NOW);
    assert!(matches!(script.commands().as_slice(), [Command::HandOver(2), Command::Remove(2)]));
    assert!(!script.says(&strings::remove_explained("Chloé")));
}

#[test]
fn a_question_about_somebody_who_has_left_is_withdrawn() {
    let mut script = Script::new(meeting(people(2)));
    script.press(strings::PEOPLE);
    script.choose(&strings::more_about("Chloé"), strings::REMOVE);
    script.in_meeting(|meeting| {
        meeting.peers.pop();
    });
    assert!(!script.says(&strings::remove_explained("Chloé")));
}

#[test]
fn a_cohost_may_remove_ordinary_members_and_appoints_nobody() {
    let mut script = Script::new(meeting(people(2)));
    guest(&mut script);
    script.in_meeting(|meeting| meeting.role = Part::CoHost);
    script.press(strings::PEOPLE);
    script.press(&strings::more_about("Ben Okafor"));
    assert!(!script.says(strings::REMOVE));
    script.window.key_press(egui::Key::Escape);
    script.window.run();
    script.press(&strings::more_about("Chloé"));
    assert!(script.says(strings::REMOVE) && !script.says(strings::MAKE_COHOST) && !script.says(strings::MAKE_HOST));
}

#[test]
fn an_ordinary_member_can_only_verify() {
    let mut script = Script::new(meeting(people(2)));
    guest(&mut script);
    script.press(strings::PEOPLE);
    script.press(&strings::more_about("Chloé"));
    for words in [strings::REMOVE, strings::MAKE_COHOST, strings::MAKE_HOST, strings::LOCK_MEETING] {
        assert!(!script.says(words), "{words}");
    }
    let verify = strings::verify_button("Chloé");
    assert!(script.window.query_by_role_and_label(Role::MenuItem, &verify).is_some());
}

#[test]
fn roles_and_who_takes_over_are_said() {
    let mut script = Script::new(meeting(people(3)));
    script.press(strings::PEOPLE);
    assert!(script.says(&strings::in_the_meeting(4)));
    assert!(script.says(strings::HOSTING));
    assert!(script.says(strings::NOBODY_TAKES_OVER));
    script.in_meeting(|meeting| meeting.heir = Some(Heir::Peer("Dina Petrova".to_owned())));
    assert!(script.says("Takes over if the host is lost: Dina Petrova"));
    guest(&mut script);
    script.in_meeting(|meeting| meeting.heir = Some(Heir::Own));
    assert!(script.says(strings::YOU_TAKE_OVER));
    assert!(script.says(strings::HOSTING));
}

#[test]
fn eight_people_are_all_in_the_list() {
    let mut script = Script::new(meeting(people(8)));
    script.press(strings::PEOPLE);
    for peer in people(8) {
        script.window.get_by_label(&strings::volume_of(&peer.name)).scroll_to_me();
        script.window.run();
        script.press(&strings::more_about(&peer.name));
        script.press(&strings::more_about(&peer.name));
    }
    assert!(script.commands().is_empty());
}

#[test]
fn a_menu_and_its_question_are_worked_by_the_keyboard_alone() {
    let mut script = Script::new(meeting(people(2)));
    script.press(strings::PEOPLE);
    script.window.get_by_label(&strings::more_about("Ben Okafor")).focus();
    script.window.run();
    let mut keys = |keys: &[egui::Key]| {
        for key in keys {
            script.window.key_press(*key);
            script.window.run();
        }
        script.commands()
    };
    use egui::Key::{Enter, Tab};
    // Verify, co-host: the second line.
    let sent = keys(&[Enter, Tab, Tab, Enter]);
    assert!(matches!(sent.as_slice(), [Command::SetCoHost { peer: 1, cohost: true }]));
}
