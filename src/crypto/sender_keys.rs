//! The key under which one member seals its media for a while.

use super::{
    entropy::{self, Entropy},
    secret::Secret,
};

/// A sender's base key and its number.
///
/// Each sender draws its own (rotate, don't ratchet): a new one when somebody joins or leaves and every few minutes,
/// and hands it to the members over their pairwise sessions. The keys of the streams come from it (see
/// [`super::frame`]).
pub struct SenderKey {
    /// Counts up by one with every key of this sender in this meeting.
    pub generation: u32,
    /// 32 random bytes.
    pub base: Secret<32>,
}

impl SenderKey {
    /// A fresh key with the number `generation`.
    pub fn fresh(generation: u32, entropy: &mut dyn Entropy) -> Self {
        Self { generation, base: entropy::secret(entropy) }
    }

    /// A second copy, for handing the key to another part of the program.
    pub fn duplicate(&self) -> Self {
        Self { generation: self.generation, base: self.base.duplicate() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::entropy::Seeded;

    #[test]
    fn every_generation_has_a_key_of_its_own() {
        let mut entropy = Seeded(1);
        let (first, second) = (SenderKey::fresh(0, &mut entropy), SenderKey::fresh(1, &mut entropy));
        assert!(first.base != second.base);
        assert!(first.duplicate().base == first.base);
        assert_eq!((first.generation, second.generation), (0, 1));
    }
}
