//! Settings.

use std::sync::Arc;

use conclave::engine::Command;
use conclave::engine::view::{Blocked, Stage};
use conclave::ui::strings;
use egui::Key;
use egui::accesskit::Role;
use egui_kittest::kittest::Queryable;

use crate::window_script::Script;

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
fn privacy_settings_apply_at_once() {
    let mut script = Script::new(Stage::Home);
    script.press(strings::SETTINGS);
    script.find_and_press(strings::ADMIT_VERIFIED);
    assert!(matches!(script.commands().as_slice(), [Command::ChangeSettings(settings)] if settings.admit_verified));
    script.find_and_press(strings::HIDE_NAME);
    assert!(matches!(script.commands().as_slice(), [Command::ChangeSettings(settings)] if settings.hide_name_in_links));
}

#[test]
fn the_blocked_are_listed_and_heard_again_one_by_one() {
    let mut script = Script::new(Stage::Home);
    script.press(strings::SETTINGS);
    assert!(script.says(strings::NOBODY_BLOCKED));
    script.change(|view| {
        let blocked =
            |name: &str, fingerprint: &str| Blocked { name: name.to_owned(), fingerprint: fingerprint.to_owned() };
        view.blocked = Arc::new(vec![blocked("Mallory", "AAAA-BBBB"), blocked("Eve", "CCCC-DDDD")]);
    });
    assert!(!script.says(strings::NOBODY_BLOCKED));
    script.find_and_press(&strings::unblock("Eve"));
    assert!(matches!(script.commands().as_slice(), [Command::Unblock(fingerprint)] if fingerprint == "CCCC-DDDD"));
}
