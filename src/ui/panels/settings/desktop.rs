//! What of a meeting is to be seen outside of the window.

use egui::Ui;

use super::change;
use crate::ui::app::Cx;
use crate::ui::strings;
use crate::ui::widgets::switch;

pub(super) fn show(ui: &mut Ui, cx: &mut Cx<'_>) {
    let now = cx.view.settings.desktop.clone();
    if switch(ui, strings::NOTIFY, strings::NOTIFY_EXPLAINED, now.notifications).clicked() {
        change(cx, |new| new.desktop.notifications = !now.notifications);
    }
    if now.notifications
        && switch(ui, strings::NOTIFY_NAMES, strings::NOTIFY_NAMES_EXPLAINED, now.notification_content).clicked()
    {
        change(cx, |new| new.desktop.notification_content = !now.notification_content);
    }
    if switch(ui, strings::TRAY, strings::TRAY_EXPLAINED, now.tray).clicked() {
        change(cx, |new| new.desktop.tray = !now.tray);
    }
    if switch(ui, strings::CLEAR_CLIPBOARD, strings::CLEAR_CLIPBOARD_EXPLAINED, now.clear_clipboard).clicked() {
        change(cx, |new| new.desktop.clear_clipboard = !now.clear_clipboard);
    }
}
