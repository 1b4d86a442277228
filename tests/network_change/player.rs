//! One person in a meeting, driven line by line: what is shown is said.

use std::io::BufRead;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use conclave::engine::view::{Peer, PeerLink, Stage, View};
use conclave::engine::{self, Command, EngineOptions, Handle, Intent};
use conclave::media::device::{CameraChoice, MicChoice, SpeakerChoice};
use conclave::media::source::VideoFormat;
use conclave::media::stamp;
use tokio::sync::mpsc;

use crate::netns::say;

/// How far from now a picture may be in steady state. A pile of old ones would stay this old until it is played out.
const FRESH: u64 = 1500;

/// As the stamp in a picture has it: cut to forty bits.
pub fn unix_millis() -> u64 {
    let millis = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64;
    millis & ((1 << 40) - 1)
}

/// Plays `FOLDER host RELAY` or `FOLDER join LINK`.
pub async fn play(arguments: &str) {
    let words: Vec<&str> = arguments.split(' ').collect();
    let mut options = EngineOptions::for_window(PathBuf::from(words[0]));
    options.video = VideoFormat { width: 320, height: 180, fps: 20 };
    let intent = if words[1] == "host" {
        options.relay = Some(words[2].into());
        Intent::Start
    } else {
        Intent::Join(words[2].into())
    };
    let handle = engine::start(options, Arc::new(|| {})).unwrap();
    handle.send(Command::ChooseCamera(CameraChoice::Test));
    handle.send(Command::ChooseMic(MicChoice::Test));
    handle.send(Command::ChooseSpeaker(SpeakerChoice::None));
    handle.send(Command::Prepare(intent));
    let (lines_in, mut lines) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let _ = lines_in.send(line);
        }
    });
    let mut person = Person::default();
    loop {
        tokio::select! {
            line = lines.recv() => match line {
                Some(line) => person.handle_line(&handle, &line),
                None => return,
            },
            () = tokio::time::sleep(Duration::from_millis(10)) => person.look(&handle),
        }
    }
}

#[derive(Default)]
struct Person {
    entered: bool,
    told_link: bool,
    told_media: bool,
    told_muted: bool,
    /// When the newest picture was taken.
    newest: u64,
    /// When it was first shown, and the longest pause between two since the mark.
    seen: u64,
    longest: u64,
    /// A picture taken after this is waited for.
    since: Option<u64>,
    /// Fresh pictures in a row.
    fresh: u32,
}

impl Person {
    fn look(&mut self, handle: &Handle) {
        let view = handle.view();
        match &view.stage {
            Stage::PreJoin(_) if !std::mem::replace(&mut self.entered, true) => {
                handle.send(Command::SetMic(true));
                handle.send(Command::SetCamera(true));
                handle.send(Command::Enter { name: "Somebody".into() });
            }
            Stage::Meeting(meeting) => {
                if let Some(link) = meeting.link.as_ref().filter(|_| !std::mem::replace(&mut self.told_link, true)) {
                    say(&format!("LINK {link}"));
                }
                for knock in &meeting.knocks {
                    handle.send(Command::Admit(knock.id));
                }
                if let Some(peer) = meeting.peers.first() {
                    self.look_at(peer);
                }
            }
            Stage::Ended(ended) => say(&format!("ENDED {}", ended.reason)),
            _ => {}
        }
    }

    fn look_at(&mut self, peer: &Peer) {
        let now = unix_millis();
        if let Some(stamp) = peer.picture.peek().and_then(|picture| stamp::read(&picture))
            && stamp.millis > self.newest
        {
            self.newest = stamp.millis;
            self.longest = self.longest.max(now.saturating_sub(self.seen));
            self.seen = now;
            self.fresh = if now.saturating_sub(stamp.millis) < FRESH { self.fresh + 1 } else { 0 };
            if peer.mic_on && self.fresh > 20 && !std::mem::replace(&mut self.told_media, true) {
                say("MEDIA FLOW");
            }
            // Not the first one: what came late before it must be over.
            if self.since.is_some_and(|since| stamp.millis > since) && self.fresh >= 3 && peer.link == PeerLink::Live {
                let since = self.since.take().unwrap_or_default();
                say(&format!("BACK {}", now - since));
            }
        }
        if self.told_media && self.told_muted == peer.mic_on {
            self.told_muted = !peer.mic_on;
            say(if peer.mic_on { "PEER HEARD" } else { "PEER MUTED" });
        }
    }

    fn handle_line(&mut self, handle: &Handle, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "MUTE" => handle.send(Command::SetMic(false)),
            "SINCE" => {
                self.since = rest.parse().ok();
                self.fresh = 0;
            }
            "MARK" => (self.seen, self.longest) = (unix_millis(), 0),
            "STATE" => {
                let pause = self.longest.max(unix_millis().saturating_sub(self.seen));
                say(&format!("STATE {} pause={pause}", state(&handle.view())));
            }
            _ => {}
        }
    }
}

fn state(view: &View) -> String {
    let Stage::Meeting(meeting) = &view.stage else { return "no meeting".into() };
    let own = &view.own;
    let peer = meeting.peers.first().map_or("none".into(), |peer| peer.mic_on.to_string());
    format!("mic={} camera={} peer_mic={peer}", own.mic_on, own.camera_on)
}
