//! Keys that do something anywhere in the window, unless somebody is typing.

use egui::{Context, Key, Modifiers};

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shortcut {
    /// Microphone on or off.
    Mic,
    /// Camera on or off.
    Camera,
    /// Copy the invite link.
    CopyLink,
    /// The whole screen, or not.
    FullScreen,
    /// The small window that stays on top.
    PopOut,
    /// Close a panel.
    Close,
    /// Go on: join.
    Enter,
}

/// The shortcut pressed in this pass, if any. A text field that has the focus keeps every key but
/// F11, an open menu its Esc.
pub(crate) fn pressed(ctx: &Context) -> Option<Shortcut> {
    let typing = ctx.text_edit_focused();
    let focused = ctx.memory(|memory| memory.focused().is_some());
    let menu = egui::Popup::is_any_open(ctx);
    ctx.input_mut(|input| {
        if input.consume_key(Modifiers::NONE, Key::F11) {
            Some(Shortcut::FullScreen)
        } else if typing {
            None
        } else if input.consume_key(Modifiers::COMMAND, Key::L) {
            Some(Shortcut::CopyLink)
        } else if input.consume_key(Modifiers::NONE, Key::M) {
            Some(Shortcut::Mic)
        } else if input.consume_key(Modifiers::NONE, Key::V) {
            Some(Shortcut::Camera)
        } else if input.consume_key(Modifiers::NONE, Key::P) {
            Some(Shortcut::PopOut)
        } else if !menu && input.key_pressed(Key::Escape) {
            Some(Shortcut::Close)
        } else if !focused && input.consume_key(Modifiers::NONE, Key::Enter) {
            Some(Shortcut::Enter)
        } else {
            None
        }
    })
}
