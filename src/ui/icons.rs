//! The icons: one family (Lucide), drawn in whatever colour the words beside them have.

use egui::{Color32, Context, Image, Rect, Ui};

macro_rules! icons {
    ($($(#[$doc:meta])* $name:ident = $file:literal,)*) => {
        /// An icon of `assets/icons`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Icon { $($(#[$doc])* $name,)* }

        impl Icon {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            fn uri(self) -> &'static str {
                match self { $(Self::$name => concat!("bytes://icons/", $file, ".svg"),)* }
            }

            fn svg(self) -> &'static str {
                match self { $(Self::$name => include_str!(concat!("../../assets/icons/", $file, ".svg")),)* }
            }
        }
    };
}

icons! {
    /// Back.
    ArrowLeft = "arrow-left",
    /// Onwards.
    ArrowRight = "arrow-right",
    /// Done, chosen.
    Check = "check",
    /// A list opens here.
    ChevronDown = "chevron-down",
    /// A list closes here.
    ChevronUp = "chevron-up",
    /// Something failed.
    CircleAlert = "circle-alert",
    /// Copies.
    Copy = "copy",
    /// The door.
    DoorOpen = "door-open",
    /// An identity key.
    Fingerprint = "fingerprint",
    /// Waiting.
    Hourglass = "hourglass",
    /// For information.
    Info = "info",
    /// An invite link.
    Link = "link",
    /// Encrypted.
    Lock = "lock",
    /// Microphone on.
    Mic = "mic",
    /// Microphone off.
    MicOff = "mic-off",
    /// Network.
    Network = "network",
    /// Leaves.
    PhoneOff = "phone-off",
    /// A small window.
    PictureInPicture = "picture-in-picture-2",
    /// A QR code.
    QrCode = "qr-code",
    /// Announced nearby.
    RadioTower = "radio-tower",
    /// The router.
    Router = "router",
    /// A relay.
    Server = "server",
    /// Settings.
    Settings = "settings",
    /// Not yet verified.
    Shield = "shield",
    /// Verification failed.
    ShieldAlert = "shield-alert",
    /// Verified.
    ShieldCheck = "shield-check",
    /// Quality of a path.
    Signal = "signal",
    /// Needs attention.
    TriangleAlert = "triangle-alert",
    /// Somebody knocks.
    UserPlus = "user-plus",
    /// People.
    Users = "users",
    /// Camera on.
    Video = "video",
    /// Camera off.
    VideoOff = "video-off",
    /// Sound.
    Volume = "volume-2",
    /// No connection.
    WifiOff = "wifi-off",
    /// Closes.
    X = "x",
    /// Can be seen.
    Eye = "eye",
    /// Cannot be seen.
    EyeOff = "eye-off",
    /// More that can be done.
    More = "ellipsis-vertical",
    /// The door is locked.
    DoorLocked = "door-closed-locked",
    /// Sends somebody out.
    UserMinus = "user-minus",
    /// Is not heard any more.
    Ban = "ban",
    /// The host.
    Crown = "crown",
    /// A co-host.
    UserStar = "user-star",
    /// A link that opens nothing any more.
    Unlink = "unlink",
    /// One more.
    Plus = "plus",
    /// Is written to a file.
    FileDown = "file-down",
    /// A country.
    MapPin = "map-pin",
}

/// Hands every icon to the context, in white, so that it can be tinted.
pub(crate) fn install(ctx: &Context) {
    for icon in Icon::ALL {
        ctx.include_bytes(icon.uri(), icon.svg().replace("currentColor", "#ffffff").into_bytes());
    }
}

/// Paints `icon` into `rect`.
pub fn paint(ui: &Ui, icon: Icon, rect: Rect, colour: Color32) {
    Image::from_uri(icon.uri()).fit_to_exact_size(rect.size()).tint(colour).paint_at(ui, rect);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_icon_is_a_drawing_that_can_be_tinted() {
        for icon in Icon::ALL {
            assert!(icon.svg().contains("<svg"), "{icon:?}");
            assert!(icon.svg().contains("currentColor"), "{icon:?}");
        }
    }
}
