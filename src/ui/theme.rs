//! Every colour, radius, space and type size, and how they reach egui. Nothing else in the window names a literal.

use std::sync::Arc;

use egui::style::{ScrollStyle, TextCursorStyle, WidgetVisuals};
use egui::{
    Color32, Context, CornerRadius, FontData, FontDefinitions, FontFamily, FontId, Margin, Shadow, Stroke, TextStyle,
    Theme, Visuals, vec2,
};

use crate::settings::Appearance;

/// Distances in points.
pub mod space {
    /// Between an icon and its word.
    pub const XS: f32 = 4.0;
    /// Between things that belong together.
    pub const S: f32 = 8.0;
    /// Inside controls.
    pub const M: f32 = 12.0;
    /// Between groups.
    pub const L: f32 = 16.0;
    /// Around a card's contents.
    pub const XL: f32 = 24.0;
    /// Around a screen's contents.
    pub const XXL: f32 = 32.0;
}

/// Corner radii in points.
pub mod radius {
    /// Buttons, fields.
    pub const CONTROL: u8 = 6;
    /// Cards, banners.
    pub const CARD: u8 = 10;
    /// Pictures.
    pub const TILE: u8 = 12;
    /// Sheets.
    pub const SHEET: u8 = 16;
    /// Fully round ends.
    pub const ROUND: u8 = 255;
}

/// Type sizes in points.
pub mod size {
    /// Captions.
    pub const CAPTION: f32 = 12.0;
    /// Body.
    pub const BODY: f32 = 14.0;
    /// Lead lines and the primary action.
    pub const LEAD: f32 = 16.0;
    /// Titles of sheets and panels.
    pub const TITLE: f32 = 20.0;
    /// Titles of screens.
    pub const DISPLAY: f32 = 28.0;
    /// Safety numbers.
    pub const CODE: f32 = 24.0;
}

/// Sizes of controls in points.
pub mod control {
    /// The least height of anything that is pressed.
    pub const TARGET: f32 = 36.0;
    /// Ordinary buttons and fields.
    pub const HEIGHT: f32 = 40.0;
    /// Buttons of the toolbar, and the primary action of a screen.
    pub const TOOL: f32 = 48.0;
    /// An icon in a control.
    pub const ICON: f32 = 18.0;
    /// An icon in the toolbar.
    pub const TOOL_ICON: f32 = 20.0;
    /// The side panel.
    pub const PANEL: f32 = 320.0;
    /// The column of screens with one column.
    pub const COLUMN: f32 = 480.0;
}

/// How long a change of state takes to show, in seconds.
pub const MOTION: f32 = 0.14;

/// The colours of one appearance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Behind everything.
    pub background: Color32,
    /// Cards, sheets, panels, bars.
    pub surface: Color32,
    /// Fields, quiet buttons, and what stands out from a surface.
    pub raised: Color32,
    /// Lines between things.
    pub hairline: Color32,
    /// The edge of something that can be changed.
    pub control_border: Color32,
    /// Text.
    pub text: Color32,
    /// Text that explains.
    pub secondary: Color32,
    /// Captions and hints.
    pub muted: Color32,
    /// Links, the focus ring, whoever speaks.
    pub accent_text: Color32,
    /// The primary action.
    pub accent_fill: Color32,
    /// Verified, and nothing else.
    pub verified: Color32,
    /// Degraded, or unverified after a change.
    pub warning: Color32,
    /// What went wrong.
    pub danger_text: Color32,
    /// Leave, muted, mismatch.
    pub danger_fill: Color32,
    /// Text on a filled button.
    pub on_fill: Color32,
    /// Behind words that lie over a picture.
    pub scrim: Color32,
    /// Words over a picture.
    pub on_scrim: Color32,
    /// Verified, over a picture.
    pub verified_on_scrim: Color32,
    /// Warning, over a picture.
    pub warning_on_scrim: Color32,
    /// Danger, over a picture.
    pub danger_on_scrim: Color32,
    /// Whoever speaks, around a picture.
    pub speaking: Color32,
    /// Lies over the screen while a sheet is open.
    pub backdrop: Color32,
    /// Under what is lifted.
    pub shadow: Color32,
    /// The paper of a QR code.
    pub paper: Color32,
    /// The ink of a QR code.
    pub ink: Color32,
}

const fn rgb(hex: u32) -> Color32 {
    Color32::from_rgb((hex >> 16) as u8, (hex >> 8) as u8, hex as u8)
}

/// `hex` at `alpha`/255 in the premultiplied form that egui wants.
const fn rgba(hex: u32, alpha: u32) -> Color32 {
    let (r, g, b) = ((hex >> 16) & 255, (hex >> 8) & 255, hex & 255);
    Color32::from_rgba_premultiplied(
        (r * alpha / 255) as u8,
        (g * alpha / 255) as u8,
        (b * alpha / 255) as u8,
        alpha as u8,
    )
}

/// Dark.
pub const DARK: Tokens = Tokens {
    background: rgb(0x0F1316),
    surface: rgb(0x171C20),
    raised: rgb(0x20272C),
    hairline: rgb(0x333D44),
    control_border: rgb(0x6B7881),
    text: rgb(0xE8EDEF),
    secondary: rgb(0xA9B4BA),
    muted: rgb(0x84919A),
    accent_text: rgb(0x7DB0F2),
    accent_fill: rgb(0x2D6CBF),
    verified: rgb(0x63C79A),
    warning: rgb(0xE0A33E),
    danger_text: rgb(0xF27B72),
    danger_fill: rgb(0xC23B34),
    on_fill: rgb(0xFFFFFF),
    scrim: rgba(0x0F1316, 224),
    on_scrim: rgb(0xE8EDEF),
    verified_on_scrim: rgb(0x63C79A),
    warning_on_scrim: rgb(0xE0A33E),
    danger_on_scrim: rgb(0xF27B72),
    speaking: rgb(0x7DB0F2),
    backdrop: rgba(0x05080A, 170),
    shadow: rgba(0x000000, 90),
    paper: rgb(0xFFFFFF),
    ink: rgb(0x0F1316),
};

/// Light.
pub const LIGHT: Tokens = Tokens {
    background: rgb(0xF6F8F8),
    surface: rgb(0xFFFFFF),
    raised: rgb(0xEDF1F1),
    hairline: rgb(0xD5DCDD),
    control_border: rgb(0x7C8A8E),
    text: rgb(0x14191C),
    secondary: rgb(0x4A565C),
    muted: rgb(0x616E75),
    accent_text: rgb(0x1F5FAE),
    accent_fill: rgb(0x1F5FAE),
    verified: rgb(0x1F7A4D),
    warning: rgb(0x8A5A00),
    danger_text: rgb(0xB3312A),
    danger_fill: rgb(0xB3312A),
    backdrop: rgba(0x14191C, 110),
    shadow: rgba(0x14191C, 34),
    ..DARK
};

/// The colours in force.
pub fn tokens(ctx: &Context) -> &'static Tokens {
    match ctx.theme() {
        Theme::Dark => &DARK,
        Theme::Light => &LIGHT,
    }
}

/// How heavy text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Running text.
    Regular,
    /// Labels of controls.
    Medium,
    /// Titles.
    Strong,
    /// Fixed width, for codes.
    Code,
}

/// The font of a size and weight.
pub fn font(size: f32, weight: Weight) -> FontId {
    let family = match weight {
        Weight::Regular => FontFamily::Proportional,
        Weight::Medium => FontFamily::Name("medium".into()),
        Weight::Strong => FontFamily::Name("strong".into()),
        Weight::Code => FontFamily::Monospace,
    };
    FontId::new(size, family)
}

/// Makes egui look like Conclave: fonts, both appearances, icons. Call it once for a context, before its first pass.
pub fn install(ctx: &Context) {
    ctx.set_fonts(fonts());
    for (theme, tokens) in [(Theme::Dark, &DARK), (Theme::Light, &LIGHT)] {
        ctx.style_mut_of(theme, |style| restyle(style, tokens));
    }
    ctx.options_mut(|options| options.fallback_theme = Theme::Dark);
    egui_extras::install_image_loaders(ctx);
    super::icons::install(ctx);
}

/// Follows the setting.
pub fn apply(ctx: &Context, appearance: Appearance) {
    let wanted = match appearance {
        Appearance::System => egui::ThemePreference::System,
        Appearance::Dark => egui::ThemePreference::Dark,
        Appearance::Light => egui::ThemePreference::Light,
    };
    if ctx.options(|options| options.theme_preference) != wanted {
        ctx.set_theme(wanted);
    }
}

fn fonts() -> FontDefinitions {
    let mut fonts = FontDefinitions::empty();
    let files: [(&str, &'static [u8]); 4] = [
        ("inter-regular", include_bytes!("../../assets/fonts/Inter-Regular.otf")),
        ("inter-medium", include_bytes!("../../assets/fonts/Inter-Medium.otf")),
        ("inter-strong", include_bytes!("../../assets/fonts/Inter-SemiBold.otf")),
        ("mono", include_bytes!("../../assets/fonts/JetBrainsMono-Medium.ttf")),
    ];
    for (name, bytes) in files {
        fonts.font_data.insert(name.to_owned(), Arc::new(FontData::from_static(bytes)));
    }
    let families: [(FontFamily, &str); 4] = [
        (FontFamily::Proportional, "inter-regular"),
        (FontFamily::Name("medium".into()), "inter-medium"),
        (FontFamily::Name("strong".into()), "inter-strong"),
        (FontFamily::Monospace, "mono"),
    ];
    for (family, first) in families {
        // Whatever the first lacks (an arrow, a box), one of the others may have.
        let mut list = vec![first.to_owned()];
        list.extend(["inter-regular", "mono"].iter().filter(|name| **name != first).map(|name| (*name).to_owned()));
        fonts.families.insert(family, list);
    }
    fonts
}

fn restyle(style: &mut egui::Style, t: &Tokens) {
    style.text_styles = [
        (TextStyle::Small, font(size::CAPTION, Weight::Regular)),
        (TextStyle::Body, font(size::BODY, Weight::Regular)),
        (TextStyle::Button, font(size::BODY, Weight::Medium)),
        (TextStyle::Heading, font(size::TITLE, Weight::Strong)),
        (TextStyle::Monospace, font(size::BODY, Weight::Code)),
    ]
    .into();
    style.animation_time = MOTION;
    style.interaction.selectable_labels = false;
    style.interaction.tooltip_delay = 0.4;

    let spacing = &mut style.spacing;
    spacing.item_spacing = vec2(space::S, space::S);
    spacing.button_padding = vec2(space::M, space::S);
    spacing.interact_size = vec2(control::TARGET, control::TARGET);
    spacing.menu_margin = Margin::same(space::XS as i8);
    spacing.slider_rail_height = 4.0;
    spacing.tooltip_width = 320.0;
    spacing.scroll =
        ScrollStyle { bar_width: 6.0, floating_width: 6.0, bar_outer_margin: 2.0, ..ScrollStyle::floating() };
    spacing.scroll.fade.strength = 0.0;

    let mut visuals = if *t == LIGHT { Visuals::light() } else { Visuals::dark() };
    visuals.override_text_color = Some(t.text);
    visuals.weak_text_color = Some(t.muted);
    visuals.hyperlink_color = t.accent_text;
    visuals.faint_bg_color = t.raised;
    visuals.extreme_bg_color = t.raised;
    visuals.text_edit_bg_color = Some(t.raised);
    visuals.code_bg_color = t.raised;
    visuals.warn_fg_color = t.warning;
    visuals.error_fg_color = t.danger_text;
    visuals.panel_fill = t.background;
    visuals.window_fill = t.surface;
    visuals.window_stroke = Stroke::new(1.0, t.hairline);
    visuals.window_corner_radius = CornerRadius::same(radius::SHEET);
    visuals.menu_corner_radius = CornerRadius::same(radius::CARD);
    visuals.window_shadow = shadow(t);
    visuals.popup_shadow = shadow(t);
    visuals.selection.bg_fill = t.accent_fill.gamma_multiply(0.45);
    visuals.selection.stroke = Stroke::new(1.0, t.text);
    visuals.text_cursor = TextCursorStyle { stroke: Stroke::new(2.0, t.accent_text), ..visuals.text_cursor };
    visuals.button_frame = true;
    visuals.slider_trailing_fill = true;
    visuals.handle_shape = egui::style::HandleShape::Circle;
    visuals.image_loading_spinners = false;
    let widget = |fill: Color32, border: Stroke, text: Color32| WidgetVisuals {
        bg_fill: fill,
        weak_bg_fill: fill,
        bg_stroke: border,
        corner_radius: CornerRadius::same(radius::CONTROL),
        fg_stroke: Stroke::new(1.0, text),
        expansion: 0.0,
    };
    visuals.widgets.noninteractive = widget(t.surface, Stroke::new(1.0, t.hairline), t.text);
    visuals.widgets.inactive = widget(t.control_border, Stroke::NONE, t.text);
    visuals.widgets.hovered = widget(t.control_border, Stroke::new(1.0, t.control_border), t.text);
    visuals.widgets.active = widget(t.control_border, Stroke::new(2.0, t.accent_text), t.text);
    visuals.widgets.open = widget(t.raised, Stroke::new(1.0, t.control_border), t.text);
    style.visuals = visuals;
}

/// What lifts a sheet, a bar or a menu off what lies below.
pub fn shadow(t: &Tokens) -> Shadow {
    Shadow { offset: [0, 4], blur: 20, spread: 0, color: t.shadow }
}

/// `from` moved towards `to` by `share` (0..=1).
pub fn mix(from: Color32, to: Color32, share: f32) -> Color32 {
    from.lerp_to_gamma(to, share)
}

/// Seconds that a change takes: none where the person (or a test) asked for stillness.
pub fn motion(ctx: &Context) -> f32 {
    ctx.global_style().animation_time.min(MOTION)
}

/// Contrast of two opaque colours, 1..=21 (WCAG 2.2, "contrast ratio").
pub fn contrast(a: Color32, b: Color32) -> f32 {
    fn luminance(c: Color32) -> f32 {
        let linear = |v: u8| {
            let v = f32::from(v) / 255.0;
            if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(c.r()) + 0.7152 * linear(c.g()) + 0.0722 * linear(c.b())
    }
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `over` laid over `below`, as the screen shows it.
    fn flatten(over: Color32, below: Color32) -> Color32 {
        let rest = 255 - u32::from(over.a());
        let one = |o: u8, b: u8| (u32::from(o) + u32::from(b) * rest / 255).min(255) as u8;
        Color32::from_rgb(one(over.r(), below.r()), one(over.g(), below.g()), one(over.b(), below.b()))
    }

    #[test]
    fn every_text_colour_is_readable_on_every_ground_it_stands_on() {
        for (name, t) in [("dark", &DARK), ("light", &LIGHT)] {
            let grounds = [("background", t.background), ("surface", t.surface), ("raised", t.raised)];
            let texts = [
                ("text", t.text),
                ("secondary", t.secondary),
                ("muted", t.muted),
                ("accent", t.accent_text),
                ("verified", t.verified),
                ("warning", t.warning),
                ("danger", t.danger_text),
            ];
            for (ground, below) in grounds {
                for (text, colour) in texts {
                    let ratio = contrast(colour, below);
                    assert!(ratio >= 4.5, "{name}: {text} on {ground} has {ratio:.2}");
                }
            }
            for (fill, colour) in [("accent", t.accent_fill), ("danger", t.danger_fill)] {
                let ratio = contrast(t.on_fill, colour);
                assert!(ratio >= 4.5, "{name}: words on the {fill} fill have {ratio:.2}");
            }
        }
    }

    #[test]
    fn words_over_a_picture_are_readable_whatever_it_shows() {
        for t in [&DARK, &LIGHT] {
            for picture in [Color32::WHITE, Color32::BLACK, Color32::from_rgb(128, 128, 128)] {
                let ground = flatten(t.scrim, picture);
                for colour in [t.on_scrim, t.verified_on_scrim, t.warning_on_scrim, t.danger_on_scrim] {
                    let ratio = contrast(colour, ground);
                    assert!(ratio >= 4.5, "{colour:?} over {picture:?} has {ratio:.2}");
                }
            }
        }
    }

    #[test]
    fn the_edge_of_a_control_stands_out_from_its_ground() {
        for t in [&DARK, &LIGHT] {
            for ground in [t.background, t.surface, t.raised] {
                assert!(contrast(t.control_border, ground) >= 3.0);
            }
        }
    }

    #[test]
    fn contrast_is_that_of_the_standard() {
        assert!((contrast(Color32::WHITE, Color32::BLACK) - 21.0).abs() < 0.01);
        assert!((contrast(Color32::from_rgb(0x77, 0x77, 0x77), Color32::WHITE) - 4.48).abs() < 0.01);
    }

    #[test]
    fn green_says_verified_and_nothing_else() {
        for t in [&DARK, &LIGHT] {
            for other in [t.accent_text, t.accent_fill, t.warning, t.danger_text, t.danger_fill, t.text, t.secondary] {
                assert_ne!(t.verified, other);
            }
        }
    }
}
