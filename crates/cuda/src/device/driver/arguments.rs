//! The arguments of a launch, as the driver reads them.

use std::ffi::c_void;

use super::super::Arg;

/// An argument's value, where the driver can point to it.
pub(super) enum Value {
    /// A pointer or a number.
    Word(u64),
    /// A struct, in words for its alignment.
    Struct(Vec<u64>),
}

impl Value {
    pub(super) fn of(arg: &Arg) -> Self {
        match arg {
            Arg::Memory(memory, offset) => Self::Word(memory.address + *offset as u64),
            Arg::Null => Self::Word(0),
            // The driver reads as many bytes as the parameter has: the first four of a word, on a little-endian
            // machine the number. CUDA knows no other.
            Arg::U32(number) => Self::Word(u64::from(*number)),
            Arg::F32(number) => Self::Word(u64::from(number.to_bits())),
            Arg::Bytes(bytes) => {
                let word = |bytes: &[u8]| {
                    let mut word = [0; 8];
                    word[..bytes.len()].copy_from_slice(bytes);
                    u64::from_le_bytes(word)
                };
                Self::Struct(bytes.chunks(8).map(word).collect())
            }
        }
    }

    pub(super) fn pointer(&self) -> *mut c_void {
        match self {
            Self::Word(word) => std::ptr::from_ref(word).cast_mut().cast(),
            Self::Struct(words) => words.as_ptr().cast_mut().cast(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_laid_out_as_the_kernel_reads_them() {
        let bytes: Vec<u8> = (1..=12).collect();
        let Value::Struct(words) = Value::of(&Arg::Bytes(bytes)) else { panic!("a struct") };
        assert_eq!(words, [0x0807_0605_0403_0201, 0x0C0B_0A09]);
        let Value::Word(word) = Value::of(&Arg::F32(1.0)) else { panic!("a number") };
        assert_eq!(word, 0x3F80_0000);
    }
}
