//! What a person has chosen, kept as TOML in the configuration folder.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// All settings. Unknown keys are kept out, missing ones take their defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The name shown to others in a meeting.
    pub name: String,
    /// Camera, in the text form of [`CameraChoice`](crate::media::device::CameraChoice).
    pub camera: Option<String>,
    /// Microphone, in the text form of [`MicChoice`](crate::media::device::MicChoice).
    pub mic: Option<String>,
    /// Speaker, in the text form of [`SpeakerChoice`](crate::media::device::SpeakerChoice).
    pub speaker: Option<String>,
    /// A relay of one's own choice, `host`, `host:port` or `wss://host`; empty for the one inside the app.
    pub relay: String,
    /// Announce meetings on the local network by mDNS, so that a link still works when addresses change.
    pub announce_on_lan: bool,
    /// Ask the router to open a port (UPnP, PCP, NAT-PMP) when hosting.
    pub open_router_port: bool,
    /// Leave the own name out of invite links. Whoever finds one then learns no name, and whoever pastes one is not told
    /// that its host only looks like somebody they know.
    pub hide_name_in_links: bool,
    /// Let people in without asking whose keys were compared and found right.
    pub admit_verified: bool,
    /// Hide the own addresses from the people one meets: media go through the TURN server, and nothing else is offered.
    pub hide_address: bool,
    /// Relays and TURN servers that may be used, by name or address; empty for all.
    pub only_relays: Vec<String>,
    /// Networks that routes may use, in CIDR notation; with none here and no countries, all.
    pub only_networks: Vec<String>,
    /// Countries that routes may use, by two-letter codes (ISO 3166-1), as `country_table` has them.
    pub only_countries: Vec<String>,
    /// A file that says which addresses belong to which country: `low,high,CC` a line.
    pub country_table: Option<PathBuf>,
    /// Dark, light, or as the system says.
    pub appearance: Appearance,
    /// A TURN server that passes media on.
    pub turn: Option<Turn>,
    /// What happens to the own sound before it is sent.
    pub sound: Sound,
    /// What of a meeting is to be seen outside of the window.
    pub desktop: DesktopSettings,
}

/// What of a meeting is to be seen outside of the window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DesktopSettings {
    /// Notifications while the window is not in use: knocks, and a connection that was lost or is back.
    pub notifications: bool,
    /// Notifications may name people. Desktops keep notifications, and show them over a locked screen.
    pub notification_content: bool,
    /// A tray icon during a meeting.
    pub tray: bool,
    /// Take a copied invite off the clipboard after a minute, if it is still there.
    pub clear_clipboard: bool,
}

impl Default for DesktopSettings {
    fn default() -> Self {
        Self { notifications: true, notification_content: false, tray: true, clear_clipboard: true }
    }
}

/// What happens to the own sound before it is sent. The first three hold for microphones; files and the built-in voice are sent
/// as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sound {
    /// Take out what the speaker plays.
    pub echo_cancellation: bool,
    /// Take out fans, hum and hiss.
    pub noise_suppression: bool,
    /// Raise quiet voices and lower loud ones.
    pub automatic_gain: bool,
    /// Send as many bytes for silence as for speech. Without it the sizes of the packets show whoever carries them when
    /// somebody speaks, and may show what is said.
    pub constant_bitrate: bool,
}

impl Default for Sound {
    fn default() -> Self {
        Self { echo_cancellation: true, noise_suppression: true, automatic_gain: true, constant_bitrate: true }
    }
}

/// A TURN server.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Turn {
    /// `turn.example`, `turn.example:3478`, or an address with or without a port, over UDP; `turn:HOST:PORT?transport=tcp` over
    /// TCP, `turns:HOST:PORT` over TLS.
    pub server: String,
    /// User name.
    pub user: String,
    /// Password. A secret.
    pub password: String,
    /// A file with the certificate authority of the server (PEM), for one that has its own. No other is trusted then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<PathBuf>,
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").finish_non_exhaustive()
    }
}

/// Which colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Appearance {
    /// As the system says; dark where it says nothing.
    #[default]
    System,
    /// Dark.
    Dark,
    /// Light.
    Light,
}

const FILE: &str = "settings.toml";
const LARGEST: u64 = 256 << 10;

/// Why settings could not be read or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The file is there but is not what this version writes. It was set aside under the other name, as it was.
    #[error("settings file is not understood: {reason}")]
    Damaged {
        /// Where and what, as the TOML reader says it.
        reason: String,
        /// Where it lies now, if it could be moved.
        kept_as: Option<PathBuf>,
    },
    /// The file could not be read or written.
    #[error("settings file cannot be used: {0}")]
    Io(#[from] io::Error),
}

impl Settings {
    /// Reads the settings kept in `folder`; defaults where there are none yet.
    ///
    /// A file that is not understood is set aside, not overwritten: the caller goes on with defaults and says so.
    pub fn load(folder: &Path) -> Result<Self, SettingsError> {
        let path = folder.join(FILE);
        let text = match std::fs::metadata(&path) {
            Ok(facts) if facts.len() > LARGEST => return Err(set_aside(&path, "it is far too large".into())),
            Ok(_) => std::fs::read(&path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error.into()),
        };
        match String::from_utf8(text).map_err(|_| "it is not text".to_owned()) {
            Ok(text) => toml::from_str(&text).map_err(|error| set_aside(&path, error.message().to_owned())),
            Err(reason) => Err(set_aside(&path, reason)),
        }
    }

    /// Keeps the settings in `folder`, replacing the file as a whole.
    pub fn save(&self, folder: &Path) -> Result<(), SettingsError> {
        std::fs::create_dir_all(folder)?;
        let text = toml::to_string_pretty(self).map_err(io::Error::other)?;
        let beside = folder.join(format!("{FILE}.{}.new", std::process::id()));
        write_private(&beside, text.as_bytes())?;
        std::fs::rename(&beside, folder.join(FILE))?;
        Ok(())
    }
}

/// Writes a new file for its owner alone (0600 where there are such modes): the password of a TURN server may be in it.
fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)?.write_all(content)
}

fn set_aside(path: &Path, reason: String) -> SettingsError {
    let aside = path.with_extension("toml.not-understood");
    let kept_as = std::fs::rename(path, &aside).is_ok().then_some(aside);
    SettingsError::Damaged { reason, kept_as }
}

/// Where settings, identity and contacts lie unless another folder is named: the system's place for configuration.
pub fn default_folder() -> Option<PathBuf> {
    directories::ProjectDirs::from("org", "conclave", "Conclave").map(|places| places.config_dir().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { name: "Ana".into(), appearance: Appearance::Light, ..Settings::default() };
        settings.save(folder.path()).unwrap();
        assert_eq!(Settings::load(folder.path()).unwrap(), settings);
    }

    #[test]
    fn sound_is_processed_and_of_one_size_unless_somebody_says_otherwise() {
        let settings: Settings = toml::from_str("[sound]\nnoise_suppression = false\n").unwrap();
        assert_eq!(settings.sound, Sound { noise_suppression: false, ..Sound::default() });
        let all = Sound::default();
        assert!(all.echo_cancellation && all.noise_suppression && all.automatic_gain && all.constant_bitrate);
        let folder = tempfile::tempdir().unwrap();
        settings.save(folder.path()).unwrap();
        assert_eq!(Settings::load(folder.path()).unwrap(), settings);
    }

    #[test]
    fn a_turn_password_is_kept_for_the_owner_alone_and_never_printed() {
        let folder = tempfile::tempdir().unwrap();
        let turn = Turn { server: "turn.example".into(), user: "u".into(), password: "hush".into(), authority: None };
        let settings = Settings { turn: Some(turn), only_networks: vec!["192.0.2.0/24".into()], ..Settings::default() };
        settings.save(folder.path()).unwrap();
        settings.save(folder.path()).unwrap();
        assert_eq!(Settings::load(folder.path()).unwrap(), settings);
        assert!(!format!("{settings:?}").contains("hush"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_file_that_is_not_understood_is_set_aside_whole() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "name = 3\n").unwrap();
        let Err(SettingsError::Damaged { kept_as: Some(kept), .. }) = Settings::load(folder.path()) else {
            panic!("damage must be reported")
        };
        assert_eq!(std::fs::read_to_string(kept).unwrap(), "name = 3\n");
        assert_eq!(Settings::load(folder.path()).unwrap(), Settings::default());
    }
}
