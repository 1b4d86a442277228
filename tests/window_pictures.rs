//! Renders every screen, dark and light, at the smallest and a usual size, into `target/tmp/window-pictures/` for people to
//! look at. It compares no pixels: it holds that every screen can be drawn, and is not empty, in each of them.
#![cfg(feature = "desktop")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test may end it")]

mod window_script;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use conclave::engine::view::{
    Blocked, Cause, Connecting, Encryption, Ended, Familiarity, HearMyself, Heir, InviteState, Knock, LinkCheck,
    LinkFacts, Lobby, Notice, Peer, PeerLink, PreJoin, Quality, Reason, Role as Part, Stage, Verification,
};
use conclave::engine::{Event, event::Tone};
use conclave::ui::strings;
use egui::Theme;
use egui_kittest::kittest::Queryable;
use window_script::{GOOD_LINK, Look, Script, good_facts, guest, invite, knock, meeting, number, peer, people};

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
        meeting.code.unverified.clear();
        meeting.encryption = Encryption::Verified;
    });
}

#[test]
fn the_screens_before_a_meeting_can_be_drawn() {
    draw("home", || Stage::Home, |_| {});
    draw("home-bad-link", || Stage::Home, |script| script.type_into(strings::PASTE_LINK, "https://example.org/j/123"));
    draw("home-good-link", || Stage::Home, |script| script.type_into(strings::PASTE_LINK, GOOD_LINK));
    let look_alike = || LinkFacts {
        host_name: Some("Ana".to_owned()),
        host: Familiarity::LookAlike("Ana".to_owned()),
        ..good_facts()
    };
    draw(
        "home-look-alike",
        || Stage::Home,
        |script| {
            script.set_check(LinkCheck::Good(look_alike()));
            script.type_into(strings::PASTE_LINK, GOOD_LINK);
        },
    );
    draw("pre-join-look-alike", || Stage::PreJoin(PreJoin { link: Some(look_alike()) }), |_| {});
    draw(
        "pre-join",
        || Stage::PreJoin(PreJoin { link: Some(good_facts()) }),
        |script| {
            script.change(|view| view.own.mic_level = 0.55);
            script.type_into(strings::YOUR_NAME, "Ana Silva");
        },
    );
    draw(
        "pre-join-hear",
        || Stage::PreJoin(PreJoin { link: None }),
        |script| {
            script.change(|view| {
                view.own.mic_level = 0.5;
                view.own.hear_myself = HearMyself::Recording { level: 0.5, done: 0.4 };
            });
            script.window.get_by_label(strings::HEAR_MYSELF).scroll_to_me();
            script.window.run();
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
                meeting.knocks = door();
                meeting.refused = 3;
            });
        },
    );
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
            script.in_meeting(|meeting| (meeting.speaking, meeting.peers[0].level) = (Some(1), 0.7));
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
        "meeting-weak",
        || meeting(vec![peer("Ben Okafor")]),
        |script| {
            weak(script);
            script.change(|view| {
                let names = vec!["Ben Okafor".to_owned()];
                view.notices = vec![Notice::WeakUpload { names, cause: Cause::Either }, Notice::Overloaded];
            });
        },
    );
    draw(
        "meeting-weak-why",
        || meeting(vec![peer("Ben Okafor")]),
        |script| {
            weak(script);
            let bottom = script.window.ctx.content_rect().bottom();
            script.window.hover_at(egui::pos2(60.0, bottom - 20.0));
            for _ in 0..6 {
                script.window.step();
            }
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
    let five = || {
        let mut peers = people(4);
        peers[1].camera_on = false;
        peers[2].mic_on = false;
        peers[3].verification = Verification::Yes { since: 1_795_467_900 };
        meeting(peers)
    };
    draw("meeting-of-five", five, |_| {});
    draw(
        "meeting-of-eight",
        || meeting(crowd()),
        |script| {
            script.in_meeting(|meeting| (meeting.speaking, meeting.peers[5].level) = (Some(6), 0.7));
        },
    );
    draw(
        "meeting-of-eight-hover",
        || meeting(crowd()),
        |script| {
            script.window.hover_at(egui::pos2(script.window.ctx.content_rect().width() * 0.5, 200.0));
            script.window.run();
        },
    );
    draw(
        "meeting-locked-forked",
        || meeting(crowd()),
        |script| {
            script.change(|view| view.notices = vec![Notice::Forked]);
            script.in_meeting(|meeting| {
                meeting.locked = true;
                meeting.encryption = Encryption::Warning("The host has signed two lists.".to_owned());
                meeting.roster.forked =
                    Some("Ben Okafor, the host, showed you and Chloé different lists of who is here. Nothing is sent any more. Leave, and ask why.".to_owned());
            });
        },
    );
    draw(
        "meeting-host-lost",
        || meeting(crowd()),
        |script| {
            guest(script);
            script.in_meeting(|meeting| meeting.heir = Some(Heir::Own));
            script.change(|view| view.notices = vec![Notice::HostLost]);
        },
    );
}

/// The first peer's connection is poor, for all the reasons that there can be at a time.
fn weak(script: &mut Script) {
    script.in_meeting(|meeting| {
        let (either, repaired) = (Cause::Either, Reason::SoundRepaired(12));
        let reasons = vec![Reason::Receiving(either), repaired, Reason::Delay(650), Reason::Sending(either)];
        (meeting.peers[0].quality, meeting.peers[0].reasons) = (Quality::Poor, reasons);
        meeting.peers[0].stats.concealed_percent = 12.0;
        meeting.peers[0].stats.target_kbps = Some(240.0);
    });
}

/// Seven others, in all the states that a tile can have.
fn crowd() -> Vec<Peer> {
    let mut peers = people(7);
    peers[0].verification = Verification::Yes { since: 1_795_467_900 };
    peers[0].role = Part::CoHost;
    peers[1].camera_on = false;
    peers[2].mic_on = false;
    peers[3].link = PeerLink::Connecting;
    peers[4].verification = Verification::Changed;
    peers[3].quality = Quality::Unknown;
    (peers[5].quality, peers[5].reasons) = (Quality::Fair, vec![Reason::SoundRepaired(4)]);
    (peers[6].quality, peers[6].reasons) = (Quality::Poor, vec![Reason::Receiving(Cause::Theirs)]);
    peers
}

/// Somebody new with a personal link that was passed on, and a look-alike.
fn door() -> Vec<Knock> {
    let mut first = knock(7, "Ben Okafor", Familiarity::New);
    first.invite = "Chloé".to_owned();
    first.shared_with = Some("Chloé".to_owned());
    vec![first, knock(8, "Ana", Familiarity::LookAlike("Ana".to_owned()))]
}

#[test]
fn the_door_can_be_drawn() {
    let invites = |script: &mut Script| {
        script.in_meeting(|meeting| {
            let mut used = invite(2, "Ben");
            used.used_by = vec!["Ben Okafor".to_owned(), "Carla".to_owned()];
            used.expires = Some(1_795_467_900);
            let mut gone = invite(3, "Chloé");
            gone.state = InviteState::Used;
            gone.used_by = vec!["Chloé".to_owned()];
            let mut revoked = invite(4, "Dina");
            revoked.state = InviteState::Revoked;
            meeting.invites.extend([used, gone, revoked]);
        });
        script.press(strings::MANAGE_INVITES);
    };
    draw("invite-code", || meeting(vec![]), |script| script.press(strings::SHOW_QR));
    draw("invites", || meeting(vec![]), invites);
    draw(
        "invites-revoke",
        || meeting(vec![]),
        |script| {
            invites(script);
            script.find_and_press(&strings::revoke_invite("Ben"));
        },
    );
    draw(
        "invites-new",
        || meeting(vec![]),
        |script| {
            script.press(strings::MANAGE_INVITES);
            script.press(strings::NEW_INVITE);
            script.type_into(strings::INVITE_FOR, "Ben");
        },
    );
    draw("invite-menu", || meeting(people(1)), |script| script.press(strings::INVITE_PEOPLE));
    draw(
        "people-door",
        || meeting(people(2)),
        |script| {
            script.in_meeting(|meeting| meeting.knocks = door());
            script.press(strings::PEOPLE);
        },
    );
    draw("leave-no-heir", || meeting(people(2)), |script| script.press(strings::LEAVE));
    draw(
        "leave",
        || meeting(people(2)),
        |script| {
            script.in_meeting(|meeting| meeting.heir = Some(Heir::Peer("Chloé".to_owned())));
            script.press(strings::LEAVE);
        },
    );
}

#[test]
fn the_people_can_be_drawn() {
    let hosted = || meeting(crowd());
    draw("people-of-eight", hosted, |script| {
        script.in_meeting(|meeting| meeting.locked = true);
        script.press(strings::PEOPLE);
    });
    draw("people-of-eight-end", hosted, |script| {
        script.in_meeting(|meeting| meeting.heir = Some(Heir::Peer("Ben Okafor".to_owned())));
        script.press(strings::PEOPLE);
        script.window.get_by_label(strings::VERIFY_EVERYONE_MORE).scroll_to_me();
        script.window.run();
    });
    draw("people-menu", hosted, |script| {
        script.press(strings::PEOPLE);
        script.window.get_by_label(&strings::more_about("Ben Okafor")).scroll_to_me();
        script.window.run();
        script.press(&strings::more_about("Ben Okafor"));
    });
    draw("remove", hosted, |script| {
        script.press(strings::PEOPLE);
        script.choose(&strings::more_about("Ben Okafor"), strings::REMOVE);
    });
    draw("hand-over", hosted, |script| {
        script.press(strings::PEOPLE);
        script.choose(&strings::more_about("Ben Okafor"), strings::MAKE_HOST);
    });
    draw("everyone", hosted, |script| script.press(&strings::not_yet_verified(6)));
    draw("everyone-pending", hosted, |script| {
        script.press(&strings::not_yet_verified(6));
        script.in_meeting(|meeting| meeting.code.words.clear());
    });
    draw("everyone-confirmed", hosted, |script| {
        script.press(&strings::not_yet_verified(6));
        script.in_meeting(|meeting| {
            meeting.code.confirmed = true;
            meeting.code.unverified.clear();
            for peer in &mut meeting.peers {
                peer.verification = Verification::Yes { since: 1_795_467_900 };
            }
        });
    });
    draw("everyone-differs", hosted, |script| {
        script.press(&strings::not_yet_verified(6));
        script.in_meeting(|meeting| {
            meeting.code.differs = true;
            meeting.encryption = Encryption::Warning("The codes of the people here differ.".to_owned());
        });
    });
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
    draw(
        "people-weak",
        || meeting(vec![peer("Ben Okafor")]),
        |script| {
            weak(script);
            script.press(strings::PEOPLE);
        },
    );
    draw(
        "security-weak",
        || meeting(vec![peer("Ben Okafor")]),
        |script| {
            weak(script);
            script.press(strings::SECURITY);
            script.window.get_by_label("Connection · poor").scroll_to_me();
            script.window.run();
        },
    );
    draw(
        "security-report",
        || meeting(vec![peer("Ben Okafor")]),
        |script| {
            script.press(strings::SECURITY);
            script.window.get_by_label(strings::SAVE_REPORT).scroll_to_me();
            script.window.run();
        },
    );
    draw("security", || meeting(vec![peer("Ben Okafor")]), |script| script.press(strings::SECURITY));
    draw(
        "security-relay",
        || meeting(vec![peer("Ben Okafor")]),
        |script| {
            script.press(strings::SECURITY);
            script.window.get_by_label(strings::RELAY_BLIND_3).scroll_to_me();
            script.window.run();
        },
    );
    draw("security-of-eight", || meeting(crowd()), |script| script.press(strings::SECURITY));
    draw(
        "settings-privacy",
        || Stage::Home,
        |script| {
            script.change(|view| {
                let (name, fingerprint) = ("Mallory".to_owned(), "9XWA-3RTB-K7QD-2M4P".to_owned());
                view.blocked = Arc::new(vec![Blocked { name, fingerprint }]);
            });
            script.press(strings::SETTINGS);
            script.window.get_by_label(&strings::unblock("Mallory")).scroll_to_me();
            script.window.run();
        },
    );
    draw(
        "settings",
        || Stage::Home,
        |script| {
            script.change(|view| Arc::make_mut(&mut view.settings).name = "Ana Silva".to_owned());
            script.press(strings::SETTINGS);
        },
    );
    let network = |script: &mut Script| {
        script.change(|view| {
            let settings = Arc::make_mut(&mut view.settings);
            settings.hide_address = true;
            settings.only_relays = vec!["relay.example".to_owned()];
            settings.only_networks = vec!["192.0.2.0/24".to_owned(), "300.0.0.0/8".to_owned()];
            settings.only_countries = vec!["DE".to_owned(), "AT".to_owned()];
        });
        script.press(strings::SETTINGS);
    };
    draw(
        "settings-sound",
        || Stage::Home,
        |script| {
            script.press(strings::SETTINGS);
            script.window.get_by_label(strings::CONSTANT_RATE).scroll_to_me();
            script.window.run();
        },
    );
    for (name, at) in [("settings-network", strings::HIDE_ADDRESS), ("settings-routes", strings::COUNTRY_TABLE)] {
        draw(
            name,
            || Stage::Home,
            |script| {
                network(script);
                script.window.get_by_label(at).scroll_to_me();
                script.window.run();
            },
        );
    }
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
                log: !failed,
                report: !failed,
            })
        }
    };
    draw("ended", ended(false, Some(1534)), |script| {
        script.event(Event::Toast { tone: Tone::Good, text: "Ben Okafor is saved as verified.".to_owned() });
    });
    draw("ended-failed", ended(true, None), |_| {});
}
