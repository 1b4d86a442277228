//! Where randomness comes in: as an argument.
//!
//! Nothing in `crypto` or `protocol` asks the operating system for random bytes, so that every handshake and meeting
//! can be replayed in a test. The source for real meetings lives at the edge, in the engine.

use ring::digest;

use super::secret::Secret;

/// A source of unpredictable bytes.
///
/// An implementation for real use must be a cryptographically secure generator and must not return before it has
/// filled `out` entirely: there is no error to report, because there is no safe way to go on without randomness.
pub trait Entropy: Send {
    /// Fills all of `out`.
    fn fill(&mut self, out: &mut [u8]);
}

/// `N` fresh secret bytes from `entropy`.
pub fn secret<const N: usize>(entropy: &mut dyn Entropy) -> Secret<N> {
    let mut fresh = Secret::new([0; N]);
    entropy.fill(fresh.expose_mut());
    fresh
}

/// A predictable stream for tests and simulations: the same seed gives the same bytes on every platform.
///
/// Never for a meeting: whoever guesses the 64-bit seed knows every key.
pub struct Seeded(pub u64);

impl Entropy for Seeded {
    fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(32) {
            let mut context = digest::Context::new(&digest::SHA256);
            context.update(b"Conclave seeded block");
            context.update(&self.0.to_be_bytes());
            let block = context.finish();
            chunk.copy_from_slice(&block.as_ref()[..chunk.len()]);
            // The next state is a hash as well, so that neighbouring seeds do not give overlapping streams.
            let mut next = digest::Context::new(&digest::SHA256);
            next.update(b"Conclave seeded state");
            next.update(block.as_ref());
            next.update(&self.0.to_be_bytes());
            let mut state = [0; 8];
            state.copy_from_slice(&next.finish().as_ref()[..8]);
            self.0 = u64::from_be_bytes(state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
        let draw = |seed| {
            let mut out = vec![0; 100];
            Seeded(seed).fill(&mut out);
            out
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert_ne!(draw(1)[32..64], draw(2)[..32]);
        let first = draw(1);
        assert_ne!(first[..32], first[32..64]);
    }

    #[test]
    fn two_secrets_in_a_row_differ() {
        let mut entropy = Seeded(3);
        assert!(secret::<32>(&mut entropy) != secret::<32>(&mut entropy));
    }
}
