//! `conclave`: arguments, logging, settings, engine, and then a window or a headless call.
#![forbid(unsafe_code)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use clap::{Parser, Subcommand};
use conclave::desktop::instance::{self, Claim, ClaimError};
use conclave::desktop::{Buses, Desktop};
use conclave::engine::{self, EngineOptions};
use conclave::headless::call::{self, CallArgs};
use conclave::headless::log::{self, LogArgs};
use conclave::{logging, media, settings, ui};

/// Video meetings whose keys only their members hold
#[derive(Parser)]
#[command(name = "conclave", version, about)]
struct Arguments {
    /// Invite link to open in the window
    link: Option<String>,
    /// Folder of settings, identity and contacts
    #[arg(long, global = true, value_name = "FOLDER")]
    config: Option<PathBuf>,
    /// Write the log here instead of to standard error (what is logged: RUST_LOG)
    #[arg(long, global = true, value_name = "FILE")]
    log_file: Option<PathBuf>,
    /// List cameras, microphones and speakers, and end
    #[arg(long)]
    list_devices: bool,
    /// Convert pictures without the graphics card (where its driver shows them wrongly)
    #[arg(long)]
    cpu_pictures: bool,
    #[command(subcommand)]
    command: Option<Subcommands>,
}

#[derive(Subcommand)]
enum Subcommands {
    /// Hold a meeting without a window
    Call(Box<CallArgs>),
    /// Check saved meeting logs
    Log(LogArgs),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Err(error) = logging::start(arguments.log_file.as_deref()) {
        return complain(&format!("The log file cannot be written: {error}"));
    }
    if arguments.list_devices {
        return list_devices();
    }
    let call = match arguments.command {
        // It asks nothing of this computer but to read files.
        Some(Subcommands::Log(log)) => return log::run(log),
        Some(Subcommands::Call(call)) => Some(call),
        None => None,
    };
    let Some(config) = arguments.config.or_else(settings::default_folder) else {
        return complain("This system names no place for settings. Name one with --config FOLDER.");
    };
    match call {
        Some(call) => call::run(*call, config),
        None => open_window(&config, arguments.link, arguments.cpu_pictures),
    }
}

fn open_window(config: &Path, link: Option<String>, cpu_pictures: bool) -> ExitCode {
    let no_display = |name| std::env::var_os(name).is_none_or(|value| value.is_empty());
    if cfg!(target_os = "linux") && no_display("DISPLAY") && no_display("WAYLAND_DISPLAY") {
        return complain("There is no display to open a window on. To meet without one, see: conclave call --help");
    }
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let first = match instance::claim(config, runtime.as_deref(), link.as_deref()) {
        Ok(Claim::HandedOver) => return ExitCode::SUCCESS,
        Ok(Claim::First(first)) => Some(first),
        // What the engine cannot use either, it says better.
        Err(ClaimError::Io(error)) => {
            tracing::warn!(%error, "further starts are not noticed");
            None
        }
        Err(error) => return complain(&format!("{error}.")),
    };
    // The engine comes first: what keeps it from starting is said before anything else is shown.
    let window: Arc<OnceLock<ui::Wake>> = Arc::default();
    let wake = {
        let window = window.clone();
        Arc::new(move || {
            if let Some(wake) = window.get() {
                wake();
            }
        })
    };
    let handle = match engine::start(EngineOptions::for_window(config.to_owned()), wake.clone()) {
        Ok(handle) => handle,
        Err(error) => {
            let sentence = engine::words::start_error(&error);
            complain(&sentence);
            // Whoever started the app from a menu sees no terminal.
            let _ = ui::run_failure(sentence);
            return ExitCode::FAILURE;
        }
    };
    let desktop = Some(Desktop::start(Buses::default(), first, wake));
    let place = Some(config.to_owned());
    let options = ui::WindowOptions {
        link,
        desktop,
        cpu_pictures,
        place,
        ..ui::WindowOptions::new(engine::link_checker(config))
    };
    let outcome = ui::run(options, move |wake| {
        let _ = window.set(wake);
        handle
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error.to_string()),
    }
}

fn list_devices() -> ExitCode {
    let devices = media::list_devices();
    let mut text = String::new();
    for (kind, found, built_in) in [
        ("Cameras", &devices.cameras, Some("test (built-in moving picture), FILE.y4m, none")),
        ("Microphones", &devices.mics, Some("test (built-in voice), FILE.wav, none")),
        ("Speakers", &devices.speakers, Some("default, none")),
    ] {
        text += &format!("{kind}\n");
        for device in found {
            text += &format!("  {}  ({})\n", device.name, device.id);
        }
        if let Some(built_in) = built_in {
            text += &format!("  always  {built_in}\n");
        }
    }
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn complain(sentence: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{sentence}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, ValueEnum};

    use super::*;

    /// What is installed beside the program, by its path below the package, as the arguments above have it.
    fn pages() -> Vec<(&'static str, Vec<u8>)> {
        let mut page = Vec::new();
        let mut command = Arguments::command();
        command.build();
        let man = clap_mangen::Man::new(command.clone()).date("").source("Conclave").manual("User commands");
        man.render_title(&mut page).unwrap();
        man.render_name_section(&mut page).unwrap();
        man.render_synopsis_section(&mut page).unwrap();
        man.render_options_section(&mut page).unwrap();
        let hidden = |command: &&clap::Command| !command.is_hide_set() && command.get_name() != "help";
        // One page for all: nobody looks for a second.
        for command in command.get_subcommands().filter(hidden) {
            let name = command.get_name().to_uppercase();
            writeln!(page, ".SH \"CONCLAVE {name}\"\n{}", command.get_about().cloned().unwrap_or_default()).unwrap();
            let mut options = Vec::new();
            clap_mangen::Man::new(command.clone()).render_options_section(&mut options).unwrap();
            let options = String::from_utf8(options).unwrap();
            page.extend(options.split_inclusive('\n').filter(|line| !line.starts_with(".SH")).flat_map(str::bytes));
        }
        let mut pages = vec![("assets/desktop/conclave.1", page)];
        for (path, shell) in [
            ("assets/desktop/completions/conclave.bash", "bash"),
            ("assets/desktop/completions/_conclave", "zsh"),
            ("assets/desktop/completions/conclave.fish", "fish"),
        ] {
            let mut text = Vec::new();
            let shell = clap_complete::Shell::from_str(shell, true).unwrap();
            clap_complete::generate(shell, &mut Arguments::command(), "conclave", &mut text);
            pages.push((path, text));
        }
        pages
    }

    /// With `WRITE_PAGES=1` it writes them.
    #[test]
    fn the_man_page_and_completions_say_what_the_arguments_are() {
        for (path, wanted) in pages() {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
            if std::env::var_os("WRITE_PAGES").is_some() {
                std::fs::write(&file, &wanted).unwrap();
            }
            let there = std::fs::read(&file).unwrap_or_default();
            assert!(there == wanted, "{path} is out of date: run this test once with WRITE_PAGES=1");
        }
    }
}
