//! Settings.

use std::sync::Arc;

use conclave::engine::Command;
use conclave::engine::view::{Blocked, Stage};
use conclave::settings::{Settings, Turn};
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

/// Types into a field and leaves it.
fn fill(script: &mut Script, name: &str, text: &str) {
    script.field(name).scroll_to_me();
    script.window.run();
    script.type_into(name, text);
    script.window.key_press(Key::Tab);
    script.window.run();
}

fn settings_sent(script: &mut Script) -> Settings {
    match script.commands().pop() {
        Some(Command::ChangeSettings(settings)) => *settings,
        _ => panic!("no settings were sent"),
    }
}

#[test]
fn a_turn_server_is_kept_with_its_user_and_password_whichever_is_typed_first() {
    let mut script = Script::new(Stage::Home);
    script.press(strings::SETTINGS);
    fill(&mut script, strings::TURN_USER, "ana");
    assert!(script.commands().is_empty());
    fill(&mut script, strings::TURN, "turn.example:3478");
    fill(&mut script, strings::TURN_PASSWORD, "secret");
    let turn = settings_sent(&mut script).turn.unwrap();
    assert_eq!((turn.server.as_str(), turn.user.as_str()), ("turn.example:3478", "ana"));
    assert_eq!(turn.password, "secret");
    assert!(!script.says("secret"));
}

#[test]
fn hiding_the_address_is_switched_on_and_asks_for_a_turn_server() {
    let mut script = Script::new(Stage::Home);
    script.press(strings::SETTINGS);
    script.find_and_press(strings::HIDE_ADDRESS);
    let settings = settings_sent(&mut script);
    assert!(settings.hide_address);
    assert!(!script.says(strings::HIDE_ADDRESS_NEEDS));
    script.change(|view| view.settings = Arc::new(settings));
    assert!(script.says(strings::HIDE_ADDRESS_NEEDS));
    script.change(|view| Arc::make_mut(&mut view.settings).turn = Some(Turn::default()));
    assert!(!script.says(strings::HIDE_ADDRESS_NEEDS));
}

#[test]
fn allowed_routes_are_lists_and_a_wrong_word_is_named() {
    let mut script = Script::new(Stage::Home);
    script.press(strings::SETTINGS);
    fill(&mut script, strings::ONLY_RELAYS, "relay.example turn.example");
    assert_eq!(settings_sent(&mut script).only_relays, ["relay.example", "turn.example"]);
    fill(&mut script, strings::ONLY_NETWORKS, "192.0.2.0/24, 300.1.2.3");
    assert_eq!(settings_sent(&mut script).only_networks, ["192.0.2.0/24", "300.1.2.3"]);
    assert!(script.says(&strings::no_network("300.1.2.3")));
    fill(&mut script, strings::ONLY_COUNTRIES, "de, Austria");
    let settings = settings_sent(&mut script);
    assert_eq!(settings.only_countries, ["DE", "AUSTRIA"]);
    script.change(|view| view.settings = Arc::new(settings));
    assert!(script.says(strings::COUNTRY_TABLE_NEEDED));
}

#[test]
fn the_table_of_countries_is_chosen_as_a_file_and_done_without_again() {
    let mut script = Script::new(Stage::Home);
    script.press(strings::SETTINGS);
    assert!(script.says(strings::COUNTRY_TABLE_NONE));
    script.find_and_press(&format!("{} · {}", strings::COUNTRY_TABLE, strings::CHOOSE_FILE));
    script.window.run();
    let settings = settings_sent(&mut script);
    assert!(settings.country_table.as_ref().unwrap().ends_with("countries.csv"));
    script.change(|view| view.settings = Arc::new(settings));
    assert!(script.says("countries.csv"));
    script.find_and_press(strings::COUNTRY_TABLE_FORGET);
    assert_eq!(settings_sent(&mut script).country_table, None);
}
