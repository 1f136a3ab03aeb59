//! A view of many samples, overlapping or not.

use ndarray::{ArrayView, ArrayView2, Dimension};

use crate::error::{Error, NonFinite, Result};
use crate::float::Float;
use crate::shape::Shape;

/// A read-only view of samples of one shape, each a contiguous run of `steps x channels` values.
///
/// Two neighbouring samples are `hop` values apart. For an array `(n, steps, channels)` the hop is the
/// size of a sample. For the overlapping windows of a series it is `channels`: the tutorial's 3745
/// windows of 288 steps are a view of 4032 numbers, and are never written out.
#[derive(Debug, Clone, Copy)]
pub struct Samples<'a, F> {
    data: &'a [F],
    count: usize,
    hop: usize,
    shape: Shape,
}

impl<'a, F: Float> Samples<'a, F> {
    /// All windows of `steps` consecutive steps of a series of `channels` values a step, one step apart.
    ///
    /// ```
    /// use glassbox_engine::samples::Samples;
    ///
    /// let series = [1.0f32, 2.0, 3.0, 4.0];
    /// let windows = Samples::windows(&series, 3, 1)?;
    /// assert_eq!(windows.len(), 2);
    /// assert_eq!(windows.get(1), [2.0, 3.0, 4.0]);
    /// # Ok::<(), glassbox_engine::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the series is shorter than a window, or not a whole number of steps.
    pub fn windows(series: &'a [F], steps: usize, channels: usize) -> Result<Self> {
        let length = series.len() / channels.max(1);
        if steps == 0 || channels == 0 || length * channels != series.len() || length < steps {
            return Err(Error::Mismatch {
                what: format!("windows of {steps} steps and {channels} channels"),
                expected: "a series of at least as many steps, and windows of at least one step".into(),
                found: format!("{} values", series.len()),
            });
        }
        Ok(Self {
            data: series,
            count: length - steps + 1,
            hop: channels,
            shape: Shape::new(steps, channels),
        })
    }

    /// The samples of an array `(n, steps, channels)` that is contiguous, row by row.
    ///
    /// # Errors
    /// If `data` does not hold a whole number of samples, or samples are empty.
    pub fn dense(data: &'a [F], shape: Shape) -> Result<Self> {
        if shape.is_empty() || !data.len().is_multiple_of(shape.len()) {
            return Err(Error::Mismatch {
                what: format!("samples of shape {shape}"),
                expected: format!("a multiple of {} values", shape.len().max(1)),
                found: format!("{} values", data.len()),
            });
        }
        Ok(Self { data, count: data.len() / shape.len(), hop: shape.len(), shape })
    }

    /// The samples of an `ndarray` of shape `(n, steps, channels)` or `(n, units)`.
    ///
    /// # Errors
    /// If the array has another number of axes, or is not contiguous in row-major order.
    pub fn from_array<D: Dimension>(array: ArrayView<'a, F, D>) -> Result<Self> {
        let shape = match *array.shape() {
            [_, units] => Shape::units(units),
            [_, steps, channels] => Shape::new(steps, channels),
            ref axes => {
                return Err(Error::Mismatch {
                    what: "samples from an array".into(),
                    expected: "an array (n, steps, channels) or (n, units)".into(),
                    found: format!("an array of shape {axes:?}"),
                });
            }
        };
        let found = format!("strides {:?} for shape {:?}", array.strides(), array.shape());
        let data = array.to_slice().ok_or(Error::Mismatch {
            what: "samples from an array".into(),
            expected: "an array that is contiguous in row-major order".into(),
            found,
        })?;
        Self::dense(data, shape)
    }

    /// The number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Returns true if there are no samples.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The shape of a sample.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The values under the view, and the distance between the starts of two neighbouring samples, with which a device
    /// gathers the samples itself.
    #[must_use]
    pub fn raw(&self) -> (&'a [F], usize) {
        (self.data, self.hop)
    }

    /// Sample `index`, row by row.
    ///
    /// # Panics
    /// If there is no such sample.
    #[must_use]
    pub fn get(&self, index: usize) -> &'a [F] {
        assert!(index < self.count, "sample {index} of {}", self.count);
        &self.data[index * self.hop..][..self.shape.len()]
    }

    /// Sample `index` as an array `(steps, channels)`.
    ///
    /// # Panics
    /// If there is no such sample.
    #[must_use]
    pub fn view(&self, index: usize) -> ArrayView2<'a, F> {
        ArrayView2::from_shape((self.shape.steps, self.shape.channels), self.get(index))
            .expect("a sample has as many values as its shape")
    }

    /// Samples `start..end`, still as a view.
    ///
    /// # Panics
    /// If the range is not within the samples.
    #[must_use]
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.count, "samples {range:?} of {}", self.count);
        let data = if range.is_empty() { &[] } else { &self.data[range.start * self.hop..] };
        Self { data, count: range.len(), ..*self }
    }

    /// Checks that no value is NaN or infinite.
    ///
    /// # Errors
    /// Names the first sample with such a value, its step and its channel.
    pub fn require_finite(&self, what: &str) -> Result<()> {
        let used = match self.count {
            0 => 0,
            count => (count - 1) * self.hop + self.shape.len(),
        };
        let Some(at) = self.data[..used].iter().position(|v| !v.is_finite()) else { return Ok(()) };
        let sample = (at + 1).saturating_sub(self.shape.len()).div_ceil(self.hop);
        let within = at - sample * self.hop;
        let (step, channel) = (within / self.shape.channels, within % self.shape.channels);
        Err(NonFinite {
            value: self.data[at].wide(),
            place: format!("{what}: sample {sample}, step {step}, channel {channel}"),
            when: None,
        }
        .into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn windows_are_the_slices_of_the_series(length in 1usize..40, steps in 1usize..40, channels in 1usize..4) {
            let series: Vec<f32> = (0..length * channels).map(|i| i as f32).collect();
            match Samples::windows(&series, steps, channels) {
                Err(_) => prop_assert!(length < steps),
                Ok(windows) => {
                    prop_assert_eq!(windows.len(), length - steps + 1);
                    for i in 0..windows.len() {
                        prop_assert_eq!(windows.get(i), &series[i * channels..(i + steps) * channels]);
                    }
                    let tail = windows.slice(1..windows.len());
                    prop_assert_eq!(tail.len(), windows.len() - 1);
                    if !tail.is_empty() {
                        prop_assert_eq!(tail.get(0), windows.get(1));
                    }
                }
            }
        }
    }

    #[test]
    fn a_nan_is_found_and_named() {
        let mut series = vec![0f32; 10];
        series[7] = f32::NAN;
        let windows = Samples::windows(&series, 4, 1).unwrap();
        let error = windows.require_finite("x").unwrap_err().to_string();
        assert!(error.starts_with("x: sample 4, step 3, channel 0 is NaN"), "{error}");
        assert!(windows.slice(0..4).require_finite("x").is_ok());
    }
}
