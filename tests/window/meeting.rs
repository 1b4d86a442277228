//! The meeting itself, its end, and what holds on every screen.

use std::path::Path;
use std::time::Duration;

use conclave::engine::view::{Cause, Encryption, Ended, Heir, Notice, PeerLink, PreJoin, Stage};
use conclave::engine::{Command, Event, Intent, event::Tone};
use conclave::ui::strings;
use egui::Key;
use egui::accesskit::{Role, Toggled};
use egui_kittest::kittest::{NodeT, Queryable};

use crate::window_script::{GOOD_LINK, Script, good_facts, guest, knock, meeting, peer, people};

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
fn in_a_meeting_the_microphone_is_muted_by_click_and_by_key() {
    let mut script = Script::new(meeting(vec![peer("Ana")]));
    assert_eq!(script.toggled(strings::MICROPHONE), Some(Toggled::True));
    script.press(strings::MICROPHONE);
    assert!(matches!(script.commands().as_slice(), [Command::SetMic(false)]));
    script.change(|view| view.own.mic_on = false);
    assert_eq!(script.toggled(strings::MICROPHONE), Some(Toggled::False));
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
    assert_eq!(script.toggled(strings::MICROPHONE), Some(Toggled::False));
}

#[test]
fn every_interruption_has_its_sentence() {
    let mut script = Script::new(meeting(vec![peer("Ana")]));
    script.change(|view| view.own.mic_on = false);
    for (notice, words) in [
        (Notice::Reconnecting { name: "Ana".to_owned() }, strings::reconnecting("Ana", false)),
        (
            Notice::RouteRefused { name: "Ana".to_owned(), why: "Their network is not among yours.".to_owned() },
            "No way to Ana is used. Their network is not among yours.".to_owned(),
        ),
        (Notice::Forked, strings::FORKED.to_owned()),
        (Notice::HostLost, strings::HOST_LOST.to_owned()),
        (Notice::RelayLost, strings::RELAY_LOST.to_owned()),
        (Notice::CameraLost("It was unplugged.".to_owned()), strings::camera_lost("It was unplugged.")),
        (Notice::MicLost("It was unplugged.".to_owned()), strings::mic_lost("It was unplugged.")),
        (Notice::SpeakerLost("It was unplugged.".to_owned()), strings::speaker_lost("It was unplugged.")),
        (Notice::MicSilent, strings::MIC_SILENT.to_owned()),
        (Notice::Overloaded, strings::OVERLOADED.to_owned()),
        (Notice::SpeakingWhileMuted, strings::SPEAKING_MUTED.to_owned()),
        (Notice::KeyChanged { name: "Ana".to_owned() }, strings::key_changed("Ana")),
        (
            Notice::WeakUpload { names: vec!["Ana".to_owned()], cause: Cause::Own },
            "Your upload limits what Ana sees and hears of you.".to_owned(),
        ),
        (
            Notice::WeakDownload { names: vec!["Ana".to_owned()], cause: Cause::Theirs },
            "Ana’s upload limits Ana’s picture and sound.".to_owned(),
        ),
        (Notice::Overloaded, strings::OVERLOADED.to_owned()),
    ] {
        script.change(|view| view.notices = vec![notice]);
        assert!(script.says(&words), "{words}");
    }
    script.change(|view| view.notices.clear());
    assert!(!script.says(&strings::key_changed("Ana")));
}

#[test]
fn a_link_from_outside_does_not_end_a_meeting() {
    let mut script = Script::new(meeting(vec![peer("Ana")]));
    script.window.state_mut().open_link(GOOD_LINK.to_owned());
    script.window.run();
    assert!(script.commands().is_empty());
}

#[test]
fn leaving_ends_and_the_ended_screen_leads_home_or_back() {
    let mut script = Script::new(Stage::Home);
    script.press(strings::START_MEETING);
    script.commands();
    script.change(|view| view.stage = meeting(vec![peer("Ana")]));
    guest(&mut script);
    script.press(strings::LEAVE);
    assert!(matches!(script.commands().as_slice(), [Command::Leave]));
    script.change(|view| {
        view.stage = Stage::Ended(Ended {
            reason: "You left the meeting.".to_owned(),
            failed: false,
            lasted: Some(Duration::from_secs(754)),
            met: vec![("Ana".to_owned(), true)],
            rejoin: true,
            log: false,
            report: false,
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
    assert_eq!(script.toggled(strings::MICROPHONE), Some(Toggled::False));
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
        meeting(people(7)),
    ];
    for stage in stages {
        let mut script = Script::new(stage);
        if script.window.query_by_label(strings::PEOPLE).is_some() {
            script.in_meeting(|meeting| {
                meeting.locked = true;
                meeting.knocks = vec![knock(9, "Jo", conclave::engine::view::Familiarity::New)];
            });
            script.press(strings::PEOPLE);
        }
        for role in [Role::Button, Role::Switch, Role::ComboBox, Role::TextInput] {
            for node in script.window.query_all_by_role(role) {
                let rect = node.rect();
                let name = node.accesskit_node().label();
                assert!(rect.width() >= 35.9 && rect.height() >= 35.9, "{name:?} {rect:?}");
            }
        }
    }
}

#[test]
fn a_host_with_others_present_is_asked_whether_the_meeting_ends_for_everyone() {
    let mut script = Script::new(meeting(people(2)));
    script.press(strings::LEAVE);
    assert!(script.commands().is_empty());
    assert!(script.says(strings::LEAVE_NO_HEIR));
    script.press(strings::END_FOR_EVERYONE);
    assert!(matches!(script.commands().as_slice(), [Command::Leave]));
}

#[test]
fn a_host_with_an_heir_can_leave_the_meeting_to_them() {
    let mut script = Script::new(meeting(people(2)));
    script.in_meeting(|meeting| meeting.heir = Some(Heir::Peer("Chloé".to_owned())));
    script.press(strings::LEAVE);
    script.press(&strings::leave_to("Chloé"));
    assert!(matches!(script.commands().as_slice(), [Command::LeaveToHeir]));
    assert!(script.window.query_by_label(strings::END_FOR_EVERYONE).is_none());
}

#[test]
fn a_host_alone_leaves_at_once() {
    let mut script = Script::new(meeting(vec![]));
    script.press(strings::LEAVE);
    assert!(matches!(script.commands().as_slice(), [Command::Leave]));
}

#[test]
fn a_lost_host_is_explained_with_who_takes_over() {
    let mut script = Script::new(meeting(people(2)));
    guest(&mut script);
    script.change(|view| view.notices = vec![Notice::HostLost]);
    script.in_meeting(|meeting| meeting.heir = Some(Heir::Own));
    assert!(script.says(strings::HOST_LOST_OWN));
    script.in_meeting(|meeting| meeting.heir = Some(Heir::Peer("Chloé".to_owned())));
    assert!(script.says(&strings::host_lost("Chloé")));
}

#[test]
fn a_forked_list_is_said_before_everything_else_and_hides_the_knocks() {
    let mut script = Script::new(meeting(people(2)));
    let sentence = "Ben Okafor has shown you and Chloé different lists.";
    script.change(|view| view.notices = vec![Notice::RelayLost, Notice::Forked]);
    script.in_meeting(|meeting| {
        meeting.roster.forked = Some(sentence.to_owned());
        meeting.knocks = vec![knock(9, "Jo", conclave::engine::view::Familiarity::New)];
    });
    assert!(script.says(sentence));
    assert!(!script.says(&strings::wants_to_join("Jo")));
    script.press(strings::SECURITY);
    assert_eq!(script.window.query_all_by_label(sentence).count(), 2);
}

#[test]
fn the_signed_log_is_saved_where_the_person_says() {
    let ended = |log| {
        Stage::Ended(Ended {
            reason: "You left the meeting.".to_owned(),
            failed: false,
            lasted: Some(Duration::from_secs(754)),
            met: vec![],
            rejoin: false,
            log,
            report: false,
        })
    };
    let mut script = Script::new(ended(false));
    assert!(!script.says(strings::SAVE_LOG));
    script.change(|view| view.stage = ended(true));
    script.press(strings::SAVE_LOG);
    script.window.run();
    let sent = script.commands();
    assert!(matches!(sent.as_slice(), [Command::SaveLog(path)] if path == Path::new("logs/meeting.log")));
}
