//! The common ground of the readers of containers (zip archives, HDF5 files): the problems that they report, and the limit on
//! compressed content.
//!
//! Content that is stored as it is cannot be larger than its file. Compressed content can: a kilobyte may unpack to a
//! megabyte. So all that one file unpacks is counted, and refused beyond a limit.

/// The default limit on what one file may unpack to, in bytes. Keras compresses nothing, so its own files of any size
/// are below every limit.
pub const UNPACKED: usize = 1 << 28;

/// Why a container cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are what the messages call them")]
pub enum Problem {
    /// It does not follow its format.
    #[error("not a valid {format}: {what}; it is truncated or damaged: copy or save it again")]
    Damaged { format: &'static str, what: String },
    /// It uses a part of its format that is not read.
    #[error("{what}, which is not supported; {advice}")]
    Unsupported { what: String, advice: &'static str },
    /// It unpacks to more than the limit.
    #[error(
        "{what} unpacks to more than {limit} bytes in all, the limit for compressed content; if you trust the file, \
         convert it with a higher limit to one that is not compressed"
    )]
    TooLarge { what: String, limit: usize },
}

/// Counts the bytes that compressed content unpacks to.
#[derive(Debug, Clone, Copy)]
pub struct Unpacked {
    limit: usize,
    left: usize,
}

impl Unpacked {
    /// Allows `limit` bytes in all.
    #[must_use]
    pub fn at_most(limit: usize) -> Self {
        Self { limit, left: limit }
    }

    /// Counts `bytes` more, which `what` unpacks to.
    ///
    /// # Errors
    /// If that is beyond the limit.
    pub fn count(&mut self, bytes: usize, what: &str) -> Result<(), Problem> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(Problem::TooLarge { what: what.into(), limit: self.limit }),
        }
    }
}
