//! Renders every screen, dark and light, at the smallest and a usual size, into `target/tmp/window-pictures/` for people to
//! look at. It compares no pixels: it holds that every screen can be drawn, and is not empty, in each of them.
#![cfg(feature = "desktop")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test may end it")]

mod window_script;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use conclave::engine::view::{
    Connecting, Encryption, Ended, Familiarity, Knock, Lobby, Notice, PeerLink, PreJoin, Stage, Verification,
};
use conclave::engine::{Event, event::Tone};
use conclave::ui::strings;
use egui::Theme;
use egui_kittest::kittest::Queryable;
use window_script::{GOOD_LINK, Look, Script, good_facts, meeting, number, peer};

fn folder() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("window-pictures");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Draws one screen in all four looks. `prepare` brings a window to it.
fn draw(name: &str, stage: impl Fn() -> Stage, prepare: impl Fn(&mut Script)) {
    for (theme, theme_name) in [(Theme::Dark, "dark"), (Theme::Light, "light")] {
        for size in [[720.0, 480.0], [1280.0, 800.0]] {
            let mut script = Script::build(stage(), None, Look { size, theme, drawn: true });
            prepare(&mut script);
            let image = script.window.render().unwrap();
            let first = *image.get_pixel(0, 0);
            assert!(image.pixels().any(|pixel| *pixel != first), "{name} is empty");
            image.save(folder().join(format!("{name}-{theme_name}-{}.png", size[0]))).unwrap();
        }
    }
}

fn verified(script: &mut Script) {
    script.in_meeting(|meeting| {
        meeting.peers[0].verification = Verification::Yes { since: 1_795_467_900 };
        meeting.encryption = Encryption::Verified;
    });
}

#[test]
fn the_screens_before_a_meeting_can_be_drawn() {
    draw("home", || Stage::Home, |_| {});
    draw("home-bad-link", || Stage::Home, |script| script.type_into(strings::PASTE_LINK, "https://example.org/j/123"));
    draw("home-good-link", || Stage::Home, |script| script.type_into(strings::PASTE_LINK, GOOD_LINK));
    draw(
        "pre-join",
        || Stage::PreJoin(PreJoin { link: Some(good_facts()) }),
        |script| {
            script.change(|view| view.own.mic_level = 0.55);
            script.type_into(strings::YOUR_NAME, "Ana Silva");
        },
    );
    draw(
        "pre-join-devices",
        || Stage::PreJoin(PreJoin { link: None }),
        |script| {
            script.change(|view| {
                view.own.mic_on = false;
                view.own.camera_on = false;
            });
            script.press(strings::CAMERA_DEVICE);
        },
    );
    draw("connecting", || Stage::Connecting(Connecting { step: "Reaching relay.example…".to_owned() }), |_| {});
    let lobby = || {
        Stage::Lobby(Lobby {
            host_fingerprint: good_facts().host_fingerprint,
            safety_number: number(),
            since: Instant::now() - Duration::from_secs(42),
        })
    };
    draw("lobby", lobby, |_| {});
}

#[test]
fn the_meeting_can_be_drawn() {
    draw("alone", || meeting(vec![]), |_| {});
    draw(
        "knock",
        || meeting(vec![]),
        |script| {
            script.in_meeting(|meeting| {
                let knock = |id, name: &str, who| Knock {
                    id,
                    name: name.to_owned(),
                    fingerprint: "9XWA-3RTB-K7QD-2M4P".to_owned(),
                    who,
                };
                meeting.knocks = vec![
                    knock(7, "Ben Okafor", Familiarity::New),
                    knock(8, "Ana", Familiarity::LookAlike("Ana".to_owned())),
                ];
                meeting.refused = 3;
            });
        },
    );
    draw("invite", || meeting(vec![]), |script| script.press(strings::SHOW_QR));
    draw("meeting", || meeting(vec![peer("Ben Okafor")]), |_| {});
    draw(
        "meeting-verified-muted",
        || meeting(vec![peer("Ben Okafor")]),
        |script| {
            verified(script);
            script.change(|view| {
                view.own.mic_on = false;
                view.own.camera_on = false;
            });
            script.in_meeting(|meeting| meeting.peers[0].level = 0.7);
        },
    );
    draw(
        "meeting-trouble",
        || meeting(vec![peer("Ben Okafor")]),
        |script| {
            script.change(|view| {
                view.own.mic_on = false;
                view.notices = vec![Notice::Reconnecting { name: "Ben Okafor".to_owned() }, Notice::RelayLost];
            });
            script.in_meeting(|meeting| {
                meeting.peers[0].link = PeerLink::Reconnecting;
                meeting.peers[0].verification = Verification::Changed;
                meeting.encryption =
                    Encryption::Warning("Ben Okafor has another key than the one you verified.".to_owned());
            });
        },
    );
    draw(
        "meeting-hidden-toolbar",
        || meeting(vec![peer("Ben Okafor")]),
        |script| {
            script.change(|view| view.own.mic_on = false);
            for _ in 0..40 {
                script.window.step();
            }
        },
    );
    let four = || {
        let people = ["Ben Okafor", "Chloé", "Dina Petrova", "Emil"];
        let mut peers: Vec<_> = people.iter().map(|name| peer(name)).collect();
        for (index, peer) in peers.iter_mut().enumerate() {
            peer.id = index as u32 + 1;
        }
        peers[1].camera_on = false;
        peers[2].mic_on = false;
        peers[3].verification = Verification::Yes { since: 1_795_467_900 };
        meeting(peers)
    };
    draw("meeting-of-five", four, |_| {});
}

#[test]
fn panels_and_sheets_can_be_drawn() {
    draw(
        "verify",
        || meeting(vec![peer("Ben Okafor")]),
        |script| {
            script.press(&strings::verify_button("Ben Okafor"));
        },
    );
    draw(
        "verify-equal",
        || meeting(vec![peer("Ben Okafor")]),
        |script| {
            script.press(&strings::verify_button("Ben Okafor"));
            script.type_into(strings::COMPARE_FIELD, &number());
        },
    );
    draw(
        "verify-different",
        || meeting(vec![peer("Ben Okafor")]),
        |script| {
            script.press(&strings::verify_button("Ben Okafor"));
            script.type_into(strings::COMPARE_FIELD, &number().replacen('1', "7", 1));
        },
    );
    draw(
        "verify-mismatch",
        || meeting(vec![peer("Ben Okafor")]),
        |script| {
            script.press(&strings::verify_button("Ben Okafor"));
            script.in_meeting(|meeting| {
                meeting.peers[0].verification = Verification::Mismatch;
                meeting.peers[0].link = PeerLink::Stopped;
                meeting.encryption = Encryption::Warning("Your safety numbers with Ben Okafor differ.".to_owned());
            });
        },
    );
    draw(
        "people",
        || meeting(vec![peer("Ben Okafor")]),
        |script| {
            verified(script);
            script.press(strings::PEOPLE);
        },
    );
    draw("security", || meeting(vec![peer("Ben Okafor")]), |script| script.press(strings::SECURITY));
    draw(
        "settings",
        || Stage::Home,
        |script| {
            script.change(|view| Arc::make_mut(&mut view.settings).name = "Ana Silva".to_owned());
            script.press(strings::SETTINGS);
        },
    );
    draw(
        "settings-end",
        || Stage::Home,
        |script| {
            script.press(strings::SETTINGS);
            script.window.get_by_label(strings::DARK).scroll_to_me();
            script.window.run();
        },
    );
}

#[test]
fn the_end_can_be_drawn() {
    let ended = |failed: bool, lasted: Option<u64>| {
        move || {
            Stage::Ended(Ended {
                reason: if failed {
                    "The relay at relay.example could not be reached. Check your connection, or ask for a new link."
                        .to_owned()
                } else {
                    "You left the meeting.".to_owned()
                },
                failed,
                lasted: lasted.map(Duration::from_secs),
                met: if failed { vec![] } else { vec![("Ben Okafor".to_owned(), true), ("Dina".to_owned(), false)] },
                rejoin: true,
            })
        }
    };
    draw("ended", ended(false, Some(1534)), |script| {
        script.event(Event::Toast { tone: Tone::Good, text: "Ben Okafor is saved as verified.".to_owned() });
    });
    draw("ended-failed", ended(true, None), |_| {});
}
