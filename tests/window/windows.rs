//! The whole screen, and the small window that stays on top.

use conclave::engine::Command;
use conclave::engine::view::Stage;
use conclave::ui::strings;
use egui::accesskit::Role;
use egui::{Event, Key, Modifiers, ViewportCommand};
use egui_kittest::kittest::Queryable;

use crate::window_script::{Script, meeting, peer};

fn full_screen_asked(script: &mut Script) -> bool {
    // Within one pass, whose commands are looked at.
    let key = Key::F11;
    let modifiers = Modifiers::NONE;
    let pressed = Event::Key { key, physical_key: None, pressed: true, repeat: false, modifiers };
    script.window.input_mut().events.push(pressed);
    script.window.step();
    let outputs = &script.window.output().viewport_output;
    outputs.values().any(|viewport| viewport.commands.contains(&ViewportCommand::Fullscreen(true)))
}

#[test]
fn a_key_fills_the_screen_on_every_screen_even_while_somebody_types() {
    assert!(full_screen_asked(&mut Script::new(meeting(vec![peer("Ana")]))));
    let mut home = Script::new(Stage::Home);
    home.type_into(strings::PASTE_LINK, "con");
    assert!(full_screen_asked(&mut home));
}

/// How many switches for the microphone there are: one in each window.
fn microphones(script: &Script) -> usize {
    script.window.query_all_by_role_and_label(Role::Switch, strings::MICROPHONE).count()
}

#[test]
fn the_small_window_opens_by_button_and_by_key_and_closes_by_its_own() {
    let mut script = Script::new(meeting(vec![peer("Ana")]));
    assert_eq!(microphones(&script), 1);
    script.window.get_by_role_and_label(Role::Switch, strings::POP_OUT).click();
    script.window.run();
    assert_eq!(microphones(&script), 2);
    script.press(strings::POP_OUT_CLOSE);
    assert_eq!(microphones(&script), 1);
    script.window.key_press(Key::P);
    script.window.run();
    assert_eq!(microphones(&script), 2);
    script.change(|view| view.stage = Stage::Home);
    assert_eq!(microphones(&script), 0);
}

#[test]
fn the_small_window_shows_who_speaks_and_keeps_them_until_somebody_else_does() {
    let mut script = Script::new(meeting(vec![peer("Ana"), peer("Ben"), peer("Chloé")]));
    script.in_meeting(|meeting| {
        for (peer, id) in meeting.peers.iter_mut().zip(1..) {
            (peer.id, peer.level) = (id, 0.0);
        }
    });
    script.window.key_press(Key::P);
    script.window.run();
    let shown = |script: &Script, name: &str| {
        let tiles = script.window.query_all_by(|node| {
            node.role() == Role::Image && node.label().is_some_and(|label| label.starts_with(name))
        });
        tiles.count() == 2
    };
    let speak = |script: &mut Script, levels: [f32; 3]| {
        script.in_meeting(|meeting| {
            for (peer, level) in meeting.peers.iter_mut().zip(levels) {
                peer.level = level;
            }
        });
    };
    assert!(shown(&script, "Ana"));
    speak(&mut script, [0.0, 0.6, 0.0]);
    assert!(shown(&script, "Ben"));
    // Louder, but Ben has not finished.
    speak(&mut script, [0.0, 0.5, 0.9]);
    assert!(shown(&script, "Ben"));
    speak(&mut script, [0.0, 0.0, 0.0]);
    assert!(shown(&script, "Ben"));
    speak(&mut script, [0.0, 0.0, 0.5]);
    assert!(shown(&script, "Chloé"));
    // Ben goes, and then the one who is shown.
    script.in_meeting(|meeting| {
        meeting.peers.remove(2);
    });
    assert!(shown(&script, "Ana"));
}

#[test]
fn the_small_window_mutes_and_leaves() {
    let mut script = Script::new(meeting(vec![peer("Ana")]));
    script.in_meeting(|meeting| meeting.hosting = false);
    script.window.key_press(Key::P);
    script.window.run();
    let last = |script: &Script, role, name: &'static str| {
        script.window.get_all_by_role_and_label(role, name).last().unwrap().click();
    };
    last(&script, Role::Switch, strings::MICROPHONE);
    script.window.run();
    assert!(matches!(script.commands().as_slice(), [Command::SetMic(false)]));
    last(&script, Role::Button, strings::LEAVE);
    script.window.run();
    assert!(matches!(script.commands().as_slice(), [Command::Leave]));
}
