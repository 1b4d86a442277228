//! `deny.toml` held against what `Cargo.lock` draws in: licences, places of origin, and crates that are not wanted.
//!
//! It needs no network and no tool beside cargo. cargo-deny reads the same file, and knows advisories besides.
// Helpers of a test may stop it; clippy knows only functions marked #[test].
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn table(path: &str) -> toml::Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn words(table: &toml::Table, section: &str, key: &str) -> BTreeSet<String> {
    let list = table[section][key].as_array().unwrap();
    list.iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

/// Whether an SPDX expression (and the older `A/B` for `A OR B`) can be met with `allowed` licences alone.
fn is_met(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let met = either(&words, &mut at, allowed);
    met && at == words.len()
}

fn either(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut met = all_of(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        met |= all_of(words, at, allowed);
    }
    met
}

fn all_of(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut met = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one(words, at, allowed);
    }
    met
}

fn one(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let met = either(words, at, allowed);
        let closed = words.get(*at) == Some(&")");
        *at += 1;
        return met && closed;
    }
    match (words.get(*at), words.get(*at + 1)) {
        (Some(&"WITH"), Some(exception)) => {
            *at += 2;
            allowed.contains(&format!("{word} WITH {exception}"))
        }
        _ => allowed.contains(*word),
    }
}

/// What cargo knows of every package: for all platforms where their manifests are on this machine, else for this one.
fn packages() -> Vec<Value> {
    let ask = |extra: &[&str]| {
        Command::new(env!("CARGO"))
            .args(["metadata", "--offline", "--locked", "--format-version", "1", "--all-features"])
            .args(extra)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo runs")
    };
    let mut output = ask(&[]);
    if !output.status.success() {
        let version = Command::new(env!("CARGO")).arg("-vV").output().expect("cargo runs");
        let version = String::from_utf8_lossy(&version.stdout).into_owned();
        let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("cargo names its host");
        println!(
            "not every platform's packages are on this machine; `cargo fetch` brings them. Checking {host} alone."
        );
        output = ask(&["--filter-platform", host]);
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo answers in JSON");
    metadata["packages"].as_array().expect("a list").clone()
}

#[test]
fn every_licence_is_one_that_the_policy_allows() {
    let allowed = words(&table("deny.toml"), "licenses", "allow");
    let packages = packages();
    assert!(packages.len() > 100, "only {} packages were looked at", packages.len());
    let wrong: Vec<String> = packages
        .iter()
        .filter(|package| !package["license"].as_str().is_some_and(|licence| is_met(licence, &allowed)))
        .map(|package| format!("{} {}: {}", package["name"], package["version"], package["license"]))
        .collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn an_expression_is_met_only_by_what_is_allowed() {
    let allowed: BTreeSet<String> =
        ["MIT", "Apache-2.0", "Unicode-3.0", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned).into();
    for met in
        ["MIT", "MIT/GPL-3.0", "GPL-3.0 OR MIT", "(MIT OR GPL-3.0) AND Unicode-3.0", "Apache-2.0 WITH LLVM-exception"]
    {
        assert!(is_met(met, &allowed), "{met}");
    }
    for unmet in
        ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR GPL-3.0) AND ISC", "Apache-2.0 WITH Other", "MIT MIT", "(MIT"]
    {
        assert!(!is_met(unmet, &allowed), "{unmet}");
    }
}

/// One package of `Cargo.lock`: name, version and where it comes from (`None`: this repository).
type Locked = (String, String, Option<String>);

fn locked() -> Vec<Locked> {
    let lock = table("Cargo.lock");
    let text = |package: &toml::Value, key: &str| package.get(key).and_then(toml::Value::as_str).map(str::to_owned);
    let packages = lock["package"].as_array().unwrap();
    packages.iter().map(|p| (text(p, "name").unwrap(), text(p, "version").unwrap(), text(p, "source"))).collect()
}

/// Packages from anywhere but the places in `allowed`.
fn strangers(packages: &[Locked], allowed: &BTreeSet<String>) -> Vec<String> {
    let known = |source: &str| source.strip_prefix("registry+").is_some_and(|registry| allowed.contains(registry));
    packages
        .iter()
        .filter(|(name, _, source)| match source {
            Some(source) => !known(source),
            None => name != env!("CARGO_PKG_NAME"),
        })
        .map(|(name, version, source)| format!("{name} {version} from {source:?}"))
        .collect()
}

#[test]
fn every_package_comes_from_the_public_registry() {
    let allowed = words(&table("deny.toml"), "sources", "allow-registry");
    let packages = locked();
    assert!(packages.len() > 100, "only {} packages were looked at", packages.len());
    assert_eq!(strangers(&packages, &allowed), Vec::<String>::new());
    for source in [Some("git+https://example.org/x#1"), Some("registry+https://example.org/index"), None] {
        assert_eq!(
            strangers(&[("x".into(), "1.0.0".into(), source.map(str::to_owned))], &allowed).len(),
            1,
            "{source:?}"
        );
    }
}

fn numbers(version: &str) -> Vec<u64> {
    let release = version.split(['-', '+']).next().unwrap_or_default();
    release.split('.').map(|part| part.parse().unwrap_or_else(|_| panic!("`{version}` is no version"))).collect()
}

/// Packages that `rules` (the `bans.deny` list) name, each with the reason given there.
fn banned(packages: &[Locked], rules: &[toml::Value]) -> Vec<String> {
    let mut found = Vec::new();
    for rule in rules {
        let named = rule["crate"].as_str().unwrap();
        let reason = rule["reason"].as_str().expect("a ban gives its reason");
        let (name, below) = match named.split_once('@') {
            Some((name, requirement)) => {
                (name, Some(requirement.strip_prefix('<').expect("bans are `name` or `name@<version`")))
            }
            None => (named, None),
        };
        for (package, version, _) in packages {
            if package == name && below.is_none_or(|below| numbers(version) < numbers(below)) {
                found.push(format!("{package} {version}: {reason}"));
            }
        }
    }
    found
}

#[test]
fn no_banned_crate_is_drawn_in() {
    let policy = table("deny.toml");
    let rules = policy["bans"]["deny"].as_array().unwrap();
    assert_eq!(banned(&locked(), rules), Vec::<String>::new());
    let planted = |name: &str, version: &str| banned(&[(name.into(), version.into(), None)], rules).len();
    assert_eq!(planted("pqcrypto-kyber", "0.8.1"), 1);
    assert_eq!(planted("snow", "0.9.4"), 1);
    assert_eq!(planted("snow", "0.10.0"), 0);
}

#[test]
fn no_dependency_is_wished_for_in_any_version() {
    let manifest = table("Cargo.toml");
    for kind in ["dependencies", "dev-dependencies"] {
        for (name, wish) in manifest[kind].as_table().unwrap() {
            let version = wish.as_str().or_else(|| wish.get("version").and_then(toml::Value::as_str));
            assert!(version.is_some_and(|version| !version.contains('*')), "{name}: {wish}");
        }
    }
}
