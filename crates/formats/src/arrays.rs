//! Reading and writing arrays as `NumPy`'s `.npy` files.
//!
//! Reading returns samples in f32, row by row. It accepts
//! - float32 and float64 of either byte order; float64 is rounded;
//! - three axes, `(n, steps, channels)`, or two: `(n, units)`, or `(n, steps)` of one channel;
//! - C or Fortran order.
//!
//! NaN and infinities are refused, as is everything else. Written files are float32, little-endian, in C order.

use std::path::Path;

use glassbox_engine::text::{excerpt, one_line};
use ndarray::{ArrayD, ArrayView, Dimension};
use ndarray_npy::npy::header::Header;
use ndarray_npy::{ReadNpyExt as _, WriteNpyExt as _};

use crate::atomic;

/// An error of reading or writing an array. `file` is its path as given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are what the messages call them")]
pub enum ArrayError {
    /// The file cannot be opened or read.
    #[error("cannot read {file}: {cause}; check the path, and that the file may be read")]
    Unreadable { file: String, cause: String },
    /// The file is not a valid `.npy` file.
    #[error("{file} is not a valid .npy file: {}; write it again with numpy.save", one_line(problem).up_to(200))]
    Damaged { file: String, problem: String },
    /// The elements have an unsupported type.
    #[error(
        "{file} holds elements of type {}, expected float32 or float64; convert it with astype(\"float32\")",
        excerpt(found)
    )]
    WrongType { file: String, found: String },
    /// The array has an unsupported number of axes.
    #[error(
        "{file} has shape {shape:?}, expected three axes (n, steps, channels), or two, (n, units) or (n, steps) \
         of one channel; reshape it"
    )]
    WrongRank { file: String, shape: Vec<usize> },
    /// The array has no elements.
    #[error("{file} has shape {shape:?}, which holds no values; give at least one sample")]
    Empty { file: String, shape: Vec<usize> },
    /// A value is NaN, infinite, or beyond the range of f32.
    #[error(
        "{file}: the value at {index:?} is {value}, which is not a finite 32-bit number; remove or replace it"
    )]
    NotFinite { file: String, index: Vec<usize>, value: f64 },
    /// The file could not be written.
    #[error(transparent)]
    Write(#[from] atomic::WriteError),
}

/// Reads samples, an array of two or three axes, contiguous in C order and not empty.
///
/// # Errors
/// If the file cannot be read, is damaged, or is not as the module describes. The error names the file and, for a value
/// that is not finite, its index.
pub fn read_npy(path: &Path) -> Result<ArrayD<f32>, ArrayError> {
    let file = path.display().to_string();
    let bytes = std::fs::read(path)
        .map_err(|cause| ArrayError::Unreadable { file: file.clone(), cause: cause.to_string() })?;
    parse_npy(&bytes, &file)
}

/// Writes an array, whole or not at all.
///
/// # Errors
/// If the file cannot be written.
pub fn write_npy<D: Dimension>(path: &Path, array: ArrayView<'_, f32, D>) -> Result<(), ArrayError> {
    // Without this, a view in Fortran order would be written in Fortran order.
    let array = array.as_standard_layout();
    atomic::write_with(path, |out| array.write_npy(out).map_err(std::io::Error::other))?;
    Ok(())
}

/// Reads the bytes of an `.npy` file; `file` is for messages.
///
/// # Errors
/// As [`read_npy`].
pub fn parse_npy(bytes: &[u8], file: &str) -> Result<ArrayD<f32>, ArrayError> {
    let damaged = |problem: String| ArrayError::Damaged { file: file.into(), problem };
    let start = data_start(bytes).map_err(damaged)?;
    let (mut head, data) = bytes.split_at(start);
    let header = Header::from_reader(&mut head).map_err(|problem| damaged(problem.to_string()))?;

    let kind = header.type_descriptor.to_string();
    let width = match kind.trim_matches('\'') {
        "<f4" | ">f4" => 4,
        "<f8" | ">f8" => 8,
        _ => return Err(ArrayError::WrongType { file: file.into(), found: kind }),
    };
    let shape = header.shape.clone();
    // Checked before allocating memory for the number of values in the header.
    let expected = shape.iter().try_fold(width, |bytes: usize, axis| bytes.checked_mul(*axis));
    if expected != Some(data.len()) {
        return Err(damaged(format!(
            "an array of shape {shape:?} and type {kind} does not have {} bytes",
            data.len()
        )));
    }
    if !matches!(shape.len(), 2 | 3) {
        return Err(ArrayError::WrongRank { file: file.into(), shape });
    }
    if data.is_empty() {
        return Err(ArrayError::Empty { file: file.into(), shape });
    }
    let array = match width {
        4 => ArrayD::<f32>::read_npy(bytes).map(|array| samples(&array, file)),
        _ => ArrayD::<f64>::read_npy(bytes).map(|array| samples(&array, file)),
    };
    array.map_err(|problem| damaged(problem.to_string()))?
}

/// The offset of the values. The header's length and the depth of its brackets are checked before its parser runs,
/// which would allocate any length and recurse to any depth.
fn data_start(bytes: &[u8]) -> Result<usize, String> {
    /// `NumPy`'s own limit on the length of a header.
    const LONGEST: usize = 10_000;
    /// The depth of a dictionary with a list of fields, of which one has a shape.
    const DEEPEST: i32 = 4;

    let cut = || "it ends inside its header".to_owned();
    if !bytes.starts_with(b"\x93NUMPY") {
        return Err("it does not start with the bytes of an .npy file".into());
    }
    let version = *bytes.get(6).ok_or_else(cut)?;
    let (fixed, length) = match (version, bytes.get(8..)) {
        (1, Some([a, b, ..])) => (10, usize::from(u16::from_le_bytes([*a, *b]))),
        (2 | 3, Some([a, b, c, d, ..])) => (12, u32::from_le_bytes([*a, *b, *c, *d]) as usize),
        (1..=3, _) => return Err(cut()),
        _ => return Err(format!("it has version {version}, expected 1 to 3")),
    };
    if length > LONGEST {
        return Err(format!("its header of {length} bytes is longer than {LONGEST}"));
    }
    let header = bytes.get(fixed..fixed + length).ok_or_else(cut)?;
    let mut depth = 0;
    for byte in header {
        depth += match byte {
            b'(' | b'[' | b'{' => 1,
            b')' | b']' | b'}' => -1,
            _ => 0,
        };
        if depth > DEEPEST {
            return Err("its header has too many brackets".into());
        }
    }
    Ok(fixed + length)
}

/// Converts to finite values in C order.
fn samples<T: Copy + Into<f64>>(array: &ArrayD<T>, file: &str) -> Result<ArrayD<f32>, ArrayError> {
    for (index, value) in array.indexed_iter() {
        let value: f64 = (*value).into();
        if !(value as f32).is_finite() {
            let index = index.slice().to_vec();
            return Err(ArrayError::NotFinite { file: file.into(), index, value });
        }
    }
    let array = array.mapv(|value| value.into() as f32);
    Ok(array.as_standard_layout().into_owned())
}
