//! The window and the desktop around it: links of further starts, notifications, the tray icon.

use std::sync::Arc;

use conclave::desktop::{Event, Notice, Presence, Request, Topic};
use conclave::engine::view::{Familiarity, Meeting, PeerLink, PreJoin, Stage};
use conclave::engine::{self, Command, Intent, View};
use conclave::ui::strings;

use crate::window_script::{GOOD_LINK, Script, guest, knock, meeting, people};

fn start_again(script: &mut Script, link: Option<&str>) {
    let link = link.map(str::to_owned);
    script.outside(|events| drop(events.started(link)));
}

#[test]
fn a_link_of_a_further_start_is_prepared_as_if_it_had_been_opened_and_exposes_nobody() {
    let mut script = Script::new(Stage::Home);
    start_again(&mut script, Some(GOOD_LINK));
    assert!(matches!(
        script.commands().as_slice(),
        [Command::Prepare(Intent::Join(link)), Command::SetMic(false), Command::SetCamera(false)] if link == GOOD_LINK
    ));
    start_again(&mut script, None);
    assert!(script.commands().is_empty(), "a start without a link only shows the window");
}

#[test]
fn a_further_start_ends_nothing_that_is_going_on() {
    for stage in [meeting(people(2)), Stage::PreJoin(PreJoin { link: None })] {
        let mut script = Script::new(stage);
        start_again(&mut script, Some(GOOD_LINK));
        assert!(script.commands().is_empty());
        assert!(script.says(strings::LINK_WAITS));
        script.change(|view| view.stage = Stage::Home);
        assert!(script.commands().is_empty(), "it is prepared when a person says so");
        script.press(strings::JOIN);
        assert!(matches!(script.commands().as_slice(), [Command::Prepare(Intent::Join(link))] if link == GOOD_LINK));
    }
}

fn notices(script: &mut Script) -> Vec<Notice> {
    let asked = script.asked().into_iter();
    asked.filter_map(|request| if let Request::Notify(notice) = request { Some(notice) } else { None }).collect()
}

fn allow_names(view: &mut View) {
    Arc::make_mut(&mut view.settings).desktop.notification_content = true;
}

fn somebody_knocks(script: &mut Script) {
    script.in_meeting(|meeting| meeting.knocks = vec![knock(9, "Mallory", Familiarity::New)]);
    script.event(engine::Event::Knock);
}

#[test]
fn a_knock_notifies_without_a_name_and_only_while_nobody_looks() {
    let mut script = Script::new(meeting(Vec::new()));
    somebody_knocks(&mut script);
    assert!(notices(&mut script).is_empty(), "the window shows it");
    script.look_at_it(false);
    somebody_knocks(&mut script);
    let shown = notices(&mut script);
    assert_eq!(shown.len(), 1);
    assert_eq!((shown[0].topic, shown[0].title.as_str()), (Topic::Knock, strings::NOTICE_KNOCK));
    assert!(!shown[0].body.contains("Mallory"));
    somebody_knocks(&mut script);
    assert!(notices(&mut script).is_empty(), "a stranger cannot make it ring again and again");
    script.look_at_it(true);
    assert!(script.asked().contains(&Request::Withdraw), "whoever looks needs no notification any more");
}

#[test]
fn names_are_in_notifications_only_when_allowed_and_there_are_none_when_they_are_off() {
    let mut script = Script::new(meeting(Vec::new()));
    script.change(allow_names);
    script.look_at_it(false);
    somebody_knocks(&mut script);
    assert_eq!(notices(&mut script)[0].title, strings::notice_knock("Mallory"));

    let mut script = Script::new(meeting(Vec::new()));
    script.change(|view| Arc::make_mut(&mut view.settings).desktop.notifications = false);
    script.look_at_it(false);
    somebody_knocks(&mut script);
    assert!(notices(&mut script).is_empty());
}

#[test]
fn a_connection_that_is_lost_notifies_and_so_does_its_return_but_not_the_end() {
    let link = |link: PeerLink| move |meeting: &mut Meeting| meeting.peers.iter_mut().for_each(|peer| peer.link = link);
    let titles = |script: &mut Script| notices(script).into_iter().map(|notice| notice.title).collect::<Vec<_>>();
    let mut script = Script::new(meeting(people(2)));
    script.look_at_it(false);
    script.in_meeting(|meeting| meeting.peers[0].link = PeerLink::Reconnecting);
    assert!(titles(&mut script).is_empty(), "others are still there");
    script.in_meeting(link(PeerLink::Reconnecting));
    assert_eq!(titles(&mut script), [strings::NOTICE_LOST]);
    script.in_meeting(link(PeerLink::Live));
    assert_eq!(titles(&mut script), [strings::NOTICE_BACK]);
    script.in_meeting(link(PeerLink::Reconnecting));
    assert_eq!(titles(&mut script), [strings::NOTICE_LOST]);
    script.change(|view| view.stage = Stage::Home);
    assert!(titles(&mut script).is_empty());
}

/// The last that the desktop was told of a meeting.
fn told(script: &mut Script) -> Option<Option<Presence>> {
    let asked = script.asked().into_iter();
    asked.filter_map(|request| if let Request::Meeting(now) = request { Some(now) } else { None }).next_back()
}

#[test]
fn the_desktop_knows_of_a_meeting_for_as_long_as_it_lasts_and_whether_one_is_muted() {
    let mut script = Script::new(Stage::Home);
    assert_eq!(told(&mut script), None, "nothing is asked of the desktop at home");
    script.change(|view| view.stage = meeting(people(1)));
    let tray = told(&mut script).flatten().expect("a meeting").tray.expect("a tray icon");
    assert!(!tray.muted && tray.mute == strings::TRAY_MUTE);
    script.window.run();
    assert_eq!(told(&mut script), None, "it is told once");
    script.change(|view| view.own.mic_on = false);
    let tray = told(&mut script).flatten().expect("a meeting").tray.expect("a tray icon");
    assert!(tray.muted && tray.mute == strings::TRAY_UNMUTE);
    script.change(|view| Arc::make_mut(&mut view.settings).desktop.tray = false);
    assert_eq!(told(&mut script).flatten().expect("a meeting").tray, None);
    script.change(|view| view.stage = Stage::Home);
    assert_eq!(told(&mut script), Some(None));
}

#[test]
fn the_tray_mutes_and_leaves_and_asks_a_host_first() {
    let mut script = Script::new(meeting(people(1)));
    script.outside(|events| assert!(events.send(Event::ToggleMute)));
    assert!(matches!(script.commands().as_slice(), [Command::SetMic(false)]));
    script.outside(|events| assert!(events.send(Event::Leave)));
    assert!(script.commands().is_empty(), "a host with others present is asked how");
    assert!(script.says(strings::LEAVE_TITLE));

    let mut script = Script::new(meeting(people(1)));
    guest(&mut script);
    script.outside(|events| assert!(events.send(Event::Leave)));
    assert!(matches!(script.commands().as_slice(), [Command::Leave]));
}

#[test]
fn what_is_seen_outside_can_be_chosen() {
    let mut script = Script::new(Stage::Home);
    script.press(strings::SETTINGS);
    script.find_and_press(strings::NOTIFY_NAMES);
    assert!(matches!(
        script.commands().as_slice(),
        [Command::ChangeSettings(settings)] if settings.desktop.notification_content && settings.desktop.tray
    ));
    script.find_and_press(strings::CLEAR_CLIPBOARD);
    assert!(matches!(
        script.commands().as_slice(),
        [Command::ChangeSettings(settings)] if !settings.desktop.clear_clipboard
    ));
}
