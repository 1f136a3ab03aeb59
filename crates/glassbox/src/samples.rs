//! The input of a model: arrays, or overlapping windows of a series.

use glassbox_engine::Result;
pub use glassbox_engine::samples::Samples;
use ndarray::{ArrayBase, Data, Ix3};

/// Samples that a model reads or predicts, `(n, steps, channels)`: an array of `ndarray`, owned or borrowed, or
/// [`Samples`], a view of the overlapping windows of a series without a copy.
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

impl<S: Data<Elem = f32>> AsSamples for ArrayBase<S, Ix3> {
    fn as_samples(&self) -> Result<Samples<'_, f32>> {
        Samples::from_array(self.view())
    }
}
