//! What a person has chosen, kept as TOML in the configuration folder.

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
    /// Dark, light, or as the system says.
    pub appearance: Appearance,
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
