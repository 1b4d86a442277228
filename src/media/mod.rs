//! Pictures and sound: devices, codecs and the buffers between them.

<<<<<<< HEAD
pub mod camera;
mod camera_nokhwa;
pub mod convert;
pub mod decodable;
pub mod device;
pub mod frame;
pub mod h264;
pub mod nal;
pub mod scale;
pub mod snapshot;
pub mod source;
pub mod stamp;
pub mod test_picture;
pub mod y4m;
=======
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
>>>>>>> audio
