//! What a person can choose as camera, microphone or speaker.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A chosen source of pictures. Text form: `none`, `test`, a path ending in `.y4m`, or a device's name or id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum CameraChoice {
    /// The first real camera, else none.
    #[default]
    Default,
    /// No pictures.
    None,
    /// The built-in moving picture.
    Test,
    /// A YUV4MPEG2 file, played in a loop.
    File(PathBuf),
    /// A device by the `id` of its [`DeviceInfo`], or by its name.
    Device(String),
}

/// A chosen source of sound. Text form: `none`, `test`, a path ending in `.wav`, or a device's name or id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum MicChoice {
    /// The system's default microphone, else none.
    #[default]
    Default,
    /// No sound.
    None,
    /// The built-in voice.
    Test,
    /// A WAV file, played in a loop.
    File(PathBuf),
    /// A device by the `id` of its [`DeviceInfo`], or by its name.
    Device(String),
}

/// A chosen place for sound to go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum SpeakerChoice {
    /// The system's default output, else none.
    #[default]
    Default,
    /// Sound is mixed and thrown away.
    None,
    /// A device by the `id` of its [`DeviceInfo`], or by its name.
    Device(String),
}

/// A device as it stands in a picker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// What identifies it from one start to the next, as far as the system allows.
    pub id: String,
    /// What a person reads.
    pub name: String,
}

/// All that can be chosen just now. The built-in sources are always there and not listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceList {
    /// Cameras.
    pub cameras: Vec<DeviceInfo>,
    /// Microphones.
    pub mics: Vec<DeviceInfo>,
    /// Speakers.
    pub speakers: Vec<DeviceInfo>,
}

macro_rules! source_text {
    ($kind:ident, $ending:literal) => {
        impl FromStr for $kind {
            type Err = std::convert::Infallible;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Ok(match text {
                    "default" => Self::Default,
                    "none" => Self::None,
                    "test" => Self::Test,
                    path if path.to_ascii_lowercase().ends_with($ending) => Self::File(path.into()),
                    device => Self::Device(device.into()),
                })
            }
        }
        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    Self::Default => f.write_str("default"),
                    Self::None => f.write_str("none"),
                    Self::Test => f.write_str("test"),
                    Self::File(path) => write!(f, "{}", path.display()),
                    Self::Device(id) => f.write_str(id),
                }
            }
        }
    };
}
source_text!(CameraChoice, ".y4m");
source_text!(MicChoice, ".wav");

impl FromStr for SpeakerChoice {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "default" => Self::Default,
            "none" => Self::None,
            device => Self::Device(device.into()),
        })
    }
}

impl fmt::Display for SpeakerChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::None => f.write_str("none"),
            Self::Device(id) => f.write_str(id),
        }
    }
}
