//! The tutorial's model, as code.

use glassbox_engine::geometry::Padding;
use glassbox_engine::layers::{Activation, Conv1D, Conv1DTranspose, Dropout};
use glassbox_engine::model::Sequential;
use glassbox_engine::shape::Shape;

/// A window length that the tutorial's model cannot reconstruct.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the tutorial's model halves a window twice and doubles it twice, so windows of {time_steps} step(s) do not \
     come back as long as they were: choose a multiple of 4 from 4 to {MAX_STEPS}, such as {suggestion}, or a \
     model of your own"
)]
pub struct WindowLengthError {
    /// The length asked for, in steps.
    pub time_steps: usize,
    /// A length near it that works.
    pub suggestion: usize,
}

/// The longest window: far beyond any memory, and far from any overflow.
const MAX_STEPS: usize = 1 << 24;

/// The tutorial's autoencoder for windows of `time_steps` steps and one channel:
///
/// ```text
/// Conv1D(32, 7, same, strides 2, relu)   Dropout(0.2)   Conv1D(16, 7, same, strides 2, relu)
/// Conv1DTranspose(16, 7, same, strides 2, relu)   Dropout(0.2)
/// Conv1DTranspose(32, 7, same, strides 2, relu)   Conv1DTranspose(1, 7, same)
/// ```
///
/// The number of its parameters does not depend on the window's length.
///
/// ```
/// use glassbox_pipeline::architecture::tutorial_model;
///
/// let model = tutorial_model(288)?;
/// assert_eq!(model.layout().len(), 9505);
/// assert_eq!(model.output_shape(), model.input_shape());
/// assert!(tutorial_model(90).is_err());
/// # Ok::<(), glassbox_pipeline::architecture::WindowLengthError>(())
/// ```
///
/// # Errors
/// Unless `time_steps` is a multiple of 4: `same` padding with strides 2 rounds an odd length up, and the way
/// back would make it longer.
pub fn tutorial_model(time_steps: usize) -> Result<Sequential, WindowLengthError> {
    let suggestion = time_steps.clamp(4, MAX_STEPS).next_multiple_of(4);
    if time_steps != suggestion {
        return Err(WindowLengthError { time_steps, suggestion });
    }
    let mut model = Sequential::new(Shape::new(time_steps, 1));
    let encode =
        |filters| Conv1D::new(filters, 7).padding(Padding::Same).strides(2).activation(Activation::Relu);
    let decode = |filters| {
        Conv1DTranspose::new(filters, 7).padding(Padding::Same).strides(2).activation(Activation::Relu)
    };
    let mut build = || {
        model.add(encode(32))?.add(Dropout::new(0.2))?.add(encode(16))?;
        model.add(decode(16))?.add(Dropout::new(0.2))?.add(decode(32))?;
        model.add(Conv1DTranspose::new(1, 7).padding(Padding::Same)).map(|_| ())
    };
    build().expect("the arguments are the tutorial's, and a multiple of 4 halves twice");
    Ok(model)
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
    fn every_length_either_comes_back_or_is_refused() {
        for time_steps in 0..50 {
            match tutorial_model(time_steps) {
                Ok(model) => assert_eq!(model.output_shape(), Shape::new(time_steps, 1)),
                Err(error) => {
                    assert!(time_steps % 4 != 0 || time_steps == 0);
                    assert!(tutorial_model(error.suggestion).is_ok());
                }
            }
        }
        let error = tutorial_model(90).unwrap_err().to_string();
        assert!(error.contains("windows of 90 step(s)") && error.contains("such as 92"), "{error}");
        assert!(tutorial_model(usize::MAX).is_err());
    }
}
