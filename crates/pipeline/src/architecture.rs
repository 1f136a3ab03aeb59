//! The tutorial's model and its family, as code.

use crate::error::{Error, Result};
use glassbox_engine::geometry::Padding;
use glassbox_engine::layers::{
    Activation, Conv1D, Conv1DTranspose, Dense, Dropout, LSTM, RepeatVector, TimeDistributed,
};
use glassbox_engine::model::{Network, Sequential};
use glassbox_engine::shape::Shape;

/// The longest window: far beyond any memory, as a plan of it says, since each step takes hundreds of bytes; and far
/// from any overflow.
const MAX_STEPS: usize = 1 << 40;

/// The family of the tutorial's autoencoder: two layers that narrow a window, two that widen it, one that makes
/// one channel of it. With `same` padding, 7 taps and a stride `s`:
///
/// ```text
/// Conv1D(outer, 7, strides s, relu)   Dropout(rate)   Conv1D(inner, 7, strides s, relu)
/// Conv1DTranspose(inner, 7, strides s, relu)   Dropout(rate)
/// Conv1DTranspose(outer, 7, strides s, relu)   Conv1DTranspose(1, 7)
/// ```
///
/// The default is the tutorial's: 32 and 16 channels, strides of 2, a rate of 0.2.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Autoencoder {
    /// Channels of the outer and of the inner layers.
    pub filters: [usize; 2],
    /// Strides of all layers but the last.
    pub strides: usize,
    /// The rate of both dropout layers; at 0 there are none.
    pub dropout: f64,
}

impl Default for Autoencoder {
    fn default() -> Self {
        Self { filters: [32, 16], strides: 2, dropout: 0.2 }
    }
}

impl Autoencoder {
    /// The model for windows of `time_steps` steps and one channel.
    ///
    /// # Errors
    /// As [`Autoencoder::model_of`].
    ///
    /// # Panics
    /// If there are no filters, the strides are 0, or the rate is not in [0, 1).
    pub fn model(&self, time_steps: usize) -> Result<Network> {
        self.model_of(time_steps, 1)
    }

    /// The model for windows of `time_steps` steps and some channels. The number of its parameters does not depend
    /// on the window's length.
    ///
    /// # Errors
    /// Unless `time_steps` is a multiple of the square of the strides: `same` padding rounds other lengths up, and
    /// the way back would make them longer.
    ///
    /// # Panics
    /// If there are no filters or channels, the strides are 0, or the rate is not in [0, 1).
    pub fn model_of(&self, time_steps: usize, channels: usize) -> Result<Network> {
        let Self { filters: [outer, inner], strides, dropout } = *self;
        let multiple = strides * strides;
        let suggestion =
            time_steps.clamp(multiple, MAX_STEPS / multiple * multiple).next_multiple_of(multiple);
        if time_steps != suggestion {
            return Err(Error::WindowLength { time_steps, strides, multiple, suggestion });
        }
        let mut model = Sequential::new(Shape::new(time_steps, channels));
        let relu = Activation::Relu;
        let encode =
            |filters| Conv1D::new(filters, 7).padding(Padding::Same).strides(strides).activation(relu);
        let decode = |filters| {
            Conv1DTranspose::new(filters, 7).padding(Padding::Same).strides(strides).activation(relu)
        };
        let drop = |model: &mut Sequential| match dropout {
            0.0 => Ok(()),
            rate => model.add(Dropout::new(rate)).map(|_| ()),
        };
        let mut build = || {
            model.add(encode(outer))?;
            drop(&mut model)?;
            model.add(encode(inner))?.add(decode(inner))?;
            drop(&mut model)?;
            model
                .add(decode(outer))?
                .add(Conv1DTranspose::new(channels, 7).padding(Padding::Same))
                .map(|_| ())
        };
        build().expect("sensible arguments, and a length that comes back");
        Ok(model.into())
    }
}

/// The tutorial's autoencoder for windows of `time_steps` steps and one channel: the default [`Autoencoder`].
///
/// ```
/// use glassbox_pipeline::architecture::tutorial_model;
///
/// let model = tutorial_model(288)?;
/// assert_eq!(model.layout().len(), 9505);
/// assert_eq!(model.output_shape(), model.input_shape());
/// assert!(tutorial_model(90).is_err());
/// # Ok::<(), glassbox_pipeline::Error>(())
/// ```
///
/// # Errors
/// Unless `time_steps` is a multiple of 4: see [`Autoencoder::model`].
pub fn tutorial_model(time_steps: usize) -> Result<Network> {
    Autoencoder::default().model(time_steps)
}

/// An autoencoder of recurrent layers for windows of `time_steps` steps and one channel. The encoder reads a window step
/// by step and keeps 32 numbers of it, its last hidden state. The decoder reads these at every step and writes the window.
///
/// ```text
/// LSTM(32)   Dropout(0.2)
/// RepeatVector(time_steps)   LSTM(32, return_sequences)   Dropout(0.2)   TimeDistributed(Dense(1))
/// ```
///
/// ```
/// use glassbox_pipeline::architecture::lstm_model;
///
/// let model = lstm_model(288)?;
/// assert_eq!(model.layout().len(), 12705);
/// assert_eq!(model.output_shape(), model.input_shape());
/// # Ok::<(), glassbox_pipeline::Error>(())
/// ```
///
/// # Errors
/// If `time_steps` is 0, or the gates of all steps are larger than any memory.
pub fn lstm_model(time_steps: usize) -> Result<Network> {
    let mut model = Sequential::new(Shape::new(time_steps, 1));
    model.add(LSTM::new(32))?.add(Dropout::new(0.2))?;
    model.add(RepeatVector::new(time_steps))?;
    model.add(LSTM::new(32).return_sequences(true))?.add(Dropout::new(0.2))?;
    model.add(TimeDistributed::new(Dense::new(1)))?;
    Ok(model.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shapes_are_those_of_the_tutorial() {
        let model = tutorial_model(288).unwrap();
        let shapes: Vec<_> =
            model.layers().iter().map(|layer| (layer.output.steps, layer.output.channels)).collect();
        assert_eq!(shapes, [(144, 32), (144, 32), (72, 16), (144, 16), (144, 16), (288, 32), (288, 1)]);
        let tensors = model.layout().tensors();
        let parameters: Vec<usize> =
            model.layers().iter().map(|layer| model.layout().range(layer.weights.clone()).len()).collect();
        assert_eq!(parameters, [256, 0, 3600, 1808, 0, 3616, 225]);
        assert_eq!(tensors[9].name, "conv1d_transpose_2.bias");
    }

    #[test]
    fn the_recurrent_model_has_a_code_of_rank_1() {
        let model = lstm_model(288).unwrap();
        let axes: Vec<_> = model.layers().iter().map(|layer| layer.output.axes()).collect();
        let (code, sequence) = (vec![32], vec![288, 32]);
        let expected = [&code, &code, &sequence, &sequence, &sequence, &vec![288, 1]];
        assert!(axes.iter().eq(expected), "{axes:?}");
        for time_steps in [0, usize::MAX] {
            assert!(lstm_model(time_steps).is_err(), "{time_steps}");
        }
    }

    #[test]
    fn the_family_gives_windows_back() {
        for (autoencoder, parameters) in [
            (Autoencoder { filters: [64, 32], ..Autoencoder::default() }, 36929),
            (Autoencoder { filters: [16, 8], ..Autoencoder::default() }, 2513),
            (Autoencoder { strides: 4, ..Autoencoder::default() }, 9505),
            (Autoencoder { strides: 1, ..Autoencoder::default() }, 9505),
            (Autoencoder { dropout: 0.0, ..Autoencoder::default() }, 9505),
        ] {
            let model = autoencoder.model(288).unwrap();
            assert_eq!((model.layout().len(), model.output_shape()), (parameters, Shape::new(288, 1)));
            let dropouts =
                model.layers().iter().filter(|layer| layer.layer.class_name() == "Dropout").count();
            assert_eq!(dropouts, if autoencoder.dropout == 0.0 { 0 } else { 2 });
        }
        let error = Autoencoder { strides: 4, ..Autoencoder::default() }.model(296).unwrap_err().to_string();
        assert!(error.contains("multiple of 16") && error.contains("such as 304"), "{error}");
    }

    #[test]
    fn every_length_either_comes_back_or_is_refused() {
        for time_steps in 0..50 {
            match tutorial_model(time_steps) {
                Ok(model) => assert_eq!(model.output_shape(), Shape::new(time_steps, 1)),
                Err(Error::WindowLength { suggestion, .. }) => {
                    assert!(time_steps % 4 != 0 || time_steps == 0);
                    assert!(tutorial_model(suggestion).is_ok());
                }
                Err(error) => panic!("{error}"),
            }
        }
        let error = tutorial_model(90).unwrap_err().to_string();
        assert!(error.contains("windows of 90 steps") && error.contains("such as 92"), "{error}");
        assert!(tutorial_model(usize::MAX).is_err());
    }
}
