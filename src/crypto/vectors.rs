//! Published test vectors, read from the packages that carry them.
