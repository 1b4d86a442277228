//! Two engines as two windows would drive them: commands in, views out, a real relay and real paths between.
#![cfg(feature = "client")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use conclave::engine::view::{Encryption, Familiarity, Knock, Meeting, Notice, PeerLink, Stage, Verification, View};
use conclave::engine::{self, Command, EngineOptions, Handle, Intent, Verdict};
use conclave::media::device::{CameraChoice, MicChoice, SpeakerChoice};
use conclave::media::source::VideoFormat;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(40);

struct Person {
    handle: Handle,
    name: &'static str,
}

impl Person {
    fn start(name: &'static str, folder: &Path) -> Self {
        let mut options = EngineOptions::for_window(folder.join(name));
        options.video = VideoFormat { width: 320, height: 180, fps: 15 };
        let handle = engine::start(options, Arc::new(|| {})).unwrap();
        handle.send(Command::ChooseCamera(CameraChoice::Test));
        handle.send(Command::ChooseMic(MicChoice::Test));
        handle.send(Command::ChooseSpeaker(SpeakerChoice::None));
        Self { handle, name }
    }

    /// Waits until the view shows what `pick` finds.
    async fn sees<T>(&mut self, what: &str, pick: impl Fn(&View) -> Option<T>) -> T {
        let seen = timeout(PATIENCE, async {
            loop {
                if let Some(found) = pick(&self.handle.view()) {
                    return found;
                }
                assert!(self.handle.changed().await, "the engine stopped");
            }
        });
        match seen.await {
            Ok(found) => found,
            Err(_) => panic!("{} never saw {what}", self.name),
        }
    }

    async fn sees_meeting<T>(&mut self, what: &str, pick: impl Fn(&Meeting) -> Option<T>) -> T {
        self.sees(what, |view| match &view.stage {
            Stage::Meeting(meeting) => pick(meeting),
            _ => None,
        })
        .await
    }

    /// Starts a meeting and returns its link.
    async fn hosts(&mut self) -> String {
        self.handle.send(Command::Prepare(Intent::Start));
        self.sees("pre-join", |view| matches!(view.stage, Stage::PreJoin(_)).then_some(())).await;
        self.handle.send(Command::Enter { name: self.name.into() });
        self.sees_meeting("its link", |meeting| meeting.link.clone()).await
    }

    async fn joins(&mut self, link: &str) {
        self.handle.send(Command::Prepare(Intent::Join(link.into())));
        let own = self.sees("pre-join", |view| matches!(view.stage, Stage::PreJoin(_)).then(|| view.own.clone())).await;
        assert!(!own.mic_on && !own.camera_on, "a link turns nothing on");
        self.handle.send(Command::Enter { name: self.name.into() });
    }

    async fn admits(&mut self) -> Knock {
        let knock = self.sees_meeting("a knock", |meeting| meeting.knocks.first().cloned()).await;
        self.handle.send(Command::Admit(knock.id));
        knock
    }

    /// The number of the peer that media flow to.
    async fn is_live(&mut self) -> u32 {
        let live =
            |meeting: &Meeting| meeting.peers.iter().find(|peer| peer.link == PeerLink::Live).map(|peer| peer.id);
        self.sees_meeting("a live peer", live).await
    }

    async fn says(&mut self, command: Command) {
        self.handle.send(command);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_found_right_is_known_at_the_door_of_the_next_meeting() {
    let folder = tempfile::tempdir().unwrap();
    let (mut ana, mut ben) = (Person::start("Ana", folder.path()), Person::start("Ben", folder.path()));
    let link = ana.hosts().await;
    ben.joins(&link).await;
    assert_eq!(ana.admits().await.who, Familiarity::New);
    let (to_ben, to_ana) = (ana.is_live().await, ben.is_live().await);
    let state = |meeting: &Meeting| (meeting.encryption == Encryption::Encrypted).then_some(());
    ana.sees_meeting("encrypted, not verified", state).await;
    let number = |meeting: &Meeting| meeting.peers.first().map(|peer| peer.safety_number.clone());
    assert_eq!(ana.sees_meeting("a number", number).await, ben.sees_meeting("a number", number).await);

    ana.says(Command::Judge { peer: to_ben, verdict: Verdict::Match }).await;
    let verified = |meeting: &Meeting| (meeting.encryption == Encryption::Verified).then_some(());
    ana.sees_meeting("verified", verified).await;
    // One side's verdict is that side's alone.
    ben.sees_meeting("encrypted, not verified", state).await;
    ben.says(Command::Leave).await;
    ben.sees("the end", |view| matches!(view.stage, Stage::Ended(_)).then_some(())).await;
    ana.sees_meeting("to be alone", |meeting| (meeting.encryption == Encryption::Alone).then_some(())).await;

    // With the same link, under another name: the key is what counts, and the name verified is what is shown.
    ben.name = "Somebody else";
    ben.joins(&link).await;
    assert_eq!(ana.admits().await.who, Familiarity::Verified("Ben".into()));
    let again = ana.is_live().await;
    assert_ne!(again, to_ben);
    ana.sees_meeting("Ben, verified", |meeting| {
        let peer = meeting.peers.first()?;
        (peer.name == "Ben" && matches!(peer.verification, Verification::Yes { .. })).then_some(())
    })
    .await;
    let _ = to_ana;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_sent_pictures_no_larger_than_they_are_shown_and_none_while_they_are_hidden() {
    let folder = tempfile::tempdir().unwrap();
    let (mut ana, mut ben) = (Person::start("Ana", folder.path()), Person::start("Ben", folder.path()));
    let link = ana.hosts().await;
    ben.joins(&link).await;
    ana.admits().await;
    let to_ana = ben.is_live().await;
    let height = |meeting: &Meeting| meeting.peers.first()?.picture.peek().map(|picture| picture.height);
    let of = |wanted: usize| move |meeting: &Meeting| height(meeting).filter(|height| *height == wanted).map(|_| ());
    ana.says(Command::SetCamera(true)).await;
    ben.sees_meeting("Ana's picture", height).await;
    ben.says(Command::WatchPeer { peer: to_ana, height: 80 }).await;
    ben.sees_meeting("a small picture", of(90)).await;

    ben.says(Command::WatchPeer { peer: to_ana, height: 0 }).await;
    let serial = |meeting: &Meeting| meeting.peers.first().map(|peer| peer.picture.serial());
    let still = timeout(PATIENCE, async {
        let mut before = ben.sees_meeting("Ana", serial).await;
        loop {
            tokio::time::sleep(Duration::from_millis(700)).await;
            let now = ben.sees_meeting("Ana", serial).await;
            if now == before {
                return;
            }
            before = now;
        }
    });
    still.await.expect("pictures stop");

    ben.says(Command::WatchPeer { peer: to_ana, height: u32::MAX }).await;
    // A machine that is too busy to encode the large one says so instead.
    let large = timeout(PATIENCE, async {
        while !ana.handle.view().notices.contains(&Notice::Overloaded) {
            if ben.sees_meeting("Ana", height).await == 180 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    large.await.expect("a large picture");
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_differ_stop_media_and_are_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let (mut ana, mut ben) = (Person::start("Ana", folder.path()), Person::start("Ben", folder.path()));
    let link = ana.hosts().await;
    ben.joins(&link).await;
    ana.admits().await;
    let to_ben = ana.is_live().await;
    ben.is_live().await;
    ben.says(Command::SetCamera(true)).await;
    let picture = |meeting: &Meeting| meeting.peers.first().and_then(|peer| peer.picture.peek()).map(|_| ());
    ana.sees_meeting("Ben's picture", picture).await;

    ana.says(Command::Judge { peer: to_ben, verdict: Verdict::Mismatch }).await;
    ana.sees_meeting("nothing of Ben", |meeting| {
        let peer = meeting.peers.first()?;
        let stopped = peer.link == PeerLink::Stopped && peer.picture.peek().is_none();
        (stopped && matches!(meeting.encryption, Encryption::Warning(_))).then_some(())
    })
    .await;
    // Ben's program still sends, for its person has found nothing wrong; nothing of it is opened here.
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(ana.sees_meeting("the peer", |meeting| Some(meeting.peers.first()?.picture.peek().is_none())).await);

    ben.says(Command::Leave).await;
    ben.sees("the end", |view| matches!(view.stage, Stage::Ended(_)).then_some(())).await;
    ben.joins(&link).await;
    assert_eq!(ana.admits().await.who, Familiarity::Mismatch("Ben".into()));
    let stopped = |meeting: &Meeting| meeting.peers.iter().any(|peer| peer.link == PeerLink::Stopped).then_some(());
    ana.sees_meeting("Ben, still stopped", stopped).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_verifies_while_it_is_in_force_and_one_that_differs_stops_media_until_it_is_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let (mut ana, mut ben) = (Person::start("Ana", folder.path()), Person::start("Ben", folder.path()));
    let code = |meeting: &Meeting| (!meeting.code.words.is_empty()).then(|| meeting.code.digits.clone());
    let link = ana.hosts().await;
    ben.joins(&link).await;
    ana.admits().await;
    ana.is_live().await;
    ben.is_live().await;
    let digits = ana.sees_meeting("a code", code).await;
    assert_eq!(ben.sees_meeting("a code", code).await, digits);

    // One that was read before somebody came or went says nothing, whatever was found wrong since.
    let stale = || Command::JudgeCode { digits: "00000 00000 0000".into(), verdict: Verdict::Match };
    ana.says(stale()).await;
    ana.says(Command::JudgeCode { digits: digits.clone(), verdict: Verdict::Mismatch }).await;
    ana.says(stale()).await;
    let peer = ana
        .sees_meeting("a code that differs", |meeting| {
            let stopped = meeting.peers.iter().find(|peer| peer.link == PeerLink::Stopped);
            stopped.filter(|_| meeting.code.differs).cloned()
        })
        .await;
    assert!(!matches!(peer.verification, Verification::Yes { .. }));

    ana.says(Command::JudgeCode { digits, verdict: Verdict::Withdrawn }).await;
    // The old session is not to be trusted again: Ben comes back over a new one.
    ben.sees("the end", |view| matches!(view.stage, Stage::Ended(_)).then_some(())).await;
    ben.joins(&link).await;
    ana.admits().await;
    ana.is_live().await;
    let digits = ana.sees_meeting("another code", code).await;
    let state = |meeting: &Meeting| meeting.encryption == Encryption::Encrypted && !meeting.code.differs;
    assert!(
        ana.sees_meeting("the meeting", |meeting| Some(state(meeting))).await,
        "nothing was verified by what was stale"
    );
    ana.says(Command::JudgeCode { digits, verdict: Verdict::Match }).await;
    let verified = |meeting: &Meeting| (meeting.encryption == Encryption::Verified).then_some(());
    ana.sees_meeting("verified", verified).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_muted_stays_muted_through_a_new_beginning_and_devices_are_released_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let (mut ana, mut ben) = (Person::start("Ana", folder.path()), Person::start("Ben", folder.path()));
    let link = ana.hosts().await;
    ana.says(Command::SetMic(false)).await;
    ana.says(Command::SetCamera(false)).await;
    ben.joins(&link).await;
    ana.admits().await;
    ana.is_live().await;
    ben.is_live().await;
    let off = |meeting: &Meeting| meeting.peers.first().map(|peer| (peer.mic_on, peer.camera_on));
    assert_eq!(ben.sees_meeting("Ana", off).await, (false, false));
    ben.says(Command::Leave).await;
    ben.joins(&link).await;
    ana.admits().await;
    ana.is_live().await;
    let own = ana.sees("own devices", |view| Some(view.own.clone())).await;
    assert!(!own.mic_on && !own.camera_on, "somebody coming back turns nothing on");
    ana.says(Command::Leave).await;
    let own = ana.sees("the end", |view| matches!(view.stage, Stage::Ended(_)).then(|| view.own.clone())).await;
    assert_eq!(own.camera, engine::view::DeviceState::Off);
    assert_eq!(own.mic, engine::view::DeviceState::Off);
    let end = ben.sees("the end", |view| match &view.stage {
        Stage::Ended(ended) => Some(ended.clone()),
        _ => None,
    });
    assert_eq!(end.await.reason, "The host ended the meeting.");
}

/// What a report of the call must not hold, as `view` shows it.
fn private(view: &View) -> Vec<String> {
    let Stage::Meeting(meeting) = &view.stage else { return Vec::new() };
    let mut all = vec![view.fingerprint.clone(), meeting.relay.sees.room.clone(), meeting.roster.hash.clone()];
    all.extend(meeting.link.iter().flat_map(|link| link.split(['/', '#']).skip(2)).map(str::to_owned));
    all.extend([meeting.code.digits.clone(), meeting.relay.address.clone()]);
    all.extend(meeting.relay.reachable.iter().cloned());
    for peer in &meeting.peers {
        all.extend([peer.name.clone(), peer.fingerprint.clone()]);
        all.extend(peer.safety_number.split(' ').map(str::to_owned));
        for address in peer.route.iter().flat_map(|route| [&route.local, &route.remote]) {
            all.extend(
                address
                    .rsplit_once(':')
                    .map(|(host, port)| [host.to_owned(), format!(":{port}")])
                    .into_iter()
                    .flatten(),
            );
        }
    }
    all.retain(|text| !text.is_empty());
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_says_what_the_call_was_like_and_never_with_whom_or_where() {
    let folder = tempfile::tempdir().unwrap();
    let (mut ana, mut ben) = (Person::start("Anastasia", folder.path()), Person::start("Benedikt", folder.path()));
    let link = ana.hosts().await;
    ben.joins(&link).await;
    ana.admits().await;
    ana.is_live().await;
    ben.is_live().await;
    let counted = |meeting: &Meeting| {
        let peer = meeting.peers.first()?;
        (peer.stats.receive_kbps > 0.0 && peer.route.is_some() && !meeting.code.words.is_empty()).then_some(())
    };
    ana.sees_meeting("figures of a second", counted).await;
    let mut secrets = ana.sees("the meeting", |view| Some(private(view))).await;
    secrets.push(ana.name.to_owned());
    assert!(secrets.len() > 20, "{secrets:?}");

    let (during, after) = (folder.path().join("during.json"), folder.path().join("after.json"));
    ana.says(Command::SaveReport(during.clone())).await;
    ana.says(Command::Leave).await;
    ana.sees("the end, with a report", |view| match &view.stage {
        Stage::Ended(ended) => ended.report.then_some(()),
        _ => None,
    })
    .await;
    ana.says(Command::SaveReport(after.clone())).await;
    // A file changes nothing in the view.
    let written = async {
        while !(during.exists() && after.exists()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, written).await.unwrap();
    for file in [during, after] {
        let text = std::fs::read_to_string(file).unwrap();
        let report: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&report["format"], &report["version"]), (&"conclave-call-report".into(), &1.into()));
        let peer = &report["peers"][0];
        assert_eq!(peer["peer"], "peer 1");
        assert!(peer["columns"]["in_packets"].as_array().unwrap().iter().any(|n| n.as_f64() > Some(0.0)), "{text}");
        assert!(peer["events"].as_array().unwrap().iter().any(|event| event["what"] == "connected"), "{text}");
        for secret in &secrets {
            // A short number may be a figure by chance.
            assert!(secret.len() < 5 || !text.contains(secret.as_str()), "{secret} is in {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn how_loud_somebody_is_played_is_remembered_when_they_come_again() {
    let folder = tempfile::tempdir().unwrap();
    let (mut ana, mut ben) = (Person::start("Ana", folder.path()), Person::start("Ben", folder.path()));
    let link = ana.hosts().await;
    ben.joins(&link).await;
    ana.admits().await;
    let peer = ana.is_live().await;
    ana.says(Command::SetVolume { peer, volume: 0.35 }).await;
    let quiet = |meeting: &Meeting| (meeting.peers.first()?.volume == 0.35).then_some(());
    ana.sees_meeting("Ben, quieter", quiet).await;
    ben.says(Command::Leave).await;
    ana.sees_meeting("to be alone", |meeting| meeting.peers.is_empty().then_some(())).await;
    ben.joins(&link).await;
    ana.admits().await;
    ana.is_live().await;
    ana.sees_meeting("Ben, still quieter", quiet).await;
}
