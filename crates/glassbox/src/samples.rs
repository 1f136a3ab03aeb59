//! The input of a model: arrays, or overlapping windows of a series.

pub use glassbox_engine::samples::Samples;
use glassbox_engine::{Error, Result};
use ndarray::{Array2, ArrayBase, Data, Dimension};

/// Samples that a model reads or predicts, `(n, steps, channels)` or `(n, units)`: an array of `ndarray`, owned or
/// borrowed, or [`Samples`], a view of the overlapping windows of a series without a copy.
///
/// ```
/// use glassbox::prelude::*;
///
/// let series: Vec<f32> = (0..1000).map(|t| (t as f32 / 8.0).sin()).collect();
/// let windows = Samples::windows(&series, 96, 1)?;            // 905 windows, a view of the 1000 numbers
/// let array = Array3::<f32>::zeros((905, 96, 1));             // the same shape, written out
/// assert_eq!(windows.as_samples()?.len(), array.as_samples()?.len());
/// # Ok::<(), glassbox::Error>(())
/// ```
pub trait AsSamples {
    /// The samples as a view.
    ///
    /// # Errors
    /// If an array is not contiguous in row-major order; `as_standard_layout()` makes a copy that is.
    fn as_samples(&self) -> Result<Samples<'_, f32>>;
}

impl AsSamples for Samples<'_, f32> {
    fn as_samples(&self) -> Result<Samples<'_, f32>> {
        Ok(*self)
    }
}

impl<S: Data<Elem = f32>, D: Dimension> AsSamples for ArrayBase<S, D> {
    fn as_samples(&self) -> Result<Samples<'_, f32>> {
        Samples::from_array(self.view())
    }
}

/// Samples of several inputs side by side, `(n, elements of all inputs)`, as a model with several inputs takes them; the
/// same for the targets of several outputs.
///
/// ```
/// use glassbox::prelude::*;
/// use glassbox::side_by_side;
///
/// let (left, right) = (Array3::<f32>::zeros((10, 48, 1)), Array3::<f32>::ones((10, 24, 2)));
/// assert_eq!(side_by_side(&[&left, &right])?.dim(), (10, 96));
/// # Ok::<(), glassbox::Error>(())
/// ```
///
/// # Errors
/// If the inputs have different numbers of samples, or one cannot be read ([`AsSamples::as_samples`]).
pub fn side_by_side(inputs: &[&dyn AsSamples]) -> Result<Array2<f32>> {
    let inputs = inputs.iter().map(|input| input.as_samples()).collect::<Result<Vec<_>>>()?;
    let count = inputs.first().map_or(0, Samples::len);
    if let Some(other) = inputs.iter().find(|input| input.len() != count) {
        return Err(Error::Mismatch {
            what: "inputs side by side".into(),
            expected: format!("{count} samples of each, as of the first"),
            found: format!("{} of another", other.len()),
        });
    }
    let width = inputs.iter().map(|input| input.shape().len()).sum();
    let rows = (0..count).flat_map(|sample| inputs.iter().flat_map(move |input| input.get(sample)));
    let values = rows.copied().collect();
    Ok(Array2::from_shape_vec((count, width), values).expect("a row for each sample"))
}
