//! Two people meet: real processes, a real relay between them, real codecs.
#![cfg(feature = "desktop")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

mod processes;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use conclave::media::frame::Picture;
use conclave::media::h264::H264Decoder;
use conclave::media::test_voice::TestVoice;
use conclave::media::{stamp, wav, y4m};
use processes::{Call, Relay};

const SECONDS: &str = "8";
const PATIENCE: Duration = Duration::from_secs(60);
const VIDEO: &str = "640x360@30";

#[test]
fn two_people_see_hear_and_can_verify_each_other_through_a_third_partys_relay() {
    let folder = tempfile::tempdir().unwrap();
    let (ana, ben) = (folder.path().join("ana"), folder.path().join("ben"));
    let encoded = ana.join("sent.h264");
    let (seen, heard, shot) = (ben.join("seen.y4m"), ben.join("heard.wav"), ben.join("shot.png"));
    let relay = Relay::start(None);
    #[rustfmt::skip]
    let mut host = Call::start("Ana", &ana, &[
        "--relay", &relay.address, "--camera", "test", "--mic", "test", "--admit-all", "--seconds", SECONDS, "--video", VIDEO,
        "--record-encoded", encoded.to_str().unwrap(),
    ]);
    let link = host.process.line(PATIENCE);
    #[rustfmt::skip]
    let guest = Call::start("Ben", &ben, &[
        &link, "--camera", "test", "--mic", "test", "--seconds", SECONDS, "--video", VIDEO,
        "--record-video", seen.to_str().unwrap(), "--record-audio", heard.to_str().unwrap(), "--snapshot", shot.to_str().unwrap(),
    ]);
    guest.process.succeeds(PATIENCE);
    host.process.succeeds(PATIENCE);

    let (at_ana, at_ben) = (Call::report(&ana), Call::report(&ben));
    let (ben_seen, ana_seen) = (&at_ana["peers"][0], &at_ben["peers"][0]);
    assert_eq!((ben_seen["name"].as_str(), ana_seen["name"].as_str()), (Some("Ben"), Some("Ana")));
    let number = ana_seen["safety_number"].as_str().unwrap();
    assert_eq!(number.chars().filter(char::is_ascii_digit).count(), 60);
    assert_eq!(ben_seen["safety_number"].as_str(), Some(number));
    assert_eq!(at_ben["post_quantum"], true);

    for (name, report, peer, sender) in [("Ana", &at_ana, ben_seen, &at_ben), ("Ben", &at_ben, ana_seen, &at_ana)] {
        assert_eq!(report["held"], true, "{name}: {report:#}");
        assert_eq!(report["errors"].as_array().map(Vec::len), Some(0), "{name}: {report:#}");
        // The end of one call cuts the tail of the other's stream: half a second is not held against it.
        let sent = sender["sent"]["video"].as_u64().unwrap() - 15;
        let decoded = peer["video"]["decoded"].as_u64().unwrap();
        assert!(decoded * 100 >= sent * 95, "{name} decoded {decoded} of {sent}: {report:#}");
        assert!(sent > 120, "{name}'s peer sent only {sent} pictures");
        let packets = sender["sent"]["audio"].as_u64().unwrap() - 25;
        assert!(peer["audio"]["received"].as_u64().unwrap() * 100 >= packets * 95, "{name}: {report:#}");
        assert_eq!(peer["unopened"], 0, "{name}: {report:#}");
        let latency = &peer["video"]["latency_ms"];
        assert!(latency["p50"].as_f64().unwrap() <= latency["p99"].as_f64().unwrap(), "{name}: {report:#}");
    }

    let pictures = read_pictures(&seen);
    assert!(pictures.len() > 120, "{} pictures recorded", pictures.len());
    let counters: Vec<u32> =
        pictures.iter().map(|picture| stamp::read(picture).expect("each picture carries its stamp").counter).collect();
    assert!(counters.is_sorted_by(|earlier, later| earlier < later), "the counter must advance: {counters:?}");

    let as_sent = decode_as_sent(&std::fs::read(&encoded).unwrap());
    let strangers = pictures.iter().filter(|picture| !as_sent.contains(&planes(picture))).count();
    assert_eq!(strangers, 0, "of {} pictures, that many differ from what the sender encoded", pictures.len());

    let likeness = likeness(&voice(30), &heard_sound(&heard));
    assert!(likeness > 0.9, "what Ben heard resembles what Ana said by {likeness:.3} only");
    assert!(std::fs::metadata(&shot).unwrap().len() > 1000);
}

#[test]
fn a_wrong_secret_meets_silence_and_the_host_sees_a_counter_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (ana, eve) = (folder.path().join("ana"), folder.path().join("eve"));
    let relay = Relay::start(None);
    #[rustfmt::skip]
    let mut host = Call::start("Ana", &ana, &["--relay", &relay.address, "--admit-all", "--wait", "25", "--seconds", "1"]);
    let link = host.process.line(PATIENCE);
    let forged = processes_link_with_another_secret(&link);
    let stranger = Call::start("Eve", &eve, &[&forged, "--wait", "12", "--seconds", "1"]);
    let (status, said) = stranger.process.end(PATIENCE);
    assert!(!status.success());
    assert!(!said.contains("Ana"), "a stranger learns no name: {said}");
    let (status, said) = host.process.end(PATIENCE);
    assert!(!status.success(), "nobody came");
    assert!(!said.contains("Eve"), "the host learns no name: {said}");
    let report = Call::report(&ana);
    assert!(report["refused_at_door"].as_u64().unwrap() >= 1, "{report:#}");
    assert_eq!(report["peers"].as_array().unwrap().len(), 0);
}

#[test]
fn the_relay_inside_the_app_is_enough_and_files_are_cameras_and_microphones_too() {
    let folder = tempfile::tempdir().unwrap();
    let (ana, ben) = (folder.path().join("ana"), folder.path().join("ben"));
    let (film, speech) = (folder.path().join("film.y4m"), folder.path().join("speech.wav"));
    write_film(&film);
    write_speech(&speech);
    let mut host = Call::start("Ana", &ana, &["--mic", "test", "--admit-all", "--seconds", "4"]);
    let link = host.process.line(PATIENCE);
    #[rustfmt::skip]
    let guest = Call::start("Ben", &ben, &[
        &link, "--camera", film.to_str().unwrap(), "--mic", speech.to_str().unwrap(), "--seconds", "4", "--video", "320x180@30",
    ]);
    guest.process.succeeds(PATIENCE);
    host.process.succeeds(PATIENCE);
    let (at_ana, at_ben) = (Call::report(&ana), Call::report(&ben));
    let seen = &at_ana["peers"][0];
    assert!(seen["video"]["decoded"].as_u64().unwrap() > 60, "{at_ana:#}");
    assert!(seen["audio"]["rms_dbfs"].as_f64().unwrap() > -50.0, "speech from a file is heard: {at_ana:#}");
    assert!(seen["video"]["latency_ms"].is_null(), "a film carries no clock");
    assert!(at_ben["peers"][0]["audio"]["received"].as_u64().unwrap() > 50, "{at_ben:#}");
    for (name, report) in [("Ana", &at_ana), ("Ben", &at_ben)] {
        assert_eq!(report["held"], true, "{name}: {report:#}");
        assert_eq!(report["cipher_suite"], "AES_256_GCM_SHA512_128");
        assert!(report["connect_ms"].as_f64().unwrap() > 0.0, "{name}: {report:#}");
        assert!(report["cpu_seconds"].as_f64().unwrap() > 0.0 && report["rss_peak_mb"].as_f64().unwrap() > 1.0);
        assert_eq!(report["peers"][0]["route"]["relayed"], false);
        assert_eq!(report["errors"].as_array().map(Vec::len), Some(0), "{name}: {report:#}");
        let rows = report["series"]["peers"][0]["columns"]["t"].as_array().unwrap().len();
        assert!(rows >= 2, "{name}: {report:#}");
        // Unlike the rest of the report it may be shared with anybody.
        let (peer, series) = (&report["peers"][0], report["series"].to_string());
        let address = peer["route"]["local"].as_str().unwrap().rsplit_once(':').unwrap().0;
        let hidden = ["Ana", "Ben", "speech.wav", address, peer["safety_number"].as_str().unwrap()];
        assert!(hidden.iter().all(|text| !series.contains(text)), "{series}");
    }
    assert!(at_ana["first_frame_ms"].as_f64().unwrap() >= at_ana["connect_ms"].as_f64().unwrap());
}

#[test]
fn somebody_whose_program_crashed_comes_back_into_the_meeting() {
    let folder = tempfile::tempdir().unwrap();
    let (ana, ben) = (folder.path().join("ana"), folder.path().join("ben"));
    let relay = Relay::start(None);
    #[rustfmt::skip]
    let mut host = Call::start("Ana", &ana, &["--relay", &relay.address, "--mic", "test", "--admit-all", "--seconds", "600"]);
    let link = host.process.line(PATIENCE);
    let mut guest = Call::start("Ben", &ben, &[&link, "--mic", "test", "--seconds", "600"]);
    host.process.says("Ben is here.", PATIENCE);
    guest.process.says("Ana is here.", PATIENCE);
    guest.process.kill();
    let again = Call::start("Ben", &ben, &[&link, "--mic", "test", "--seconds", "2"]);
    again.process.succeeds(PATIENCE);
    let (status, said) = host.process.end(PATIENCE);
    assert!(status.success(), "{said}");
    assert_eq!(said.matches("Ben is here.").count(), 2, "{said}");
}

#[test]
fn a_file_that_cannot_be_written_is_told_before_the_call_and_the_identity_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let ana = folder.path().join("ana");
    let inside = ana.join("config").join("identity.key");
    std::fs::create_dir_all(ana.join("config")).unwrap();
    for (path, reason) in
        [("/nonexistent/seen.y4m", "cannot be written"), (inside.to_str().unwrap(), "Name a file elsewhere")]
    {
        let call = Call::start("Ana", &ana, &["--record-video", path, "--wait", "1"]);
        let (status, said) = call.process.end(PATIENCE);
        assert!(!status.success() && said.contains(reason), "{said}");
    }
    assert!(!inside.exists());
}

fn write_film(path: &std::path::Path) {
    let mut writer = y4m::Y4mWriter::create(path, 30).unwrap();
    for number in 0..60 {
        let mut picture = Picture::black(320, 180, Instant::now());
        let band = number * 3;
        picture.y[band * 320..(band + 3) * 320].fill(200);
        writer.write(&picture).unwrap();
    }
    writer.finish().unwrap();
}

fn write_speech(path: &std::path::Path) {
    let mut writer = wav::WavRecorder::create(path).unwrap();
    for block in voice(6).chunks_exact(960) {
        writer.write(block.try_into().unwrap()).unwrap();
    }
    writer.finish().unwrap();
}

/// The same link with another invite secret: right room, right host, and no right to knock.
fn processes_link_with_another_secret(link: &str) -> String {
    use conclave::crypto::secret::Secret;
    let mut invite = conclave::protocol::invite::Invite::parse(link, 0).unwrap();
    invite.secret = Secret::new([7; 32]);
    invite.to_link()
}

fn heard_sound(path: &std::path::Path) -> Vec<f32> {
    // A canonical 44-byte header and 16-bit mono samples: what the recorder is documented to write.
    let bytes = std::fs::read(path).unwrap();
    bytes[44..].chunks_exact(2).map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32768.0).collect()
}

fn read_pictures(path: &std::path::Path) -> Vec<Picture> {
    let mut reader = y4m::Y4mReader::open(path).unwrap();
    std::iter::from_fn(|| reader.next_picture().unwrap()).collect()
}

fn planes(picture: &Picture) -> Vec<u8> {
    let mut all = picture.y.clone();
    all.extend_from_slice(&picture.u);
    all.extend_from_slice(&picture.v);
    ring::digest::digest(&ring::digest::SHA256, &all).as_ref().to_vec()
}

/// Every picture that the sender's stream decodes to, by digest. An access unit begins at a parameter set or a slice
/// that follows a slice (one slice a picture: the encoder is single-threaded).
fn decode_as_sent(stream: &[u8]) -> HashSet<Vec<u8>> {
    let mut decoder = H264Decoder::new();
    let mut pictures = HashSet::new();
    for unit in access_units(stream) {
        if let Some(picture) = decoder.decode(unit).unwrap() {
            pictures.insert(planes(&picture));
        }
    }
    pictures
}

fn access_units(stream: &[u8]) -> Vec<&[u8]> {
    let starts: Vec<usize> =
        (0..stream.len().saturating_sub(4)).filter(|&at| stream[at..at + 4] == [0, 0, 0, 1]).collect();
    let (mut units, mut begin, mut has_slice) = (Vec::new(), 0, false);
    for &start in &starts {
        let slice = matches!(stream[start + 4] & 0x1f, 1 | 5);
        if has_slice {
            units.push(&stream[begin..start]);
            (begin, has_slice) = (start, false);
        }
        has_slice |= slice;
    }
    units.push(&stream[begin..]);
    units
}

fn voice(seconds: usize) -> Vec<f32> {
    let mut voice = TestVoice::new();
    let mut block = [0.0; 960];
    (0..seconds * 50)
        .flat_map(|_| {
            voice.next_block(&mut block);
            block
        })
        .collect()
}

/// Highest correlation of the two loudness curves (10 ms steps) over all shifts: 1 is the same speech.
fn likeness(said: &[f32], heard: &[f32]) -> f64 {
    let curve = |sound: &[f32]| -> Vec<f64> {
        sound.chunks(480).map(|part| (part.iter().map(|s| f64::from(s * s)).sum::<f64>() / 480.0).sqrt()).collect()
    };
    let (said, heard) = (curve(said), curve(heard));
    let heard = &heard[heard.iter().position(|&level| level > 1e-3).unwrap_or(0)..];
    let span = heard.len().min(500);
    (0..said.len().saturating_sub(span))
        .map(|shift| correlation(&said[shift..shift + span], &heard[..span]))
        .fold(0.0, f64::max)
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let (ma, mb) = (mean(a), mean(b));
    let dot: f64 = a.iter().zip(b).map(|(x, y)| (x - ma) * (y - mb)).sum();
    let norm = |x: &[f64], m: f64| x.iter().map(|v| (v - m).powi(2)).sum::<f64>().sqrt();
    dot / (norm(a, ma) * norm(b, mb)).max(1e-12)
}
