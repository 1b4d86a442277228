//! The rules of the house, read from its own source: which room may name which, what pure rooms may not name, and that
//! every file and every dependency says what it is for.
// Helpers of a test may stop it; clippy knows only functions marked #[test].
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What each room may name besides itself. `room` allows all of it, `room::part` that part alone. The programs
/// (`main.rs`, `bin/`) and `lib.rs` stand above the rooms and are free.
const ALLOWED: &[(&str, &[&str])] = &[
    ("crypto", &[]),
    ("protocol", &["crypto"]),
    ("media", &["crypto"]),
    ("transport", &["crypto"]),
    ("rendezvous", &["crypto"]),
    // The relay inside the app: a room above the relay, for this one file.
    ("rendezvous::local", &["relay"]),
    ("relay", &["rendezvous::frames"]),
    ("settings", &[]),
    ("logging", &[]),
    ("engine", &["media", "transport", "rendezvous", "relay", "protocol", "crypto", "settings"]),
    ("headless", &["engine", "media", "crypto", "settings"]),
    // Saved logs are read without an engine: there is no meeting any more.
    ("headless::log", &["protocol"]),
    // The window sees `Handle`, `Command`, `Event`, `View`, and the few types that a `View` is made of.
    ("desktop", &[]),
    ("ui", &["desktop", "engine", "media::device", "media::frame", "settings"]),
];

/// Names that have no place in a room whose time, entropy and messages are arguments.
const IMPURE: &[&str] = &[
    "tokio",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "fs",
    "File",
    "env",
    "SystemTime",
    "getrandom",
    "rand",
    "SystemRandom",
    "OsRng",
    "thread",
    "Instant::now",
];
const PURE_ROOMS: &[&str] = &["crypto", "protocol"];

/// A file longer than this does more than one thing.
const LONGEST: usize = 700;

/// One source file, by its path below `src/` and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// `media/frame.rs` is the module `media::frame`, `media/mod.rs` is `media`.
    fn module(&self) -> Vec<&str> {
        let stem = self.path.strip_suffix(".rs").unwrap_or(&self.path);
        let mut parts: Vec<&str> = stem.split('/').collect();
        if matches!(parts.last(), Some(&("mod" | "lib" | "main"))) {
            parts.pop();
        }
        parts
    }

    fn is_free(&self) -> bool {
        matches!(self.path.as_str(), "main.rs" | "lib.rs") || self.path.starts_with("bin/")
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
                found.push(Source { path: name, text: std::fs::read_to_string(&path).unwrap() });
            }
        }
    }
    assert!(found.len() > 10, "only {} files were found below {}", found.len(), root.display());
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Words and single signs of a piece of Rust, without comments, text and character literals.
fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let at = |index: usize| chars.get(index).copied().unwrap_or('\0');
    let word = |sign: char| sign.is_alphanumeric() || sign == '_';
    let (mut out, mut i) = (Vec::new(), 0);
    while i < chars.len() {
        let sign = chars[i];
        if sign == '/' && at(i + 1) == '/' {
            while i < chars.len() && chars[i] != '\n' {
                i += 1;
            }
        } else if sign == '/' && at(i + 1) == '*' {
            let mut depth = 0;
            loop {
                match (at(i), at(i + 1)) {
                    ('/', '*') => (depth, i) = (depth + 1, i + 2),
                    ('*', '/') => (depth, i) = (depth - 1, i + 2),
                    _ => i += 1,
                }
                if depth == 0 || i >= chars.len() {
                    break;
                }
            }
        } else if let Some(end) = raw_text_end(&chars, i) {
            i = end;
        } else if sign == '"' || (matches!(sign, 'b' | 'c') && at(i + 1) == '"') {
            i += if sign == '"' { 1 } else { 2 };
            while i < chars.len() && chars[i] != '"' {
                i += if chars[i] == '\\' { 2 } else { 1 };
            }
            i += 1;
        } else if sign == '\'' && at(i + 1) == '\\' {
            i += 3;
            while i < chars.len() && chars[i] != '\'' {
                i += 1;
            }
            i += 1;
        } else if sign == '\'' && at(i + 2) == '\'' {
            i += 3;
        } else if word(sign) {
            let start = i;
            while word(at(i)) {
                i += 1;
            }
            out.push(chars[start..i].iter().collect());
        } else if sign == ':' && at(i + 1) == ':' {
            out.push("::".into());
            i += 2;
        } else {
            if !sign.is_whitespace() {
                out.push(sign.into());
            }
            i += 1;
        }
    }
    out
}

/// Where a raw text (`r"…"`, `br#"…"#`) that begins at `start` ends.
fn raw_text_end(chars: &[char], start: usize) -> Option<usize> {
    if start > 0 && (chars[start - 1].is_alphanumeric() || chars[start - 1] == '_') {
        return None;
    }
    let mut i = start;
    i += usize::from(matches!(chars.get(i), Some('b' | 'c')));
    (chars.get(i) == Some(&'r')).then_some(())?;
    let hashes = chars[i + 1..].iter().take_while(|sign| **sign == '#').count();
    i += 1 + hashes;
    (chars.get(i) == Some(&'"')).then_some(())?;
    let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let length = chars[i + 1..].windows(close.len()).position(|window| window == close)?;
    Some(i + 1 + length + close.len())
}

const CFG_TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];

/// The same without what is compiled for tests only; and the names of modules that are in files of their own for tests.
fn without_tests(all: &[String]) -> (Vec<String>, Vec<String>) {
    let (mut kept, mut test_files, mut i) = (Vec::new(), Vec::new(), 0);
    while i < all.len() {
        if all.get(i..i + CFG_TEST.len()).is_none_or(|words| *words != CFG_TEST) {
            kept.push(all[i].clone());
            i += 1;
            continue;
        }
        i += CFG_TEST.len();
        let begin = i;
        let mut depth = 0_i32;
        // To the end of the item: a `;` outside of brackets, or the bracket that closes its body.
        while i < all.len() {
            match all[i].as_str() {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                _ => {}
            }
            i += 1;
            if depth == 0 && matches!(all[i - 1].as_str(), ";" | "}") {
                break;
            }
        }
        if all[begin..i].last().is_some_and(|end| end == ";")
            && let Some(at) = all[begin..i].iter().position(|word| word == "mod")
        {
            test_files.push(all[begin + at + 1].clone());
        }
    }
    (kept, test_files)
}

/// Every path that begins with `crate`, or with `super` as far up as the crate's root, without its first word, and with
/// the groups of `use` taken apart.
fn crate_paths(all: &[String], module: &[&str]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut i = 0;
    while i < all.len() {
        let first = i == 0 || all[i - 1] != "::";
        if first && all[i] == "crate" && all.get(i + 1).is_some_and(|next| next == "::") {
            read_tree(all, &mut (i + 2), &mut Vec::new(), &mut found);
        } else if first && all[i] == "super" {
            let mut at = i;
            let mut up = 0;
            while all.get(at).is_some_and(|word| word == "super") && all.get(at + 1).is_some_and(|next| next == "::") {
                (up, at) = (up + 1, at + 2);
            }
            if up > 0 && up <= module.len() {
                let mut stem = module[..module.len() - up].iter().map(|part| (*part).to_owned()).collect();
                read_tree(all, &mut at, &mut stem, &mut found);
            }
        }
        i += 1;
    }
    found
}

/// Reads `a::b`, `a::{b, c::d}`, `a::*` from `at` on and adds each whole path to `found`.
fn read_tree(all: &[String], at: &mut usize, stem: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let depth = stem.len();
    loop {
        match all.get(*at).map(String::as_str) {
            Some("{") => {
                *at += 1;
                while let Some(word) = all.get(*at) {
                    match word.as_str() {
                        "}" => {
                            *at += 1;
                            break;
                        }
                        "," => *at += 1,
                        _ => read_tree(all, at, stem, found),
                    }
                }
                break;
            }
            Some(word) => {
                let word = word.to_owned();
                *at += 1;
                if word.chars().all(|sign| sign.is_alphanumeric() || sign == '_') {
                    stem.push(word);
                }
                if all.get(*at).is_some_and(|next| next == "::") {
                    *at += 1;
                    continue;
                }
                // `as name` belongs to the path before it.
                if all.get(*at).is_some_and(|next| next == "as") {
                    *at += 2;
                }
                found.push(stem.clone());
                break;
            }
            None => break,
        }
    }
    stem.truncate(depth);
}

/// What `source` names that its room may not.
fn forbidden_edges(source: &Source) -> Vec<String> {
    let module = source.module();
    let Some(room) = module.first().filter(|_| !source.is_free()) else { return Vec::new() };
    let own = module.join("::");
    let mut allowed: Vec<&str> = Vec::new();
    let mut known = false;
    for (who, what) in ALLOWED {
        if who == room || own == *who || own.starts_with(&format!("{who}::")) {
            known |= who == room;
            allowed.extend(*what);
        }
    }
    if !known {
        return vec![format!("src/{}: the room `{room}` has no rule", source.path)];
    }
    let rooms: BTreeSet<&str> = ALLOWED.iter().map(|(who, _)| *who).filter(|who| !who.contains("::")).collect();
    let may = |path: &[String]| {
        path[0] == **room
            || allowed
                .iter()
                .any(|rule| rule.split("::").enumerate().all(|(i, part)| path.get(i).is_some_and(|p| p == part)))
    };
    let paths = crate_paths(&tokens(&source.text), &module);
    let wrong: BTreeSet<String> = paths
        .iter()
        .filter(|path| path.first().is_some_and(|first| rooms.contains(first.as_str())) && !may(path))
        .map(|path| format!("src/{}: `{room}` may not name `{}`", source.path, path.join("::")))
        .collect();
    wrong.into_iter().collect()
}

/// What a pure room names that is a clock, a socket, a file or a random source. Tests may.
fn impure_names(source: &Source) -> Vec<String> {
    if !source.module().first().is_some_and(|room| PURE_ROOMS.contains(room)) {
        return Vec::new();
    }
    let (kept, _) = without_tests(&tokens(&source.text));
    IMPURE
        .iter()
        .filter(|name| {
            let parts = tokens(name);
            kept.windows(parts.len()).any(|window| window == parts)
        })
        .map(|name| format!("src/{}: names `{name}`", source.path))
        .collect()
}

/// Calls that end the program where an error should have been returned. Tests may.
fn unwraps(source: &Source) -> Vec<String> {
    let (kept, _) = without_tests(&tokens(&source.text));
    let call = |name: &str| kept.windows(3).any(|three| three[0] == "." && three[1] == name && three[2] == "(");
    ["unwrap", "expect"]
        .iter()
        .filter(|name| call(name))
        .map(|name| format!("src/{}: calls `{name}`", source.path))
        .collect()
}

/// The files that may hold unsafe code, and how many lines each may have: what a safe interface cannot do, and no more.
const UNSAFE: &[(&str, usize)] = &[
    // A running encoder is steered through its raw interface.
    ("media/openh264_tuning.rs", 100),
    // A running encoder is steered through its raw interface.
    ("media/openh264_tuning.rs", 100),
    // Pictures are drawn by OpenGL, whose every function is unsafe.
    ("ui/gpu_pictures.rs", 300),
];

fn unsafe_code(source: &Source) -> Vec<String> {
    // `unsafe_code`, too: the lint is denied for the whole crate, and may be allowed there alone.
    let names = tokens(&source.text).iter().any(|token| matches!(token.as_str(), "unsafe" | "unsafe_code"));
    let allowed = UNSAFE.iter().any(|(path, _)| source.path == *path)
        || matches!(source.path.as_str(), "lib.rs" | "main.rs" | "bin/conclave-relay.rs");
    (names && !allowed).then(|| format!("src/{}: names unsafe code", source.path)).into_iter().collect()
}

fn shape(source: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    if !source.text.starts_with("//!") {
        wrong.push(format!("src/{}: does not begin by saying what it is (`//!`)", source.path));
    }
    let lines = source.text.lines().count();
    if lines > LONGEST {
        wrong.push(format!("src/{}: {lines} lines, and {LONGEST} is the most", source.path));
    }
    wrong
}

/// Files that are compiled for tests only, because their parent says so.
fn test_only(sources: &[Source]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for source in sources {
        let (_, names) = without_tests(&tokens(&source.text));
        for name in names {
            let module = source.module().iter().map(|part| (*part).to_owned()).chain([name]).collect::<Vec<_>>();
            found.insert(module.join("::"));
        }
    }
    found
}

fn check(rule: impl Fn(&Source) -> Vec<String>, tests_too: bool) {
    let sources = sources();
    let test_only = test_only(&sources);
    let in_tests = |source: &Source| {
        let module = source.module();
        (1..=module.len()).any(|length| test_only.contains(&module[..length].join("::")))
    };
    let wrong: Vec<String> = sources.iter().filter(|source| tests_too || !in_tests(source)).flat_map(rule).collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn every_import_goes_down() {
    check(forbidden_edges, true);
}

#[test]
fn keys_and_protocol_name_no_clock_socket_file_or_random_source() {
    check(impure_names, false);
}

#[test]
fn nothing_unwraps_outside_tests() {
    check(unwraps, false);
}

#[test]
fn unsafe_code_lies_in_the_named_short_files_and_each_piece_says_why_it_is_sound() {
    check(unsafe_code, true);
    let sources = sources();
    let find = |path: &str| sources.iter().find(|source| source.path == path).unwrap();
    for program in ["main.rs", "bin/conclave-relay.rs"] {
        assert!(find(program).text.contains("#![forbid(unsafe_code)]"), "{program}");
    }
    assert!(find("lib.rs").text.contains("#![deny(unsafe_code)]"));
    for (path, most) in UNSAFE {
        let source = find(path);
        assert!(source.text.lines().count() < *most, "{path}");
        let pieces = tokens(&source.text).iter().filter(|token| *token == "unsafe").count();
        assert!(pieces > 0, "{path} holds no unsafe code any more");
        assert_eq!(source.text.matches("// SAFETY:").count(), pieces, "{path}");
    }
    assert!(!unsafe_code(&sample("media/h264.rs", "fn f() { unsafe { g() } }")).is_empty());
    assert!(!unsafe_code(&sample("ui/app.rs", "#![allow(unsafe_code)]")).is_empty());
}

#[test]
fn every_file_says_what_it_is_and_stays_short() {
    check(shape, true);
}

fn sample(path: &str, text: &str) -> Source {
    Source { path: path.into(), text: text.into() }
}

#[test]
fn an_import_that_goes_up_is_found_in_each_way_of_writing_it() {
    for (path, text) in [
        ("crypto/session.rs", "use crate::protocol::wire;"),
        ("crypto/mod.rs", "use super::engine;"),
        ("crypto/session.rs", "use super::super::{media::frame, engine};"),
        ("protocol/wire.rs", "fn f() { let x = crate::transport::path::Path::new(); }"),
        ("media/h264.rs", "use crate::{crypto, engine::view as v};"),
        ("media/h264.rs", "use crate :: { media :: { frame }, /* here */ ui };"),
        ("transport/mod.rs", "pub(in crate::transport) fn f() { crate::rendezvous::frames::MAX; }"),
        ("relay/room.rs", "use crate::rendezvous::{frames::Frame, client::RelayClient};"),
        ("rendezvous/client.rs", "use crate::relay::RelayServer;"),
        ("engine/mod.rs", "use crate::ui;"),
        ("ui/app.rs", "use crate::transport::PathStats;"),
        ("ui/app.rs", "use crate::media::h264;"),
        ("cellar/mod.rs", "//! A room nobody planned."),
        ("crypto/frame.rs", "#[cfg(test)] mod tests { use crate::engine; }"),
    ] {
        assert!(!forbidden_edges(&sample(path, text)).is_empty(), "{path}: {text}");
    }
}

#[test]
fn what_may_be_named_is_not_complained_about() {
    for (path, text) in [
        ("crypto/session.rs", "use crate::crypto::{self, secret::Secret}; use super::replay;"),
        ("protocol/meeting/host.rs", "use crate::crypto::handshake; use super::super::wire;"),
        ("relay/room.rs", "use crate::rendezvous::frames::{Frame, ConnId};"),
        ("rendezvous/local.rs", "use crate::relay::{RelayConfig, RelayServer};"),
        ("ui/app.rs", "use crate::engine::{Command, view::View}; use crate::media::frame::Picture;"),
        (
            "crypto/kdf.rs",
            "//! See crate::engine\nconst S: &str = \"use crate::engine;\"; const R: &str = r#\"crate::ui\"#;",
        ),
        ("media/level.rs", "fn f<'a>(x: &'a str) -> char { 'c' } // crate::ui"),
        ("main.rs", "use crate::anything;"),
        ("bin/conclave-relay.rs", "use conclave::relay;"),
    ] {
        assert_eq!(forbidden_edges(&sample(path, text)), Vec::<String>::new(), "{path}: {text}");
    }
}

#[test]
fn an_impure_name_is_found_and_tests_may_have_it() {
    for text in [
        "use std::fs;",
        "use std::{fs::File, io};",
        "let now = Instant::now();",
        "std::time::SystemTime::now()",
        "use tokio::sync::mpsc;",
        "use ring::rand::SystemRandom;",
        "use std::net::UdpSocket;",
        "getrandom::fill(&mut x)",
    ] {
        assert!(!impure_names(&sample("protocol/wire.rs", text)).is_empty(), "{text}");
        assert!(impure_names(&sample("engine/mod.rs", text)).is_empty(), "{text}");
        let in_tests = format!("fn f() {{}}\n#[cfg(test)]\nmod tests {{ fn t() {{ {text} }} }}\nfn g() {{}}");
        assert!(impure_names(&sample("protocol/wire.rs", &in_tests)).is_empty(), "{in_tests}");
        let after = format!("#[cfg(test)] mod tests {{ fn t() {{}} }}\nfn g() {{ {text} }}");
        assert!(!impure_names(&sample("protocol/wire.rs", &after)).is_empty(), "{after}");
    }
    let fine = "use std::net::IpAddr; use std::time::Instant; fn f(now: Instant) {} // Instant::now()";
    assert!(impure_names(&sample("protocol/wire.rs", fine)).is_empty());
}

#[test]
fn a_careless_file_is_found() {
    assert!(!unwraps(&sample("media/h264.rs", "fn f() { x.unwrap(); }")).is_empty());
    assert!(!unwraps(&sample("media/h264.rs", "fn f() { x\n  .expect(\"it is there\"); }")).is_empty());
    assert!(unwraps(&sample("media/h264.rs", "fn f() { x.unwrap_or(3); } // .unwrap()")).is_empty());
    assert!(!shape(&sample("media/h264.rs", "use std::io;")).is_empty());
    assert!(!shape(&sample("media/h264.rs", &format!("//! Long.\n{}", "\n".repeat(LONGEST)))).is_empty());
    assert!(shape(&sample("media/h264.rs", "//! Short.")).is_empty());
    let parent = sample("crypto/mod.rs", "#[cfg(test)]\nmod vectors;\npub mod frame;");
    assert_eq!(test_only(&[parent]), BTreeSet::from(["crypto::vectors".to_owned()]));
}

/// Direct dependencies as the manifest has them, of every kind and platform.
fn direct_dependencies(manifest: &toml::Table) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut tables = vec![manifest];
    if let Some(targets) = manifest.get("target").and_then(toml::Value::as_table) {
        tables.extend(targets.values().filter_map(toml::Value::as_table));
    }
    for table in tables {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            if let Some(list) = table.get(kind).and_then(toml::Value::as_table) {
                names.extend(list.keys().cloned());
            }
        }
    }
    names
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_direct_dependency_has_its_reason_in_the_documents() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let wanted = direct_dependencies(&manifest);
    assert!(wanted.contains("ring") && wanted.contains("tempfile"), "{wanted:?}");
    // A line of the table: | `name` | reason |
    let mut given = BTreeMap::new();
    for line in read("docs/DEPENDENCIES.md").lines() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        if let [name, reason, ..] = cells[..]
            && let Some(name) = name.strip_prefix('`').and_then(|name| name.strip_suffix('`'))
        {
            assert!(reason.len() > 20, "`{name}` has no reason");
            given.insert(name.to_owned(), ());
        }
    }
    let given: BTreeSet<String> = given.into_keys().collect();
    let missing: Vec<_> = wanted.difference(&given).collect();
    let gone: Vec<_> = given.difference(&wanted).collect();
    assert!(missing.is_empty() && gone.is_empty(), "without a reason: {missing:?}; no longer there: {gone:?}");
}

/// Targets of `[words](target)` that lie in this repository.
fn local_links(text: &str) -> Vec<String> {
    text.match_indices("](")
        .filter_map(|(at, _)| text[at + 2..].split(')').next())
        .map(|target| target.split(['#', ' ']).next().unwrap_or_default().to_owned())
        .filter(|target| !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:"))
        .collect()
}

#[test]
fn documents_point_at_what_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut documents: Vec<PathBuf> = Vec::new();
    for folder in [root.to_owned(), root.join("docs")] {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        documents.extend(entries.filter(|path| path.extension().is_some_and(|ending| ending == "md")));
    }
    assert!(documents.iter().any(|path| path.ends_with("README.md")));
    let mut wrong = Vec::new();
    for document in &documents {
        let folder = document.parent().unwrap();
        for target in local_links(&std::fs::read_to_string(document).unwrap()) {
            if !folder.join(&target).exists() {
                wrong.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    assert_eq!(local_links("[a](b.md) ![c](d/e.png#f) [g](https://h.example)"), ["b.md", "d/e.png"]);
}
