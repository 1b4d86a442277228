//! The few settings of a running OpenH264 encoder that its safe interface cannot change.
//!
//! This is the only file of the project with `unsafe` in it. The raw interface takes an option's number and a pointer to a
//! value whose type depends on the number; each function here names the two together, and nothing else is passed through.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::ptr::from_mut;

use openh264::encoder::Encoder;
use openh264_sys2::{
    ENCODER_OPTION_BITRATE, ENCODER_OPTION_FRAME_RATE, ENCODER_OPTION_MAX_BITRATE, SBitrateInfo, SPATIAL_LAYER_0,
};

/// OpenH264 refused, with its own code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused(pub(super) c_int);

fn check(code: c_int) -> Result<(), Refused> {
    if code == 0 { Ok(()) } else { Err(Refused(code)) }
}

/// The only layer's bit rate in bits a second, from the next picture on; no key frame follows. The encoder must have encoded
/// a picture: before that it has no layers, and refuses.
///
/// # Errors
/// If the encoder refuses; it then goes on as before.
pub(super) fn set_bitrate(encoder: &mut Encoder, bps: u32) -> Result<(), Refused> {
    let bps = c_int::try_from(bps).map_err(|_| Refused(-1))?;
    let mut info = SBitrateInfo { iLayer: SPATIAL_LAYER_0, iBitrate: bps };
    // SAFETY: `raw_api` asks that no setting be changed that the wrapper relies on; it keeps no copy of the rates after the
    // encoder's start. Both options read one `SBitrateInfo` (welsEncoderExt.cpp, `SetOption`) during the call and keep no
    // pointer to it, and `info` outlives the calls. An encoder that has not begun answers with an error.
    unsafe {
        let raw = encoder.raw_api();
        // The upper bound first where the rate rises, last where it falls: a rate above its bound is refused.
        let bound_first = raw.set_option(ENCODER_OPTION_MAX_BITRATE, from_mut(&mut info).cast());
        check(raw.set_option(ENCODER_OPTION_BITRATE, from_mut(&mut info).cast()))?;
        if bound_first != 0 {
            check(raw.set_option(ENCODER_OPTION_MAX_BITRATE, from_mut(&mut info).cast()))?;
        }
    }
    Ok(())
}

/// The frame rate that bits are shared out for, in pictures a second, from the next picture on.
///
/// # Errors
/// If the encoder refuses; it then goes on as before.
pub(super) fn set_frame_rate(encoder: &mut Encoder, fps: f32) -> Result<(), Refused> {
    let mut fps = fps;
    // SAFETY: as above; this option reads one `float` during the call.
    unsafe { check(encoder.raw_api().set_option(ENCODER_OPTION_FRAME_RATE, from_mut(&mut fps).cast())) }
}
