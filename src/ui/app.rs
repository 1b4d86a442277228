//! The window's one object: it reads the view, shows the screen that belongs to it, and sends commands.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::{Discriminant, discriminant};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use egui::{Context, Ui};

use super::files::{self, FileKind, PickFile};
use super::gpu_pictures::Gpu;
use super::outside::{self, Outside};
use super::pace::Pace;
use super::panels::invites::{Desk, Page};
use super::panels::settings::TextSetting;
use super::place::Keeper;
use super::shortcuts::{self, Shortcut};
use super::textures::Textures;
use super::theme;
use super::toasts::Toasts;
use super::watching::Watching;
use super::{CheckLink, OnPass, WindowOptions, panels, screens, strings};
use crate::desktop;
use crate::engine::event::Tone;
use crate::engine::view::{PeerId, Stage};
use crate::engine::{Command, Event, Handle, Intent, LinkCheck, View};
use crate::media::device::{CameraChoice, MicChoice};

/// One task laid over the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sheet {
    /// Comparing safety numbers with a peer.
    Verify(PeerId),
    /// Comparing the code of everyone here.
    Everyone,
    /// The invites of the meeting.
    Invites,
    /// Settings.
    Settings,
    /// How a host with others present wants to leave.
    Leave,
    /// Whether somebody is really to be sent out.
    Remove(PeerId),
    /// Whether somebody is really to be made the host.
    HandOver(PeerId),
}

/// What stands at the right of the meeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Panel {
    /// Who is there and who knocks.
    People,
    /// Encryption and routes.
    Security,
}

/// A text that is being changed.
#[derive(Clone)]
pub(crate) struct Draft {
    pub text: String,
    /// It has not been sent as it stands.
    pub unsent: bool,
}

/// What the window remembers between passes: what is being typed and what is open. Nothing of the meeting.
#[derive(Default)]
pub(crate) struct Local {
    pub link: String,
    pub link_check: Option<LinkCheck>,
    pub name: String,
    pub heard: bool,
    pub compared: String,
    pub sheet: Option<Sheet>,
    pub panel: Option<Panel>,
    pub invites: Desk,
    pub unfolded: BTreeSet<PeerId>,
    pub drafts: BTreeMap<TextSetting, Draft>,
    /// An invite that was just copied.
    pub copied: Option<String>,
    pub last_activity: f64,
    pub watching: Watching,
    pub pop_out: bool,
    pub speaker: Option<PeerId>,
}

/// What a screen works with during one pass.
pub(crate) struct Cx<'a> {
    pub view: &'a View,
    pub local: &'a mut Local,
    pub textures: &'a mut Textures,
    pub toasts: &'a mut Toasts,
    pub shortcut: Option<Shortcut>,
    check: &'a CheckLink,
    handle: &'a Handle,
    last_intent: &'a mut Option<Intent>,
    ask_for_file: &'a mut Option<FileKind>,
}

impl Cx<'_> {
    /// Queues a command.
    pub(crate) fn send(&mut self, command: Command) {
        if let Command::Prepare(intent) = &command {
            *self.last_intent = Some(intent.clone());
        }
        self.handle.send(command);
    }

    /// What the text in the link field is; worked out anew only when it has changed.
    pub(crate) fn link_check(&mut self) -> LinkCheck {
        let check = self.check;
        let local = &mut *self.local;
        local.link_check.get_or_insert_with(|| check(&local.link)).clone()
    }

    /// What the link is right now: time may have made it worse since it was typed.
    pub(crate) fn check_link_again(&mut self) -> LinkCheck {
        self.local.link_check = None;
        self.link_check()
    }

    /// What the person last set out to do, to do it again.
    pub(crate) fn last_intent(&self) -> Option<Intent> {
        self.last_intent.clone()
    }

    /// Opens the file dialog after this pass.
    pub(crate) fn ask_for_file(&mut self, kind: FileKind) {
        *self.ask_for_file = Some(kind);
    }

    /// Shows a sentence for a while.
    pub(crate) fn toast(&mut self, ctx: &Context, tone: Tone, text: impl Into<String>) {
        self.toasts.add(ctx.input(|input| input.time), tone, text);
    }

    /// Copies the invite link and says so.
    pub(crate) fn copy_link(&mut self, ctx: &Context) {
        if let Stage::Meeting(meeting) = &self.view.stage
            && let Some(link) = &meeting.link
        {
            self.copy_this_link(ctx, link);
        }
    }

    /// Copies a link and says so.
    pub(crate) fn copy_this_link(&mut self, ctx: &Context, link: &str) {
        ctx.copy_text(link.to_owned());
        self.local.copied = Some(link.to_owned());
        self.toast(ctx, Tone::Good, strings::LINK_COPIED);
    }

    /// Opens the sheet that compares safety numbers with a peer.
    pub(crate) fn open_verify(&mut self, peer: PeerId) {
        self.local.compared.clear();
        self.local.sheet = Some(Sheet::Verify(peer));
    }

    /// Opens the sheet of invites at `page`.
    pub(crate) fn open_invites(&mut self, page: Page) {
        self.local.invites = Desk::at(page);
        self.local.sheet = Some(Sheet::Invites);
    }

    /// Leaves, or asks a host with others present how.
    pub(crate) fn leave(&mut self) {
        match &self.view.stage {
            Stage::Meeting(meeting) if meeting.hosting && !meeting.peers.is_empty() => {
                self.local.sheet = Some(Sheet::Leave);
            }
            _ => self.send(Command::Leave),
        }
    }
}

/// The window. `eframe` drives it; a test drives it through `egui_kittest`, with a scripted engine at the other ends of
/// its [`Handle`].
pub struct App {
    handle: Handle,
    check: CheckLink,
    pick_file: PickFile,
    picking: Option<(FileKind, mpsc::Receiver<Option<PathBuf>>)>,
    local: Local,
    textures: Textures,
    toasts: Toasts,
    outside: Outside,
    last_intent: Option<Intent>,
    stage: Option<Discriminant<Stage>>,
    pace: Arc<Pace>,
    on_pass: Option<OnPass>,
    keeper: Option<Keeper>,
}

impl App {
    /// Dresses the context and takes the window's end of the engine.
    pub fn new(ctx: &Context, options: WindowOptions, handle: Handle) -> Self {
        theme::install(ctx);
        if options.reduced_motion {
            ctx.all_styles_mut(|style| {
                style.animation_time = 0.0;
                style.visuals.text_cursor.blink = false;
                style.scroll_animation = egui::style::ScrollAnimation::none();
            });
        }
        let mut app = Self {
            handle,
            check: options.check,
            pick_file: options.pick_file.unwrap_or_else(files::system_dialog),
            picking: None,
            local: Local::default(),
            textures: Textures::default(),
            toasts: Toasts::default(),
            outside: Outside::new(options.desktop),
            last_intent: None,
            stage: None,
            pace: Arc::default(),
            on_pass: options.on_pass,
            keeper: None,
        };
        if let Some(link) = options.link {
            app.open_link(link);
        }
        app
    }

    /// The graphics card converts the pictures.
    pub(super) fn use_gpu(&mut self, gpu: Gpu) {
        self.textures.use_gpu(gpu);
    }

    /// Watches where the window is, to keep it at the end.
    pub(super) fn keep_place(&mut self, keeper: Keeper) {
        self.keeper = Some(keeper);
    }

    /// Tells `pace` of each pass.
    pub(super) fn keep_pace(&mut self, pace: Arc<Pace>) {
        self.pace = pace;
    }

    /// Takes a link that came from outside the window: a good one is prepared with microphone and camera off, so that
    /// opening a link never exposes anybody. While something is going on it only waits in the link field.
    pub fn open_link(&mut self, link: String) {
        let check = (self.check)(&link);
        let free = matches!(self.handle.view().stage, Stage::Home | Stage::Ended(_));
        if free && matches!(check, LinkCheck::Good(_)) {
            let intent = Intent::Join(link.clone());
            self.last_intent = Some(intent.clone());
            self.handle.send(Command::Prepare(intent));
            self.handle.send(Command::SetMic(false));
            self.handle.send(Command::SetCamera(false));
        }
        self.local.link = link;
        self.local.link_check = Some(check);
    }

    /// One pass.
    pub fn show(&mut self, ui: &mut Ui) {
        self.pace.drawn();
        // The small window is drawn within this one's pass, and must not wait where this one is not to be seen.
        let unseen = ui.input(|input| input.viewport().visible()) == Some(false);
        self.pace.wake_small_window(self.local.pop_out && unseen);
        let view = self.handle.view();
        theme::apply(ui.ctx(), view.settings.appearance);
        self.follow_stage(ui.ctx(), &view);
        self.attend(ui.ctx());
        self.take_file();
        let mut ask_for_file = None;
        let mut cx = Cx {
            view: &view,
            local: &mut self.local,
            textures: &mut self.textures,
            toasts: &mut self.toasts,
            shortcut: None,
            check: &self.check,
            handle: &self.handle,
            last_intent: &mut self.last_intent,
            ask_for_file: &mut ask_for_file,
        };
        // A sheet keeps Esc and Enter to itself; being muted never has to wait for it.
        let over = |shortcut: &Shortcut| !matches!(shortcut, Shortcut::Close | Shortcut::Enter);
        let sheet = cx.local.sheet.is_some();
        cx.shortcut = shortcuts::pressed(ui.ctx()).filter(|shortcut| !sheet || over(shortcut));
        if cx.shortcut == Some(Shortcut::FullScreen) {
            let full = ui.input(|input| input.viewport().fullscreen == Some(true));
            ui.ctx().send_viewport_cmd(egui::ViewportCommand::Fullscreen(!full));
        }
        // A single peer's tile covers everything: without a GPU each layer of pixels counts.
        let covered = matches!(&view.stage, Stage::Meeting(meeting) if meeting.peers.len() == 1);
        if !covered {
            ui.painter().rect_filled(ui.max_rect(), 0.0, theme::tokens(ui.ctx()).background);
        }
        let lift = match &view.stage {
            Stage::Home => screens::home::show(ui, &mut cx),
            Stage::PreJoin(prejoin) => screens::prejoin::show(ui, &mut cx, prejoin),
            Stage::Connecting(connecting) => screens::connecting::show(ui, &mut cx, connecting),
            Stage::Lobby(lobby) => screens::lobby::show(ui, &mut cx, lobby),
            Stage::Meeting(meeting) => screens::meeting::show(ui, &mut cx, meeting),
            Stage::Ended(ended) => screens::ended::show(ui, &mut cx, ended),
        };
        if let Stage::Meeting(meeting) = &view.stage {
            screens::pop_out::show(ui.ctx(), &mut cx, meeting);
        }
        panels::sheets(ui, &mut cx);
        cx.toasts.show(ui, lift);
        self.tell_sizes(ui.ctx());
        if let Some(link) = self.local.copied.take() {
            self.outside.copied(link, &view, Instant::now());
        }
        self.textures.sweep(ui);
        if let Some(kind) = ask_for_file
            && self.picking.is_none()
        {
            self.picking = Some((kind, (self.pick_file)(ui.ctx(), kind)));
        }
        if let Some(keeper) = &mut self.keeper {
            keeper.look(ui.ctx());
        }
        if let Some(on_pass) = &mut self.on_pass {
            on_pass(ui.ctx());
        }
    }

    /// Tells the engine how large each peer's picture is on the screen: not at all in a window that cannot be seen.
    fn tell_sizes(&mut self, ctx: &Context) {
        let view = self.handle.view();
        let peers = match &view.stage {
            Stage::Meeting(meeting) => meeting.peers.as_slice(),
            _ => &[],
        };
        let (now, hidden) = ctx.input(|input| {
            let window = input.viewport();
            (input.time, window.minimized == Some(true) || window.occluded == Some(true))
        });
        // The small window shows somebody while this one is away.
        if hidden && !self.local.pop_out {
            self.local.watching.see_nothing();
        }
        let tell = self.local.watching.settle(now, peers.iter().map(|peer| peer.id));
        for (peer, height) in tell.now {
            self.handle.send(Command::WatchPeer { peer, height });
        }
        if let Some(seconds) = tell.later {
            ctx.request_repaint_after(std::time::Duration::from_secs_f64(seconds));
        }
    }

    /// Clears what was typed or open in the stage before.
    fn follow_stage(&mut self, ctx: &Context, view: &View) {
        let stage = discriminant(&view.stage);
        if self.stage == Some(stage) {
            return;
        }
        self.stage = Some(stage);
        // What a new screen measures in its first pass it uses in its second.
        ctx.request_repaint();
        let local = &mut self.local;
        local.sheet = None;
        local.panel = None;
        local.pop_out = false;
        local.speaker = None;
        local.invites = Desk::default();
        local.unfolded.clear();
        local.compared.clear();
        local.heard = false;
        local.last_activity = 0.0;
        match &view.stage {
            Stage::PreJoin(_) => local.name.clone_from(&view.settings.name),
            // The link has done its work; it is a secret and no longer of use in the field.
            Stage::Meeting(_) | Stage::Lobby(_) => {
                local.link.clear();
                local.link_check = None;
            }
            _ => {}
        }
    }

    /// What goes on whether or not the window is drawn: a covered one is not.
    pub fn attend(&mut self, ctx: &Context) {
        self.take_events(ctx);
        let view = self.handle.view();
        self.outside.follow(ctx, &view, Instant::now());
        while let Some(event) = self.outside.next_event() {
            match event {
                desktop::Event::Show => outside::raise(ctx),
                desktop::Event::ToggleMute => self.handle.send(Command::SetMic(!view.own.mic_on)),
                desktop::Event::Leave => match &view.stage {
                    Stage::Meeting(meeting) if meeting.hosting && !meeting.peers.is_empty() => {
                        self.local.sheet = Some(Sheet::Leave);
                        outside::raise(ctx);
                    }
                    Stage::Meeting(_) => self.handle.send(Command::Leave),
                    _ => {}
                },
                desktop::Event::Started(started) => {
                    outside::raise(ctx);
                    if let Some(link) = started.take() {
                        self.take_link(ctx, link);
                    }
                }
            }
        }
    }

    /// A link that another start of the program was given. Whoever sent it, it ends nothing that is going on.
    fn take_link(&mut self, ctx: &Context, link: String) {
        let busy = !matches!(self.handle.view().stage, Stage::Home | Stage::Ended(_));
        if busy && self.local.link != link {
            self.toasts.add(ctx.input(|input| input.time), Tone::Neutral, strings::LINK_WAITS);
        }
        self.open_link(link);
    }

    fn take_events(&mut self, ctx: &Context) {
        let now = ctx.input(|input| input.time);
        while let Some(event) = self.handle.next_event() {
            ctx.request_repaint();
            match event {
                Event::Toast { tone, text } => self.toasts.add(now, tone, text),
                Event::Knock => {
                    self.outside.knock(ctx, &self.handle.view(), Instant::now());
                    if !ctx.input(|input| input.focused) {
                        let attention = egui::UserAttentionType::Informational;
                        ctx.send_viewport_cmd(egui::ViewportCommand::RequestUserAttention(attention));
                    }
                }
                // The tiles themselves show it.
                Event::Joined | Event::Left => {}
            }
        }
    }

    fn take_file(&mut self) {
        let Some((kind, answer)) = &self.picking else { return };
        let kind = *kind;
        match answer.try_recv() {
            Err(mpsc::TryRecvError::Empty) => return,
            Ok(Some(path)) => self.handle.send(match kind {
                FileKind::Video => Command::ChooseCamera(CameraChoice::File(path)),
                FileKind::Sound => Command::ChooseMic(MicChoice::File(path)),
                FileKind::Log => Command::SaveLog(path),
                FileKind::Report => Command::SaveReport(path),
                FileKind::Countries => {
                    let mut settings = (*self.handle.view().settings).clone();
                    settings.country_table = Some(path);
                    Command::ChangeSettings(Box::new(settings))
                }
            }),
            Ok(None) | Err(mpsc::TryRecvError::Disconnected) => {}
        }
        self.picking = None;
    }
}

impl eframe::App for App {
    fn logic(&mut self, ctx: &Context, _frame: &mut eframe::Frame) {
        // A hidden window gets no passes, and this in their place.
        if ctx.input(|input| input.viewport().visible()) == Some(false) {
            self.tell_sizes(ctx);
        }
        self.attend(ctx);
    }

    fn raw_input_hook(&mut self, _ctx: &Context, input: &mut egui::RawInput) {
        self.outside.read_input(input);
    }

    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        self.show(ui);
    }

    fn clear_color(&self, visuals: &egui::Visuals) -> [f32; 4] {
        visuals.panel_fill.to_normalized_gamma_f32()
    }

    fn on_exit(&mut self, _gl: Option<&eframe::glow::Context>) {
        if let Some(keeper) = &mut self.keeper {
            keeper.keep();
        }
        self.handle.send(Command::Quit);
    }
}

/// Seconds since 1970; only for showing.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
