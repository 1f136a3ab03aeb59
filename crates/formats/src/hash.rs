//! SHA-256 checksums.

use std::fmt;

use sha2::Digest as _;

/// A SHA-256 checksum, displayed as 64 hexadecimal digits.
///
/// ```
/// use glassbox_formats::hash::Sha256;
///
/// let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
/// assert_eq!(Sha256::of(b"abc").to_string(), abc);
/// assert_eq!(Sha256::of(b"abc"), Sha256::from_hex(abc));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// Computes the checksum of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// Reads a checksum from 64 hexadecimal digits, for constants in the source.
    ///
    /// # Panics
    /// If `hex` is not 64 hexadecimal digits; in a constant, that is a compile-time error.
    #[must_use]
    pub const fn from_hex(hex: &str) -> Self {
        assert!(hex.len() == 64, "a SHA-256 has 64 hexadecimal digits");
        let mut rest = hex;
        let mut bytes = [0; 32];
        let mut i = 0;
        while i < 32 {
            let (digits, after) = rest.split_at(2);
            let Ok(byte) = u8::from_str_radix(digits, 16) else { panic!("not a hexadecimal digit") };
            bytes[i] = byte;
            rest = after;
            i += 1;
        }
        Self(bytes)
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256({self})")
    }
}
