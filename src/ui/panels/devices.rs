//! The three device pickers, on the pre-join screen and in the settings.

use egui::Ui;

use crate::engine::Command;
use crate::engine::view::{DeviceState, HearMyself};
use crate::media::device::{CameraChoice, DeviceInfo, MicChoice, SpeakerChoice};
use crate::ui::app::Cx;
use crate::ui::files::FileKind;
use crate::ui::icons::Icon;
use crate::ui::strings;
use crate::ui::theme::tokens;
use crate::ui::widgets::{Button, Choice, Kind, icon_line, picker, progress};

/// A line of a picker: something that can be chosen at once, or a file that has to be asked for.
enum Pick<T> {
    Now(T),
    File,
}

/// The lines of a picker, and what it says while closed.
fn lines<T: PartialEq + Clone>(
    fixed: Vec<(T, &str)>,
    devices: &[DeviceInfo],
    chosen: &T,
    device: impl Fn(String) -> T,
    described: impl Fn(&T) -> Option<String>,
    files: bool,
) -> (String, Vec<Choice<Pick<T>>>) {
    let mut lines: Vec<(T, String)> = Vec::new();
    let (first, rest) = fixed.split_first().map_or((None, &[][..]), |(first, rest)| (Some(first), rest));
    lines.extend(first.map(|(value, words)| (value.clone(), (*words).to_owned())));
    for info in devices {
        // A device can be remembered by its id or by its name.
        let by_name = device(info.name.clone());
        let value = if *chosen == by_name { by_name } else { device(info.id.clone()) };
        lines.push((value, info.name.clone()));
    }
    lines.extend(rest.iter().map(|(value, words)| (value.clone(), (*words).to_owned())));
    let listed = lines.iter().find(|(value, _)| value == chosen).map(|(_, words)| words.clone());
    let shown = match listed {
        Some(words) => words,
        None => {
            let words = described(chosen).unwrap_or_default();
            lines.push((chosen.clone(), words.clone()));
            words
        }
    };
    let mut choices: Vec<_> = lines
        .into_iter()
        .map(|(value, words)| Choice { chosen: value == *chosen, value: Pick::Now(value), words })
        .collect();
    if files {
        choices.push(Choice { value: Pick::File, words: strings::CHOOSE_FILE.to_owned(), chosen: false });
    }
    (shown, choices)
}

fn file_name(path: &std::path::Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn missing(id: &str) -> String {
    format!("{id} · {}", strings::NOT_CONNECTED)
}

/// Which camera.
pub(crate) fn camera(ui: &mut Ui, cx: &mut Cx<'_>) {
    let chosen: CameraChoice =
        cx.view.settings.camera.as_deref().and_then(|text| text.parse().ok()).unwrap_or_default();
    let (shown, choices) = lines(
        vec![
            (CameraChoice::Default, strings::FIRST_CAMERA),
            (CameraChoice::Test, strings::TEST_PICTURE),
            (CameraChoice::None, strings::NO_CAMERA),
        ],
        &cx.view.devices.cameras,
        &chosen,
        CameraChoice::Device,
        |choice| match choice {
            CameraChoice::File(path) => Some(file_name(path)),
            CameraChoice::Device(id) => Some(missing(id)),
            _ => None,
        },
        true,
    );
    match picker(ui, Icon::Video, strings::CAMERA_DEVICE, &shown, choices) {
        Some(Pick::Now(choice)) => cx.send(Command::ChooseCamera(choice)),
        Some(Pick::File) => cx.ask_for_file(FileKind::Video),
        None => {}
    }
}

/// Which microphone.
pub(crate) fn mic(ui: &mut Ui, cx: &mut Cx<'_>) {
    let chosen: MicChoice = cx.view.settings.mic.as_deref().and_then(|text| text.parse().ok()).unwrap_or_default();
    let (shown, choices) = lines(
        vec![
            (MicChoice::Default, strings::SYSTEM_DEFAULT),
            (MicChoice::Test, strings::TEST_VOICE),
            (MicChoice::None, strings::NO_MICROPHONE),
        ],
        &cx.view.devices.mics,
        &chosen,
        MicChoice::Device,
        |choice| match choice {
            MicChoice::File(path) => Some(file_name(path)),
            MicChoice::Device(id) => Some(missing(id)),
            _ => None,
        },
        true,
    );
    match picker(ui, Icon::Mic, strings::MICROPHONE_DEVICE, &shown, choices) {
        Some(Pick::Now(choice)) => {
            cx.local.heard = false;
            cx.send(Command::ChooseMic(choice));
        }
        Some(Pick::File) => cx.ask_for_file(FileKind::Sound),
        None => {}
    }
}

/// Which speaker.
pub(crate) fn speaker(ui: &mut Ui, cx: &mut Cx<'_>) {
    let chosen: SpeakerChoice =
        cx.view.settings.speaker.as_deref().and_then(|text| text.parse().ok()).unwrap_or_default();
    let (shown, choices) = lines(
        vec![(SpeakerChoice::Default, strings::SYSTEM_DEFAULT), (SpeakerChoice::None, strings::NO_SPEAKER)],
        &cx.view.devices.speakers,
        &chosen,
        SpeakerChoice::Device,
        |choice| match choice {
            SpeakerChoice::Device(id) => Some(missing(id)),
            _ => None,
        },
        false,
    );
    if let Some(Pick::Now(choice)) = picker(ui, Icon::Volume, strings::SPEAKER_DEVICE, &shown, choices) {
        cx.send(Command::ChooseSpeaker(choice));
    }
}

/// Records and plays what others would hear, before a meeting. It needs a microphone.
pub(crate) fn hear_myself(ui: &mut Ui, cx: &mut Cx<'_>) {
    let state = cx.view.own.hear_myself;
    let running = matches!(cx.view.own.mic, DeviceState::Running(_));
    let idle = state == HearMyself::Idle;
    let (icon, words) = match state {
        HearMyself::Idle => (Icon::Mic, strings::HEAR_MYSELF),
        HearMyself::Recording { .. } => (Icon::Volume, strings::HEAR_NOW),
        HearMyself::Playing { .. } => (Icon::X, strings::HEAR_STOP),
    };
    let button = Button::new(Kind::Quiet, words).name(strings::HEAR_MYSELF).icon(icon).compact();
    if button.enabled(running || !idle).show(ui).clicked() {
        cx.send(Command::HearMyself(idle));
    }
    let colour = tokens(ui.ctx()).secondary;
    match state {
        HearMyself::Idle => {}
        HearMyself::Recording { done, .. } => {
            progress(ui, strings::HEAR_MADE, done);
            icon_line(ui, Icon::Mic, strings::HEAR_RECORDING, colour);
        }
        HearMyself::Playing { done } => {
            progress(ui, strings::HEAR_PLAYED, done);
            icon_line(ui, Icon::Volume, strings::HEAR_PLAYING, colour);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(id: &str, name: &str) -> DeviceInfo {
        DeviceInfo { id: id.to_owned(), name: name.to_owned() }
    }

    fn cameras(chosen: &CameraChoice) -> (String, Vec<Choice<Pick<CameraChoice>>>) {
        let fixed =
            vec![(CameraChoice::Default, "default"), (CameraChoice::Test, "test"), (CameraChoice::None, "none")];
        let described = |choice: &CameraChoice| match choice {
            CameraChoice::Device(id) => Some(missing(id)),
            CameraChoice::File(path) => Some(file_name(path)),
            _ => None,
        };
        lines(fixed, &[device("v4l:0", "Front")], chosen, CameraChoice::Device, described, true)
    }

    #[test]
    fn a_device_chosen_by_name_or_by_id_is_shown_by_name() {
        for id in ["v4l:0", "Front"] {
            let (shown, choices) = cameras(&CameraChoice::Device(id.to_owned()));
            assert_eq!(shown, "Front");
            assert_eq!(choices.iter().filter(|choice| choice.chosen).count(), 1);
        }
    }

    #[test]
    fn an_unplugged_device_stays_listed_as_not_connected() {
        let (shown, choices) = cameras(&CameraChoice::Device("Old".to_owned()));
        assert_eq!(shown, "Old · Not connected");
        assert_eq!(choices.len(), 6);
    }

    #[test]
    fn a_file_is_shown_by_its_name_alone() {
        let (shown, _) = cameras(&CameraChoice::File("/somewhere/private/talk.y4m".into()));
        assert_eq!(shown, "talk.y4m");
    }

    #[test]
    fn real_devices_stand_before_the_built_in_ones() {
        let (_, choices) = cameras(&CameraChoice::Default);
        let words: Vec<_> = choices.iter().map(|choice| choice.words.as_str()).collect();
        assert_eq!(words, ["default", "Front", "test", "none", strings::CHOOSE_FILE]);
    }
}
