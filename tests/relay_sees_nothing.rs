//! Everything a relay ever saw of a real call is searched for anything it must not see.
#![cfg(feature = "desktop")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

mod processes;

use std::path::Path;
use std::time::Duration;

use conclave::protocol::invite::Invite;
use conclave::rendezvous::client::{RelayClient, RelayEvent, TlsTrust};
use processes::{Call, Relay};

const PATIENCE: Duration = Duration::from_secs(60);
const HOST: &str = "Ana Quillfeather";
const GUEST: &str = "Ben Marrowstone";

/// A thing that must not be found, and what it is.
type Needle = (&'static str, Vec<u8>);

#[test]
fn the_relay_sees_only_ciphertext() {
    let folder = tempfile::tempdir().unwrap();
    let (ana, ben, record) = (folder.path().join("ana"), folder.path().join("ben"), folder.path().join("record"));
    let mut relay = Relay::start(Some(&record));
    #[rustfmt::skip]
    let mut host = Call::start(HOST, &ana, &[
        "--relay", &relay.address, "--camera", "test", "--mic", "test", "--admit-all", "--seconds", "4", "--video", "320x180@30",
    ]);
    let link = host.process.line(PATIENCE);
    #[rustfmt::skip]
    let guest = Call::start(GUEST, &ben, &[
        &link, "--camera", "test", "--mic", "test", "--seconds", "4", "--video", "320x180@30",
    ]);
    guest.process.succeeds(PATIENCE);
    host.process.succeeds(PATIENCE);

    let needles = needles(&link, &ana, &ben);
    let seen = std::fs::read(&record).unwrap();
    assert!(seen.len() > 10_000, "the record holds the call's signalling ({} bytes)", seen.len());
    let found = found(&seen, &needles);
    assert!(found.is_empty(), "the relay saw: {found:?}");

    // The search finds each of them when it is there: sent through the same relay, into the same record.
    plant(&relay.address, &needles);
    relay.process.kill();
    let seen = std::fs::read(&record).unwrap();
    assert_eq!(self::found(&seen, &needles).len(), needles.len(), "a needle that was planted was not found");
}

fn needles(link: &str, ana: &Path, ben: &Path) -> Vec<Needle> {
    let invite = Invite::parse(link, 0).unwrap();
    let text = |text: &str| text.as_bytes().to_vec();
    let seed = |folder: &Path| {
        let file = std::fs::read_to_string(folder.join("config/identity.key")).unwrap();
        data_encoding::BASE32_NOPAD.decode(file.lines().nth(1).unwrap().as_bytes()).unwrap()[..32].to_vec()
    };
    let (host_number, guest_name) =
        (Call::report(ana)["peers"][0]["safety_number"].as_str().unwrap().to_owned(), GUEST);
    vec![
        ("session description", text("v=0")),
        ("media line", text("m=video")),
        ("media line", text("m=audio")),
        ("ice credentials", text("ice-ufrag")),
        ("ice candidate", text("candidate:")),
        ("ice candidate", text(" typ host")),
        ("dtls fingerprint", text("sha-256")),
        ("host's name", text(HOST)),
        ("guest's name", text(guest_name)),
        ("part of a name", text("Quillf")),
        ("safety number", text(&host_number)),
        ("invite secret", invite.secret.expose().to_vec()),
        ("room secret", invite.room_secret.expose().to_vec()),
        ("end of the link", text(&link[link.len() - 24..])),
        ("host's identity key", invite.host_identity.0.to_vec()),
        ("host's noise key", invite.host_static.to_vec()),
        ("host's identity seed", seed(ana)),
        ("guest's identity seed", seed(ben)),
        ("h.264 parameter set", vec![0, 0, 0, 1, 0x67, 0x42]),
        ("h.264 key frame", vec![0, 0, 0, 1, 0x65]),
    ]
}

fn found(haystack: &[u8], needles: &[Needle]) -> Vec<&'static str> {
    let contains = |needle: &[u8]| haystack.windows(needle.len()).any(|window| window == needle);
    needles.iter().filter(|(_, needle)| contains(needle)).map(|(what, _)| *what).collect()
}

#[tokio::main(flavor = "current_thread")]
async fn plant(address: &str, needles: &[Needle]) {
    let (client, mut events) = RelayClient::connect(vec![format!("{address}/v1")], [9; 32], TlsTrust::Public);
    let (other, mut arrived) = RelayClient::connect(vec![format!("{address}/v1")], [9; 32], TlsTrust::Public);
    let both = async {
        // Whichever of the two joins later, it is known here when both are in the room.
        loop {
            match events.recv().await {
                Some(RelayEvent::Arrived(_)) => break,
                Some(RelayEvent::Up { others, .. }) if !others.is_empty() => break,
                Some(_) => {}
                None => panic!("the relay does not answer"),
            }
        }
        for (_, needle) in needles {
            client.send(None, needle.clone()).unwrap();
        }
        let mut heard = 0;
        while heard < needles.len() {
            match arrived.recv().await {
                Some(RelayEvent::From { .. }) => heard += 1,
                Some(_) => {}
                None => panic!("the relay does not answer"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), both).await.expect("the planted needles pass through the relay");
    drop(other);
}
