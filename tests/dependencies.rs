//! The relay is a server: it may not grow a window, a codec or a device.
// A test may panic: that is how it fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

use std::process::Command;

#[test]
fn the_relay_depends_on_no_window_codec_or_device() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--package", "conclave", "--no-default-features"])
        .args(["--features", "relay", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).expect("names are text");
    let names: Vec<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    for there in ["conclave", "tokio", "rustls", "tokio-tungstenite"] {
        assert!(names.contains(&there), "the tree has to show {there}, or it shows nothing");
    }
    let heavy = [
        "egui",
        "eframe",
        "winit",
        "glow",
        "rfd",
        "zbus",
        "cpal",
        "nokhwa",
        "openh264",
        "openh264-sys2",
        "opus",
        "webrtc",
        "rtc",
        "snow",
        "libcrux-ml-kem",
        "mdns-sd",
        "igd-next",
        "crab_nat",
        "rubato",
        "yuv",
    ];
    let found: Vec<_> = heavy.iter().filter(|heavy| names.contains(heavy)).collect();
    assert!(found.is_empty(), "the relay's dependency tree names {found:?}");
}
