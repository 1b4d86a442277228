//! The window. It shows what the engine's [`View`](crate::engine::View) says, sends [`Command`](crate::engine::Command)s,
//! and keeps no state of the meeting: only what is being typed and which sheet is open.

mod app;
mod clipboard;
mod failure;
mod files;
mod gpu_pictures;
pub mod icons;
pub mod layout;
mod outside;
mod pace;
mod panels;
mod place;
mod screens;
mod shader;
mod shortcuts;
pub mod strings;
mod textures;
pub mod theme;
mod toasts;
mod watching;
mod when;
mod widgets;

use std::path::PathBuf;
use std::sync::Arc;

pub use app::App;
use egui::{Rect, Vec2, pos2, vec2};
pub use failure::run_failure;
pub use files::{FileKind, PickFile};

use gpu_pictures::Gpu;
use pace::Pace;
use place::{Keeper, Place};

use crate::desktop::Desktop;
use crate::engine::{Handle, LinkCheck};

/// Wakes the window from any thread: something new is to be shown.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// Says what a text in the link field is. Called on the window's thread at every change: it must not wait.
pub type CheckLink = Box<dyn Fn(&str) -> LinkCheck>;

/// Called at the end of each pass of the window.
pub type OnPass = Box<dyn FnMut(&egui::Context)>;

/// What the window needs to know besides the engine.
pub struct WindowOptions {
    /// Says what a text in the link field is.
    pub check: CheckLink,
    /// A link that the app was opened with: shown in the link field and, if it is good, prepared with microphone and
    /// camera off.
    pub link: Option<String>,
    /// Nothing moves by itself.
    pub reduced_motion: bool,
    /// How to ask for a file; `None` for the system's dialog.
    pub pick_file: Option<PickFile>,
    /// The desktop around the window; `None` for none.
    pub desktop: Option<Desktop>,
    /// Pictures are converted by the processor even where the graphics card could.
    pub cpu_pictures: bool,
    /// The folder in which the place of the window is kept, to open it there again; `None` to forget it.
    pub place: Option<PathBuf>,
    /// Called at the end of each pass, to measure.
    pub on_pass: Option<OnPass>,
}

impl WindowOptions {
    /// A window with no link to open.
    pub fn new(check: CheckLink) -> Self {
        Self {
            check,
            link: None,
            reduced_motion: false,
            pick_file: None,
            desktop: None,
            cpu_pictures: false,
            place: None,
            on_pass: None,
        }
    }
}

/// Why there is no window.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UiError {
    /// The system gave no window: no display, or no OpenGL.
    #[error("the window could not be opened: {0}")]
    NoWindow(String),
}

/// The size that the window opens with, in points.
const SIZE: [f32; 2] = [1120.0, 720.0];
/// The least size that every screen fits in, in points.
const LEAST_SIZE: [f32; 2] = [720.0, 480.0];

/// Opens the window, starts the engine with a way to wake it, and returns when the window is closed.
///
/// It must be called on the main thread.
///
/// # Errors
/// [`UiError::NoWindow`] if the system gives none; `start` may then not have been called.
pub fn run(options: WindowOptions, start: impl FnOnce(Wake) -> Handle) -> Result<(), UiError> {
    let mut viewport = egui::ViewportBuilder::default()
        .with_title(strings::APP)
        .with_app_id(crate::desktop::APP_ID)
        .with_inner_size(SIZE)
        .with_min_inner_size(LEAST_SIZE);
    match eframe::icon_data::from_png_bytes(include_bytes!("../../assets/icon.png")) {
        Ok(icon) => viewport = viewport.with_icon(Arc::new(icon)),
        Err(error) => tracing::warn!(%error, "the window has no icon"),
    }
    let keeper = options.place.clone().map(Keeper::new);
    if let Some(place) = keeper.as_ref().and_then(Keeper::before) {
        viewport = viewport.with_inner_size(place.size()).with_maximized(place.maximised());
    }
    // Dithering smooths gradients, of which there are none here, and costs time for every pixel drawn without a GPU.
    // Said, because with tests eframe is built with another one as well, which it would prefer.
    let renderer = eframe::Renderer::Glow;
    let native = eframe::NativeOptions { viewport, renderer, centered: true, dithering: false, ..Default::default() };
    eframe::run_native(
        strings::APP,
        native,
        Box::new(move |creation| {
            let ctx = creation.egui_ctx.clone();
            let pace = Arc::new(Pace::default());
            let waking = pace.clone();
            let wake: Wake = Arc::new(move || {
                let viewport =
                    if waking.wakes_small_window() { screens::pop_out::id() } else { egui::ViewportId::ROOT };
                ctx.request_repaint_after_for(waking.wait(), viewport);
            });
            let gpu = if options.cpu_pictures { None } else { Some(Gpu::new(creation)) };
            let handle = start(wake);
            let mut app = App::new(&creation.egui_ctx, options, handle);
            app.keep_pace(pace);
            if let Some(keeper) = keeper {
                if let Some(place) = keeper.before() {
                    put_back(creation, place);
                }
                app.keep_place(keeper);
            }
            match gpu {
                Some(Ok(gpu)) => app.use_gpu(gpu),
                Some(Err(error)) => tracing::warn!(error, "pictures are converted without the graphics card"),
                None => {}
            }
            Ok(Box::new(app))
        }),
    )
    .map_err(|error| UiError::NoWindow(error.to_string()))
}

/// Moves the window to where it was, if that is on a monitor that is there now, and makes it no larger than that.
fn put_back(creation: &eframe::CreationContext<'_>, place: Place) {
    let Some(window) = creation.winit_window() else { return };
    // All in the points of this window, as the place was kept.
    let points = window.scale_factor() as f32 * creation.egui_ctx.zoom_factor();
    let monitors: Vec<Rect> = window
        .available_monitors()
        .map(|monitor| {
            let (at, size) = (monitor.position(), monitor.size());
            let (at, size) = (pos2(at.x as f32, at.y as f32), vec2(size.width as f32, size.height as f32));
            Rect::from_min_size((at.to_vec2() / points).to_pos2(), size / points)
        })
        .collect();
    let most = monitors.iter().fold(Vec2::from(LEAST_SIZE), |most, monitor| most.max(monitor.size()));
    if place.size() != place.size().min(most) {
        creation.egui_ctx.send_viewport_cmd(egui::ViewportCommand::InnerSize(place.size().min(most)));
    }
    if let Some(at) = place.at(&monitors).filter(|_| !place.maximised()) {
        creation.egui_ctx.send_viewport_cmd(egui::ViewportCommand::OuterPosition(at));
    }
}
