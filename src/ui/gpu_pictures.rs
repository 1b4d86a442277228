//! Pictures converted where they are drawn: their three planes go to the graphics card as they are, and a shader there
//! makes them red, green and blue, cuts them to their tile and rounds its corners.
//!
//! This file calls OpenGL through crate `glow`, whose every function is `unsafe`: it is the one place in the window where
//! that is allowed. Two things make it sound. The context is the current one of this thread in every call: what is here is
//! reached only from eframe's creation of the window and from its painter, which hand the context out at those moments.
//! And no plane is handed over that has not exactly as many bytes as its texture has pixels: [`planes`] sees to that, in
//! safe code.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use eframe::egui_glow::{CallbackFn, ShaderVersion};
use eframe::glow::{self, HasContext as _, PixelUnpackData};
use egui::{PaintCallback, PaintCallbackInfo, Rect, Shape};

use super::shader::{FRAGMENT, Plane, VERTEX, planes, weights};
use crate::media::frame::Picture;

/// The shader, and what all pictures share.
struct Shared {
    program: glow::Program,
    corners: glow::VertexArray,
    part: Option<glow::UniformLocation>,
    place: Option<glow::UniformLocation>,
    weights: Option<glow::UniformLocation>,
    /// Textures that nobody draws any more. They are deleted when next something is drawn: only then is there a context.
    retired: Mutex<Vec<glow::Texture>>,
    /// The graphics card gave no memory for a picture: from then on pictures are converted without it.
    failed: AtomicBool,
}

/// Converts pictures on the graphics card.
#[derive(Clone)]
pub(crate) struct Gpu(Arc<Shared>);

impl Gpu {
    /// Makes the shader in the context that eframe has just made.
    ///
    /// # Errors
    /// Why pictures cannot be converted there: no OpenGL, too old a one, or a shader that its driver does not take.
    pub(crate) fn new(creation: &eframe::CreationContext<'_>) -> Result<Self, String> {
        let gl = creation.gl.as_deref().ok_or("the window is not drawn by OpenGL")?;
        let version = ShaderVersion::get(gl);
        if !version.is_new_shader_interface() {
            return Err("OpenGL is older than 3.1 (ES: 3.0)".to_owned());
        }
        let precision = if version.is_embedded() { "precision highp float;\nprecision highp sampler2D;\n" } else { "" };
        // SAFETY: eframe calls this with its context current (`CreationContext::gl`), the texts are valid for the calls,
        // and every name used was made by the same context just before.
        unsafe {
            let program = gl.create_program()?;
            for (kind, text) in [(glow::VERTEX_SHADER, VERTEX), (glow::FRAGMENT_SHADER, FRAGMENT)] {
                let shader = gl.create_shader(kind)?;
                gl.shader_source(shader, &format!("{}{precision}{text}", version.version_declaration()));
                gl.compile_shader(shader);
                if !gl.get_shader_compile_status(shader) {
                    return Err(gl.get_shader_info_log(shader));
                }
                gl.attach_shader(program, shader);
                // It lives on as long as the program.
                gl.delete_shader(shader);
            }
            gl.link_program(program);
            if !gl.get_program_link_status(program) {
                return Err(gl.get_program_info_log(program));
            }
            gl.use_program(Some(program));
            for (unit, name) in (0..).zip(["luma", "blue", "red"]) {
                gl.uniform_1_i32(gl.get_uniform_location(program, name).as_ref(), unit);
            }
            let uniform = |name| gl.get_uniform_location(program, name);
            let (part, place, weights) = (uniform("part"), uniform("place"), uniform("weights"));
            gl.use_program(None);
            let corners = gl.create_vertex_array()?;
            let (retired, failed) = Default::default();
            Ok(Self(Arc::new(Shared { program, corners, part, place, weights, retired, failed })))
        }
    }

    /// Whether it has stopped working.
    pub(crate) fn failed(&self) -> bool {
        self.0.failed.load(Ordering::Relaxed)
    }

    /// A picture that is to be drawn.
    pub(crate) fn picture(&self, picture: Arc<Picture>) -> GpuPicture {
        GpuPicture { shared: self.0.clone(), state: Mutex::new(State { newest: Some(picture), textures: None }) }
    }

    /// Something to paint that deletes the textures nobody draws any more; `None` if there are none.
    pub(crate) fn sweep(&self, anywhere: Rect) -> Option<Shape> {
        let nothing = self.0.retired.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        if nothing {
            return None;
        }
        let shared = self.0.clone();
        let callback = CallbackFn::new(move |_, painter| shared.delete_retired(painter.gl()));
        Some(Shape::Callback(PaintCallback { rect: anywhere, callback: Arc::new(callback) }))
    }
}

impl Shared {
    fn delete_retired(&self, gl: &glow::Context) {
        for texture in self.retired.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // SAFETY: the painter's context is current while it paints; the name was made by it and is in no other place.
            unsafe { gl.delete_texture(texture) };
        }
    }
}

/// A moving picture: the newest of its kind, until it is drawn for the first time, and its textures.
pub(crate) struct GpuPicture {
    shared: Arc<Shared>,
    state: Mutex<State>,
}

struct State {
    newest: Option<Arc<Picture>>,
    textures: Option<Textures>,
}

#[derive(Clone, Copy)]
struct Textures {
    names: [glow::Texture; 3],
    width: usize,
    height: usize,
}

impl GpuPicture {
    /// From now on this is to be seen. It goes to the graphics card when it is drawn, and never if another comes first.
    pub(crate) fn put(&self, picture: Arc<Picture>) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).newest = Some(picture);
    }

    /// Something to paint: `part` of the picture (shares of its width and height; left and right may be exchanged) in
    /// `place`, with round corners of `corner` points.
    pub(crate) fn shape(self: &Arc<Self>, place: Rect, part: Rect, corner: f32) -> Shape {
        let picture = self.clone();
        let callback = CallbackFn::new(move |info, painter| {
            let most = painter.max_texture_side();
            picture.draw(&info, painter.gl(), most, part, corner * info.pixels_per_point);
        });
        Shape::Callback(PaintCallback { rect: place, callback: Arc::new(callback) })
    }

    fn draw(&self, info: &PaintCallbackInfo, gl: &glow::Context, most: usize, part: Rect, corner: f32) {
        self.shared.delete_retired(gl);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(picture) = state.newest.take() {
            let old = state.textures.take();
            state.textures = planes(&picture, most).and_then(|planes| self.upload(gl, &picture, planes, old));
        }
        let Some(Textures { names, height, .. }) = state.textures else { return };
        let shared = &*self.shared;
        let viewport = info.viewport_in_pixels();
        let [into_red, blue_into_green, red_into_green, into_blue] = weights(height);
        // SAFETY: the painter's context is current while it paints; program, corners and textures were made by it and are
        // not deleted before this picture is gone. The four corners are read from no buffer.
        unsafe {
            gl.use_program(Some(shared.program));
            gl.bind_vertex_array(Some(shared.corners));
            for (unit, name) in (glow::TEXTURE0..).zip(names) {
                gl.active_texture(unit);
                gl.bind_texture(glow::TEXTURE_2D, Some(name));
            }
            gl.uniform_4_f32(shared.part.as_ref(), part.left(), part.top(), part.width(), part.height());
            let (wide, high) = (viewport.width_px as f32, viewport.height_px as f32);
            gl.uniform_3_f32(shared.place.as_ref(), wide, high, corner);
            gl.uniform_4_f32(shared.weights.as_ref(), into_red, blue_into_green, red_into_green, into_blue);
            if corner == 0.0 {
                gl.disable(glow::BLEND);
            }
            gl.draw_arrays(glow::TRIANGLE_STRIP, 0, 4);
            // The painter sets all else itself.
            gl.active_texture(glow::TEXTURE0);
            gl.bind_vertex_array(None);
        }
    }

    /// Puts the planes into the textures of the picture before, if they are as large, or else into new ones.
    fn upload(
        &self,
        gl: &glow::Context,
        picture: &Picture,
        planes: [Plane<'_>; 3],
        old: Option<Textures>,
    ) -> Option<Textures> {
        let (width, height) = (picture.width, picture.height);
        let same = old.filter(|old| (old.width, old.height) == (width, height));
        // SAFETY: the painter's context is current while it paints. The driver reads width × height bytes from each slice,
        // as rows without gaps (set here, for nobody else promises it), and `planes` has checked that it has as many.
        unsafe {
            gl.bind_buffer(glow::PIXEL_UNPACK_BUFFER, None);
            gl.pixel_store_i32(glow::UNPACK_ALIGNMENT, 1);
            for gap in [glow::UNPACK_ROW_LENGTH, glow::UNPACK_SKIP_ROWS, glow::UNPACK_SKIP_PIXELS] {
                gl.pixel_store_i32(gap, 0);
            }
            gl.active_texture(glow::TEXTURE0);
            if let Some(textures) = same {
                for ((data, width, height), name) in planes.into_iter().zip(textures.names) {
                    gl.bind_texture(glow::TEXTURE_2D, Some(name));
                    let data = PixelUnpackData::Slice(Some(data));
                    let (format, kind) = (glow::RED, glow::UNSIGNED_BYTE);
                    gl.tex_sub_image_2d(glow::TEXTURE_2D, 0, 0, 0, width, height, format, kind, data);
                }
                return Some(textures);
            }
            self.retire(old);
            // What went wrong before is not the fault of these.
            let _ = gl.get_error();
            let mut names = Vec::with_capacity(3);
            for (data, width, height) in planes {
                let Ok(name) = gl.create_texture() else { break };
                names.push(name);
                gl.bind_texture(glow::TEXTURE_2D, Some(name));
                for (what, how) in [
                    (glow::TEXTURE_MIN_FILTER, glow::LINEAR),
                    (glow::TEXTURE_MAG_FILTER, glow::LINEAR),
                    (glow::TEXTURE_WRAP_S, glow::CLAMP_TO_EDGE),
                    (glow::TEXTURE_WRAP_T, glow::CLAMP_TO_EDGE),
                ] {
                    gl.tex_parameter_i32(glow::TEXTURE_2D, what, how as i32);
                }
                let (inside, data) = (glow::R8 as i32, PixelUnpackData::Slice(Some(data)));
                let (format, kind) = (glow::RED, glow::UNSIGNED_BYTE);
                gl.tex_image_2d(glow::TEXTURE_2D, 0, inside, width, height, 0, format, kind, data);
            }
            let error = gl.get_error();
            match <[glow::Texture; 3]>::try_from(names) {
                Ok(names) if error == glow::NO_ERROR => Some(Textures { names, width, height }),
                given => {
                    tracing::warn!(error, "the graphics card takes no picture; they are converted without it");
                    self.shared.failed.store(true, Ordering::Relaxed);
                    let mut retired = self.shared.retired.lock().unwrap_or_else(PoisonError::into_inner);
                    retired.extend(given.map_or_else(|names| names, Vec::from));
                    None
                }
            }
        }
    }

    fn retire(&self, textures: Option<Textures>) {
        let names = textures.into_iter().flat_map(|textures| textures.names);
        self.shared.retired.lock().unwrap_or_else(PoisonError::into_inner).extend(names);
    }
}

impl Drop for GpuPicture {
    fn drop(&mut self) {
        let textures = self.state.lock().unwrap_or_else(PoisonError::into_inner).textures.take();
        self.retire(textures);
    }
}
