//! Pictures and sound: devices, codecs and the buffers between them.

pub mod chime;
pub mod device;
pub mod frame;
pub mod jitter;
pub mod level;
pub mod mic;
pub mod mixer;
pub mod opus;
pub mod resample;
pub mod sound_host;
pub mod speaker;
pub mod test_voice;
pub mod wav;
