//! The key under which one member seals its media for a while.

use super::{kdf, secret::Secret};

/// A sender's base key and its number.
///
/// Each sender draws its own (rotate, don't ratchet): a new one when somebody joins or leaves and every few minutes,
/// and hands it to the members over their pairwise sessions. The keys of the streams come from it (see
/// [`super::frame`]).
pub struct SenderKey {
    /// Counts up by one with every key of this sender in this meeting.
    pub generation: u32,
    /// SFrame base key (RFC 9605 §4.2) of all this sender's streams.
    pub base: Secret<32>,
}

impl SenderKey {
    /// The key with the number `generation` that comes of 32 random bytes handed out and the hash of the roster entry whose
    /// members they were handed to: HKDF(bytes, salt = hash, "sender key"). Whoever holds another list has another key.
    pub fn bound(generation: u32, handed_out: &Secret<32>, roster: &[u8; 32]) -> Self {
        Self { generation, base: kdf::derive(handed_out.expose(), roster, "sender key") }
    }

    /// A second copy, for handing the key to another part of the program.
    pub fn duplicate(&self) -> Self {
        Self { generation: self.generation, base: self.base.duplicate() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_belongs_to_the_list_that_it_was_drawn_for() {
        let handed_out = Secret::new([1; 32]);
        let key = SenderKey::bound(1, &handed_out, &[2; 32]);
        assert!(key.base == SenderKey::bound(1, &handed_out, &[2; 32]).base);
        assert!(key.base != SenderKey::bound(1, &handed_out, &[3; 32]).base);
        assert!(key.base != SenderKey::bound(1, &Secret::new([9; 32]), &[2; 32]).base);
        assert!(key.duplicate().base == key.base);
    }
}
