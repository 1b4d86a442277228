//! What happens once and is not a state.

/// How serious a toast is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// For information.
    Neutral,
    /// Something went well that the person had asked for.
    Good,
    /// Something needs attention.
    Warning,
    /// Something failed.
    Danger,
}

/// A thing that happens once: the window shows a toast or plays a sound, then forgets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A sentence for the person.
    Toast {
        /// How serious.
        tone: Tone,
        /// The sentence, ready to be read.
        text: String,
    },
    /// Somebody is at the door.
    Knock,
    /// Somebody came in.
    Joined,
    /// Somebody left.
    Left,
}
