//! Pictures and sound: devices, codecs and the buffers between them.

pub mod device;
pub mod frame;
