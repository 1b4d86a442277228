//! The window, driven by the names that a screen reader says, with a scripted engine at the other ends of its handle.
#![cfg(feature = "desktop")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test may end it")]

mod window_script;

use std::time::{Duration, Instant};

use conclave::engine::view::{
    Connecting, Encryption, Ended, Knock, LinkCheck, Lobby, Notice, PeerLink, PreJoin, Stage, Verification,
};
use conclave::engine::{Command, Event, Intent, Verdict, event::Tone};
use conclave::media::device::CameraChoice;
use conclave::ui::strings;
use egui::accesskit::{Role, Toggled};
use egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT, Queryable};
use window_script::{GOOD_LINK, Script, good_facts, meeting, number, peer};

fn toggled(script: &Script, name: &str) -> Option<Toggled> {
    script.window.get_by_role_and_label(Role::Switch, name).accesskit_node().toggled()
}

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

#[test]
fn the_pill_says_exactly_what_the_engine_says() {
    let mut script = Script::new(meeting(vec![]));
    assert!(script.window.query_by_label(strings::ALONE).is_some());
    for (encryption, word) in [
        (Encryption::Agreeing, strings::AGREEING),
        (Encryption::Encrypted, strings::ENCRYPTED),
        (Encryption::Verified, strings::VERIFIED),
        (Encryption::Warning("The key of Ana has changed.".to_owned()), strings::WARNING),
    ] {
        script.in_meeting(|meeting| {
            meeting.peers = vec![peer("Ana")];
            meeting.encryption = encryption.clone();
        });
        let words = [strings::ALONE, strings::AGREEING, strings::ENCRYPTED, strings::VERIFIED, strings::WARNING];
        for other in words {
            let shown = script.window.query_by_role_and_label(Role::Button, other).is_some();
            assert_eq!(shown, other == word, "{other} while {word}");
        }
        if let Encryption::Warning(sentence) = &encryption {
            assert!(script.says(sentence));
        }
    }
}

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
fn in_a_meeting_the_microphone_is_muted_by_click_and_by_key() {
    let mut script = Script::new(meeting(vec![peer("Ana")]));
    assert_eq!(toggled(&script, strings::MICROPHONE), Some(Toggled::True));
    script.press(strings::MICROPHONE);
    assert!(matches!(script.commands().as_slice(), [Command::SetMic(false)]));
    script.change(|view| view.own.mic_on = false);
    assert_eq!(toggled(&script, strings::MICROPHONE), Some(Toggled::False));
    script.window.key_press(Key::M);
    script.window.run();
    assert!(matches!(script.commands().as_slice(), [Command::SetMic(true)]));
    script.press(strings::CAMERA);
    assert!(matches!(script.commands().as_slice(), [Command::SetCamera(false)]));
}

#[test]
fn the_window_sends_nothing_that_nobody_asked_for() {
    let mut script = Script::new(meeting(vec![peer("Ana")]));
    script.change(|view| view.own.mic_on = false);
    for notices in [vec![Notice::Reconnecting { name: "Ana".to_owned() }, Notice::RelayLost], vec![]] {
        script.change(|view| view.notices = notices);
        script.in_meeting(|meeting| meeting.peers[0].link = PeerLink::Reconnecting);
        script.in_meeting(|meeting| meeting.peers[0].link = PeerLink::Live);
    }
    assert!(script.commands().is_empty());
    assert_eq!(toggled(&script, strings::MICROPHONE), Some(Toggled::False));
}

#[test]
fn every_interruption_has_its_sentence() {
    let mut script = Script::new(meeting(vec![peer("Ana")]));
    script.change(|view| view.own.mic_on = false);
    for (notice, words) in [
        (Notice::Reconnecting { name: "Ana".to_owned() }, strings::reconnecting("Ana", false)),
        (Notice::RelayLost, strings::RELAY_LOST.to_owned()),
        (Notice::CameraLost("It was unplugged.".to_owned()), strings::camera_lost("It was unplugged.")),
        (Notice::MicLost("It was unplugged.".to_owned()), strings::mic_lost("It was unplugged.")),
        (Notice::SpeakerLost("It was unplugged.".to_owned()), strings::speaker_lost("It was unplugged.")),
        (Notice::MicSilent, strings::MIC_SILENT.to_owned()),
        (Notice::SpeakingWhileMuted, strings::SPEAKING_MUTED.to_owned()),
        (Notice::KeyChanged { name: "Ana".to_owned() }, strings::key_changed("Ana")),
    ] {
        script.change(|view| view.notices = vec![notice]);
        assert!(script.says(&words), "{words}");
    }
    script.change(|view| view.notices.clear());
    assert!(!script.says(&strings::key_changed("Ana")));
}

#[test]
fn a_knock_is_admitted_or_declined_by_name() {
    use conclave::engine::view::Familiarity;
    let mut script = Script::new(meeting(vec![]));
    let knock =
        |id, name: &str, who| Knock { id, name: name.to_owned(), fingerprint: "9XWA-3RTB-K7QD-2M4P".to_owned(), who };
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
fn a_link_from_outside_does_not_end_a_meeting() {
    let mut script = Script::new(meeting(vec![peer("Ana")]));
    script.window.state_mut().open_link(GOOD_LINK.to_owned());
    script.window.run();
    assert!(script.commands().is_empty());
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
    script.press(&strings::verify_button("Ana"));
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
fn settings_apply_at_once() {
    let mut script = Script::new(Stage::Home);
    script.press(strings::SETTINGS);
    script.window.get_by_label(strings::OPEN_PORT).scroll_to_me();
    script.window.run();
    script.press(strings::OPEN_PORT);
    assert!(matches!(
        script.commands().as_slice(),
        [Command::ChangeSettings(settings)] if settings.open_router_port && !settings.announce_on_lan
    ));
    script.window.get_by_label(strings::LIGHT).scroll_to_me();
    script.window.run();
    script.press(strings::LIGHT);
    assert!(matches!(
        script.commands().as_slice(),
        [Command::ChangeSettings(settings)] if settings.appearance == conclave::settings::Appearance::Light
    ));
}

#[test]
fn a_relay_of_ones_own_is_kept_when_its_field_is_left() {
    let mut script = Script::new(Stage::Home);
    script.press(strings::SETTINGS);
    script.window.get_by_role_and_label(Role::TextInput, strings::OWN_RELAY).scroll_to_me();
    script.window.run();
    script.type_into(strings::OWN_RELAY, "relay.example:7770 ");
    assert!(script.commands().is_empty());
    script.window.key_press(Key::Tab);
    script.window.run();
    assert!(matches!(
        script.commands().as_slice(),
        [Command::ChangeSettings(settings)] if settings.relay == "relay.example:7770"
    ));
}

#[test]
fn leaving_ends_and_the_ended_screen_leads_home_or_back() {
    let mut script = Script::new(Stage::Home);
    script.press(strings::START_MEETING);
    script.commands();
    script.change(|view| view.stage = meeting(vec![peer("Ana")]));
    script.press(strings::LEAVE);
    assert!(matches!(script.commands().as_slice(), [Command::Leave]));
    script.change(|view| {
        view.stage = Stage::Ended(Ended {
            reason: "You left the meeting.".to_owned(),
            failed: false,
            lasted: Some(Duration::from_secs(754)),
            met: vec![("Ana".to_owned(), true)],
            rejoin: true,
        });
    });
    assert!(script.says("You left the meeting."));
    assert!(script.says("12 minutes"));
    assert!(script.says("Ana · Verified"));
    script.press(strings::REJOIN);
    script.press(strings::HOME);
    assert!(matches!(script.commands().as_slice(), [Command::Prepare(Intent::Start), Command::GoHome]));
}

#[test]
fn a_toast_is_read_and_goes_by_itself() {
    let mut script = Script::new(Stage::Home);
    script.event(Event::Toast { tone: Tone::Warning, text: "The settings could not be saved.".to_owned() });
    assert!(script.says("The settings could not be saved."));
    for _ in 0..24 {
        script.window.step();
    }
    assert!(!script.says("The settings could not be saved."));
}

#[test]
fn a_hidden_toolbar_is_still_there_for_the_keyboard_and_being_muted_still_shows() {
    let mut script = Script::new(meeting(vec![peer("Ana")]));
    script.change(|view| view.own.mic_on = false);
    for _ in 0..40 {
        script.window.step();
    }
    assert_eq!(toggled(&script, strings::MICROPHONE), Some(Toggled::False));
    assert!(script.window.query_by_label(strings::LEAVE).is_some());
}

#[test]
fn a_window_in_which_nothing_happens_asks_for_no_passes() {
    for stage in [Stage::Home, Stage::PreJoin(PreJoin { link: None }), meeting(vec![peer("Ana")])] {
        let meter_or_clock = !matches!(stage, Stage::Home);
        let mut script = Script::new(stage);
        for _ in 0..40 {
            script.window.step();
        }
        let delay = script.window.output().viewport_output[&egui::ViewportId::ROOT].repaint_delay;
        // Sixteenths of a second for the meter, whole seconds for the clock; never at once.
        assert!(delay >= Duration::from_millis(if meter_or_clock { 60 } else { 60_000 }), "{delay:?}");
    }
}

#[test]
fn every_target_is_large_enough() {
    let stages = [
        Stage::Home,
        Stage::PreJoin(PreJoin { link: Some(good_facts()) }),
        meeting(vec![]),
        meeting(vec![peer("Ana")]),
    ];
    for stage in stages {
        let script = Script::new(stage);
        for role in [Role::Button, Role::Switch, Role::ComboBox, Role::TextInput] {
            for node in script.window.query_all_by_role(role) {
                let rect = node.rect();
                let name = node.accesskit_node().label();
                assert!(rect.width() >= 35.9 && rect.height() >= 35.9, "{name:?} {rect:?}");
            }
        }
    }
}
