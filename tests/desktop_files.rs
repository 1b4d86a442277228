//! What desktops read: the menu entry, the metainfo, the icons, and that `make install` puts each where it is looked for.
#![cfg(all(feature = "desktop", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use conclave::desktop::APP_ID;

const ICON_SIZES: [u32; 9] = [16, 22, 24, 32, 48, 64, 128, 256, 512];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn file(ending: &str) -> PathBuf {
    root().join("assets/desktop").join(format!("{APP_ID}.{ending}"))
}

/// Runs a validator; one that is not installed says nothing.
fn validated(program: &str, arguments: &[&str], file: &Path) {
    match Command::new(program).args(arguments).arg(file).output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {said}", file.display());
        }
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{program}"),
    }
}

#[test]
fn the_menu_entry_opens_invite_links_with_this_program() {
    let text = std::fs::read_to_string(file("desktop")).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("[Desktop Entry]"));
    let entry: BTreeMap<&str, &str> = lines.map(|line| line.split_once('=').expect("a key and a value")).collect();
    for (key, value) in [
        ("Type", "Application"),
        ("Exec", "conclave %u"),
        ("Icon", APP_ID),
        ("StartupWMClass", APP_ID),
        ("MimeType", "x-scheme-handler/conclave;"),
        ("Terminal", "false"),
    ] {
        assert_eq!(entry.get(key), Some(&value), "{key}");
    }
    for language in ["de", "es", "fr", "zh_CN"] {
        assert!(entry.contains_key(format!("Comment[{language}]").as_str()), "{language}");
    }
    assert!(!text.contains("Autostart"), "it starts when somebody starts it");
    validated("desktop-file-validate", &[], &file("desktop"));
}

#[test]
fn the_metainfo_names_this_program_and_this_version() {
    let text = std::fs::read_to_string(file("metainfo.xml")).unwrap();
    for part in [
        format!("<id>{APP_ID}</id>"),
        format!("<launchable type=\"desktop-id\">{APP_ID}.desktop</launchable>"),
        format!("<release version=\"{}\"", env!("CARGO_PKG_VERSION")),
        format!("<project_license>{}</project_license>", env!("CARGO_PKG_LICENSE")),
        format!("<url type=\"homepage\">{}</url>", env!("CARGO_PKG_REPOSITORY")),
    ] {
        assert!(text.contains(&part), "{part}");
    }
    validated("appstreamcli", &["validate", "--no-net"], &file("metainfo.xml"));
}

#[test]
fn every_icon_has_the_size_that_its_name_says() {
    for size in ICON_SIZES {
        let path = root().join(format!("assets/desktop/icons/{size}.png"));
        let reader =
            png::Decoder::new(std::io::BufReader::new(std::fs::File::open(&path).unwrap())).read_info().unwrap();
        assert_eq!((reader.info().width, reader.info().height), (size, size), "{}", path.display());
    }
}

#[test]
fn make_install_puts_each_file_where_desktops_look_and_uninstall_takes_it_away() {
    let place = tempfile::tempdir().unwrap();
    let make = |target: &str| {
        let made = Command::new("make")
            .current_dir(root())
            .args(["-s", target, "PREFIX=/usr"])
            .arg(format!("DESTDIR={}", place.path().display()))
            .arg(format!("BINARY={}", env!("CARGO_BIN_EXE_conclave")))
            .output()
            .expect("make is installed");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    let mut wanted: Vec<String> = [
        "bin/conclave".to_owned(),
        format!("share/applications/{APP_ID}.desktop"),
        format!("share/metainfo/{APP_ID}.metainfo.xml"),
        format!("share/icons/hicolor/scalable/apps/{APP_ID}.svg"),
        "share/man/man1/conclave.1".to_owned(),
        "share/bash-completion/completions/conclave".to_owned(),
        "share/zsh/site-functions/_conclave".to_owned(),
        "share/fish/vendor_completions.d/conclave.fish".to_owned(),
    ]
    .into();
    wanted.extend(ICON_SIZES.map(|size| format!("share/icons/hicolor/{size}x{size}/apps/{APP_ID}.png")));
    wanted.sort();
    make("install");
    assert_eq!(files_below(&place.path().join("usr")), wanted);
    make("uninstall");
    assert_eq!(files_below(&place.path().join("usr")), Vec::<String>::new());
}

/// Paths of all files below a folder, sorted.
fn files_below(folder: &Path) -> Vec<String> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().display().to_string());
            }
        }
    }
    found.sort();
    found
}
