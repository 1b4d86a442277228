//! How well it goes, what the window tells the engine of its tiles, and what is heard of oneself.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use conclave::engine::Command;
use conclave::engine::view::{Cause, DeviceState, Ended, HearMyself, PreJoin, Quality, Reason, Stage};
use conclave::ui::strings;
use egui::accesskit::Role;
use egui_kittest::kittest::Queryable;

use crate::window_script::{Script, meeting, peer, people};

fn weak(script: &mut Script, quality: Quality, reasons: Vec<Reason>) {
    script.in_meeting(|meeting| {
        meeting.peers[0].quality = quality;
        meeting.peers[0].reasons = reasons;
    });
}

#[test]
fn a_connection_is_marked_only_where_it_could_be_better_and_the_mark_says_why() {
    let mut script = Script::new(meeting(vec![peer("Ana")]));
    let mark = |script: &Script| {
        let marks = script.window.query_all_by_role(Role::Image);
        let marks = marks.filter_map(|node| egui_kittest::kittest::NodeT::accesskit_node(&node).label());
        marks.filter(|label| label.starts_with("Connection to Ana")).collect::<Vec<_>>()
    };
    assert_eq!(mark(&script), Vec::<String>::new());
    weak(&mut script, Quality::Unknown, vec![]);
    assert_eq!(mark(&script), Vec::<String>::new());
    weak(&mut script, Quality::Fair, vec![Reason::SoundRepaired(4)]);
    assert_eq!(mark(&script), ["Connection to Ana: fair. Sound from Ana is being repaired: 4 %."]);
    weak(&mut script, Quality::Poor, vec![Reason::Sending(Cause::Own)]);
    assert_eq!(mark(&script), ["Connection to Ana: poor. Your upload limits what Ana sees and hears of you."]);
}

#[test]
fn the_people_and_the_figures_say_why_too() {
    for panel in [strings::PEOPLE, strings::SECURITY] {
        let mut script = Script::new(meeting(vec![peer("Ana")]));
        script.press(panel);
        weak(&mut script, Quality::Poor, vec![Reason::Receiving(Cause::Either), Reason::Overloaded]);
        assert!(script.says("Connection · poor"), "{panel}");
        assert!(script.says("Your download, or Ana’s upload, limits Ana’s picture and sound."));
        assert!(script.says(strings::OVERLOADED));
    }
}

#[test]
fn the_report_is_saved_where_the_person_says_in_the_meeting_and_after_it() {
    let mut script = Script::new(meeting(vec![peer("Ana")]));
    script.press(strings::SECURITY);
    script.find_and_press(strings::SAVE_REPORT);
    script.window.run();
    let sent = script.commands();
    assert!(matches!(sent.as_slice(), [Command::SaveReport(path)] if path == Path::new("logs/call.json")));
    assert!(script.says(strings::SAVE_REPORT_EXPLAINED));

    let ended = |report| {
        Stage::Ended(Ended {
            reason: "You left the meeting.".to_owned(),
            failed: false,
            lasted: Some(Duration::from_secs(754)),
            met: vec![],
            rejoin: false,
            log: false,
            report,
        })
    };
    script.change(|view| view.stage = ended(false));
    assert!(!script.says(strings::SAVE_REPORT));
    script.change(|view| view.stage = ended(true));
    script.press(strings::SAVE_REPORT);
    script.window.run();
    assert!(matches!(script.commands().as_slice(), [Command::SaveReport(_)]));
}

#[test]
fn what_is_done_to_the_own_sound_is_switched_each_on_its_own() {
    let mut script = Script::new(Stage::Home);
    script.press(strings::SETTINGS);
    for (name, wanted) in [
        (strings::ECHO, [false, true, true, true]),
        (strings::NOISE, [true, false, true, true]),
        (strings::GAIN, [true, true, false, true]),
        (strings::CONSTANT_RATE, [true, true, true, false]),
    ] {
        script.find_and_press(name);
        let sent = script.commands();
        let [Command::ChangeSettings(settings)] = sent.as_slice() else { panic!("{name} sends no settings") };
        let sound = settings.sound;
        let is = [sound.echo_cancellation, sound.noise_suppression, sound.automatic_gain, sound.constant_bitrate];
        assert_eq!(is, wanted, "{name}");
    }
    script.change(|view| Arc::make_mut(&mut view.settings).sound.constant_bitrate = false);
    script.find_and_press(strings::CONSTANT_RATE);
    let sent = script.commands();
    assert!(matches!(sent.as_slice(), [Command::ChangeSettings(settings)] if settings.sound.constant_bitrate));
}

#[test]
fn what_others_hear_is_recorded_played_and_stopped() {
    let mut script = Script::new(Stage::PreJoin(PreJoin { link: None }));
    script.press(strings::HEAR_MYSELF);
    assert!(matches!(script.commands().as_slice(), [Command::HearMyself(true)]));
    let recording = HearMyself::Recording { level: 0.4, done: 0.3 };
    for (state, words) in
        [(recording, strings::HEAR_RECORDING), (HearMyself::Playing { done: 0.9 }, strings::HEAR_PLAYING)]
    {
        assert!(!script.says(words));
        script.change(|view| view.own.hear_myself = state);
        assert!(script.says(words));
        script.press(strings::HEAR_MYSELF);
        assert!(matches!(script.commands().as_slice(), [Command::HearMyself(false)]));
    }
    script.change(|view| {
        view.own.hear_myself = HearMyself::Idle;
        view.own.mic = DeviceState::Off;
    });
    script.window.get_by_label(strings::HEAR_MYSELF).click();
    script.window.run();
    assert!(script.commands().is_empty(), "without a microphone there is nothing to hear");
}

#[test]
fn the_engine_is_told_how_large_each_tile_is() {
    let mut script = Script::new(meeting(vec![peer("Ana")]));
    assert_eq!(script.watched(), [(1, 720)]);
    script.in_meeting(|meeting| meeting.peers = people(7));
    // From one size to another takes a second; who is new is told at once.
    let mut told = script.watched();
    for _ in 0..8 {
        script.window.step();
        told.extend(script.watched());
    }
    assert!(told.iter().all(|(_, height)| *height == 360), "{told:?}");
    let mut who: Vec<_> = told.iter().map(|(peer, _)| *peer).collect();
    who.sort_unstable();
    assert_eq!(who, [1, 2, 3, 4, 5, 6, 7]);
    script.in_meeting(|_| ());
    assert_eq!(script.watched(), []);
}

#[test]
fn of_a_window_that_cannot_be_seen_nobody_is_watched_and_all_are_again_when_it_can() {
    let mut script = Script::new(meeting(people(2)));
    let sizes = script.watched();
    assert_eq!(sizes.len(), 2);
    let hide = |script: &mut Script, minimized: bool, occluded: bool| {
        let window = script.window.input_mut().viewports.entry(egui::ViewportId::ROOT).or_default();
        (window.minimized, window.occluded) = (Some(minimized), Some(occluded));
        script.window.run();
    };
    for (minimized, occluded) in [(true, false), (false, true)] {
        hide(&mut script, minimized, occluded);
        assert_eq!(script.watched(), [(1, 0), (2, 0)]);
        hide(&mut script, false, false);
        assert_eq!(script.watched(), sizes);
    }
}

#[test]
fn the_ring_is_around_whoever_the_engine_says_speaks() {
    let mut script = Script::new(meeting(people(2)));
    let quiet = "Chloé, microphone on, camera on";
    script.in_meeting(|meeting| {
        meeting.speaking = Some(2);
        meeting.peers.iter_mut().for_each(|peer| peer.level = 0.7);
    });
    assert!(script.window.query_by_label("Chloé, microphone on, camera on, speaking").is_some());
    assert!(script.window.query_by_label("Ben Okafor, microphone on, camera on").is_some());
    // The last who spoke is quiet now.
    script.in_meeting(|meeting| meeting.peers[1].level = 0.1);
    assert!(script.window.query_by_label(quiet).is_some());
    script.in_meeting(|meeting| (meeting.speaking, meeting.peers[1].level) = (None, 0.7));
    assert!(script.window.query_by_label(quiet).is_some());
}
