//! Before a meeting: home, pre-join, on the way, at the door.

use std::time::Instant;

use conclave::engine::view::{Connecting, Familiarity, LinkCheck, LinkFacts, Lobby, PreJoin, Stage};
use conclave::engine::{Command, Intent};
use conclave::media::device::CameraChoice;
use conclave::ui::strings;
use egui::Key;
use egui::accesskit::Role;
use egui_kittest::kittest::Queryable;

use crate::window_script::{GOOD_LINK, Script, good_facts, number};

#[test]
fn home_starts_a_meeting() {
    let mut script = Script::new(Stage::Home);
    script.press(strings::START_MEETING);
    assert!(matches!(script.commands().as_slice(), [Command::Prepare(Intent::Start)]));
}

#[test]
fn a_bad_link_is_explained_under_the_field_and_cannot_be_joined() {
    let mut script = Script::new(Stage::Home);
    script.type_into(strings::PASTE_LINK, "https://example.org/meeting");
    assert!(script.says("This is not a Conclave link."));
    script.window.get_by_role_and_label(Role::Button, strings::JOIN).click();
    script.window.run();
    script.window.key_press(Key::Enter);
    script.window.run();
    assert!(script.commands().is_empty());
}

#[test]
fn a_good_link_shows_its_facts_and_is_joined_by_enter() {
    let mut script = Script::new(Stage::Home);
    script.type_into(strings::PASTE_LINK, GOOD_LINK);
    assert!(script.says(&good_facts().host_fingerprint));
    assert!(script.says("relay.example"));
    assert!(script.says(strings::HOST_NEW));
    script.window.key_press(Key::Enter);
    script.window.run();
    assert!(matches!(script.commands().as_slice(), [Command::Prepare(Intent::Join(link))] if link == GOOD_LINK));
}

#[test]
fn a_link_is_joined_by_its_button_too() {
    let mut script = Script::new(Stage::Home);
    script.type_into(strings::PASTE_LINK, GOOD_LINK);
    script.press(strings::JOIN);
    assert!(matches!(script.commands().as_slice(), [Command::Prepare(Intent::Join(link))] if link == GOOD_LINK));
}

#[test]
fn a_link_that_expires_while_it_lies_in_the_field_is_not_joined() {
    let mut script = Script::new(Stage::Home);
    script.type_into(strings::PASTE_LINK, GOOD_LINK);
    script.set_check(LinkCheck::Bad("This link has expired.".to_owned()));
    script.press(strings::JOIN);
    assert!(script.says("This link has expired."));
    assert!(script.commands().is_empty());
}

#[test]
fn a_link_opened_from_outside_is_prepared_with_microphone_and_camera_off() {
    let mut script = Script::with_link(Stage::Home, GOOD_LINK);
    script.window.run();
    assert!(matches!(
        script.commands().as_slice(),
        [Command::Prepare(Intent::Join(link)), Command::SetMic(false), Command::SetCamera(false)] if link == GOOD_LINK
    ));
}

#[test]
fn a_bad_link_opened_from_outside_stays_on_the_home_screen_with_its_sentence() {
    let mut script = Script::with_link(Stage::Home, "nonsense");
    script.window.run();
    assert!(script.says("This is not a Conclave link."));
    assert!(script.commands().is_empty());
}

#[test]
fn pre_join_asks_for_a_name_and_then_enters_under_it() {
    let mut script = Script::new(Stage::PreJoin(PreJoin { link: Some(good_facts()) }));
    assert!(script.says(strings::NAME_MISSING));
    assert!(script.says(&strings::encrypted_via("relay.example")));
    script.press(strings::ASK_TO_JOIN);
    assert!(script.commands().is_empty());
    script.type_into(strings::YOUR_NAME, "  Ana ");
    script.press(strings::ASK_TO_JOIN);
    assert!(matches!(script.commands().as_slice(), [Command::Enter { name }] if name == "Ana"));
}

#[test]
fn pre_join_remembers_the_name_and_enter_goes_on() {
    let mut script = Script::new(Stage::Home);
    script.change(|view| {
        std::sync::Arc::make_mut(&mut view.settings).name = "Ana".to_owned();
        view.stage = Stage::PreJoin(PreJoin { link: None });
    });
    script.window.key_press(Key::Enter);
    script.window.run();
    assert!(matches!(script.commands().as_slice(), [Command::Enter { name }] if name == "Ana"));
}

#[test]
fn pre_join_offers_the_built_in_sources_and_files_beside_real_devices() {
    let mut script = Script::new(Stage::PreJoin(PreJoin { link: None }));
    script.press(strings::CAMERA_DEVICE);
    for line in ["Integrated Camera", strings::TEST_PICTURE, strings::CHOOSE_FILE, strings::NO_CAMERA] {
        assert!(script.window.query_by_label(line).is_some(), "{line}");
    }
    script.press(strings::TEST_PICTURE);
    assert!(matches!(script.commands().as_slice(), [Command::ChooseCamera(CameraChoice::Test)]));
    script.press(strings::CAMERA_DEVICE);
    script.press(strings::CHOOSE_FILE);
    script.window.run();
    assert!(matches!(
        script.commands().as_slice(),
        [Command::ChooseCamera(CameraChoice::File(path))] if path.ends_with("talk.y4m")
    ));
}

#[test]
fn pre_join_hears_and_says_so_and_plays_a_test_sound() {
    let mut script = Script::new(Stage::PreJoin(PreJoin { link: None }));
    script.change(|view| view.own.mic_level = 0.05);
    assert!(script.says(strings::SAY_SOMETHING));
    script.change(|view| view.own.mic_level = 0.6);
    assert!(script.says(strings::WE_HEAR_YOU));
    script.press(strings::TEST_SOUND);
    assert!(matches!(script.commands().as_slice(), [Command::TestSound]));
}

#[test]
fn pre_join_says_why_a_device_does_not_run() {
    let mut script = Script::new(Stage::PreJoin(PreJoin { link: None }));
    script.change(|view| {
        use conclave::engine::view::DeviceState::Failed;
        view.own.mic = Failed("No microphone was found. Plug one in, or choose the built-in voice.".to_owned());
    });
    assert!(script.says("No microphone was found. Plug one in, or choose the built-in voice."));
    script.press(strings::BACK);
    assert!(matches!(script.commands().as_slice(), [Command::GoHome]));
}

#[test]
fn letters_typed_into_a_field_are_letters_and_not_shortcuts() {
    let mut script = Script::new(Stage::PreJoin(PreJoin { link: None }));
    script.window.get_by_role_and_label(Role::TextInput, strings::YOUR_NAME).focus();
    script.window.run();
    for key in [Key::M, Key::V] {
        script.window.key_press(key);
        script.window.run();
    }
    assert!(script.commands().is_empty());
}

#[test]
fn m_and_v_switch_microphone_and_camera_outside_of_fields() {
    let mut script = Script::new(Stage::PreJoin(PreJoin { link: None }));
    for key in [Key::M, Key::V] {
        script.window.key_press(key);
        script.window.run();
    }
    assert!(matches!(script.commands().as_slice(), [Command::SetMic(false), Command::SetCamera(false)]));
}

#[test]
fn connecting_says_what_is_tried_and_can_be_given_up() {
    let mut script = Script::new(Stage::Connecting(Connecting { step: "Reaching relay.example…".to_owned() }));
    assert!(script.says("Reaching relay.example…"));
    script.press(strings::CANCEL);
    assert!(matches!(script.commands().as_slice(), [Command::Leave]));
}

#[test]
fn the_lobby_shows_the_host_the_number_and_a_way_out() {
    let mut script = Script::new(Stage::Lobby(Lobby {
        host_fingerprint: "K7QD-2M4P-9XWA-3RTB".to_owned(),
        safety_number: number(),
        since: Instant::now(),
    }));
    assert!(script.says(strings::WAITING_FOR_HOST));
    assert!(script.says("K7QD-2M4P-9XWA-3RTB"));
    assert!(script.says(&number()));
    script.press(strings::LEAVE);
    assert!(matches!(script.commands().as_slice(), [Command::Leave]));
}

fn facts_of(host: Familiarity) -> LinkFacts {
    LinkFacts { host_name: Some("Ana".to_owned()), host, ..good_facts() }
}

#[test]
fn a_link_says_who_its_host_claims_to_be_and_whether_the_key_is_known() {
    let mut script = Script::new(Stage::Home);
    for (host, words) in [
        (Familiarity::New, strings::HOST_NEW.to_owned()),
        (Familiarity::Met("Ana Silva".to_owned()), strings::host_met("Ana Silva")),
        (Familiarity::Verified("Ana Silva".to_owned()), strings::host_verified("Ana Silva")),
        (Familiarity::Mismatch("Ana Silva".to_owned()), strings::did_not_match("Ana Silva")),
    ] {
        script.set_check(LinkCheck::Good(facts_of(host)));
        script.type_into(strings::PASTE_LINK, "x");
        assert!(script.says("Ana"));
        assert!(script.says(&words), "{words}");
    }
}

#[test]
fn a_look_alike_of_somebody_known_is_warned_of_before_and_after_it_is_opened() {
    let warning = "This link's host calls itself Ana, but has another key than the Ana you know.";
    let facts = facts_of(Familiarity::LookAlike("Ana".to_owned()));
    let mut script = Script::new(Stage::Home);
    assert!(!script.says(warning));
    script.set_check(LinkCheck::Good(facts.clone()));
    script.type_into(strings::PASTE_LINK, "x");
    assert!(script.says(warning));
    assert!(script.says(&strings::host_look_alike_advice("Ana")));
    script.change(|view| view.stage = Stage::PreJoin(PreJoin { link: Some(facts) }));
    assert!(script.says(warning));
}

#[test]
fn a_host_without_a_name_in_the_link_is_shown_by_fingerprint_alone() {
    let facts = LinkFacts { host_name: None, ..good_facts() };
    let script = Script::new(Stage::PreJoin(PreJoin { link: Some(facts) }));
    assert!(!script.says(strings::HOST));
    assert!(script.says(&good_facts().host_fingerprint));
}
