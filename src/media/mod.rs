//! Pictures and sound: devices, codecs and the buffers between them.

pub mod adapt;
pub mod camera;
mod camera_nokhwa;
pub mod chime;
pub mod convert;
pub mod decodable;
pub mod device;
pub mod frame;
pub mod h264;
pub mod jitter;
pub mod level;
pub mod lipsync;
pub mod mic;
pub mod mixer;
pub mod nal;
mod openh264_tuning;
pub mod opus;
pub mod processing;
pub mod redundancy;
pub mod resample;
pub mod scale;
pub mod snapshot;
pub mod sound_host;
pub mod source;
pub mod speaker;
pub mod speakers;
pub mod stamp;
pub mod stretch;
pub mod test_picture;
pub mod test_voice;
pub mod wav;
pub mod y4m;

/// Every camera, microphone and speaker there is just now. It may take some tens of milliseconds: not for a thread that
/// must not wait.
pub fn list_devices() -> device::DeviceList {
    device::DeviceList {
        cameras: camera::list_cameras(),
        mics: sound_host::list_mics(),
        speakers: sound_host::list_speakers(),
    }
}
