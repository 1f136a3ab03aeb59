//! The autoencoders that people commonly write for time series, beside the tutorial's.

use glassbox_engine::geometry::Padding;
use glassbox_engine::layers::{
    Activation, Conv1D, Dense, Dropout, Flatten, MaxPooling1D, Reshape, UpSampling1D,
};
use glassbox_engine::model::{Network, Sequential};
use glassbox_engine::shape::Shape;
use glassbox_pipeline::Result;

/// The tutorial's model with pooling in the place of strides, and up-sampling in the place of transposed convolutions.
/// It has as many weights.
///
/// ```text
/// Conv1D(32, 7, relu)   MaxPooling1D(2)   Dropout(0.2)   Conv1D(16, 7, relu)   MaxPooling1D(2)
/// UpSampling1D(2)   Conv1D(16, 7, relu)   Dropout(0.2)   UpSampling1D(2)   Conv1D(32, 7, relu)   Conv1D(1, 7)
/// ```
///
/// # Errors
/// If `steps` is 0. Other lengths than multiples of 4 do not come back.
pub(super) fn pooled_model(steps: usize) -> Result<Network> {
    let mut model = Sequential::new(Shape::new(steps, 1));
    let same = |filters| Conv1D::new(filters, 7).padding(Padding::Same);
    let relu = |filters| same(filters).activation(Activation::Relu);
    model.add(relu(32))?.add(MaxPooling1D::new(2))?.add(Dropout::new(0.2))?;
    model.add(relu(16))?.add(MaxPooling1D::new(2))?;
    model.add(UpSampling1D::new(2))?.add(relu(16))?.add(Dropout::new(0.2))?;
    model.add(UpSampling1D::new(2))?.add(relu(32))?.add(same(1))?;
    Ok(model.into())
}

/// An autoencoder of dense layers: the window is one vector.
///
/// ```text
/// Flatten   Dense(64, relu)   Dropout(0.2)   Dense(16, relu)
/// Dense(64, relu)   Dropout(0.2)   Dense(steps)   Reshape(steps, 1)
/// ```
///
/// # Errors
/// If `steps` is 0, or the kernels are larger than any memory.
pub(super) fn dense_model(steps: usize) -> Result<Network> {
    let mut model = Sequential::new(Shape::new(steps, 1));
    let relu = |units| Dense::new(units).activation(Activation::Relu);
    model.add(Flatten)?.add(relu(64))?.add(Dropout::new(0.2))?.add(relu(16))?;
    model.add(relu(64))?.add(Dropout::new(0.2))?.add(Dense::new(steps))?;
    model.add(Reshape::new((steps, 1)))?;
    Ok(model.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_come_back() {
        for (model, parameters) in [(pooled_model(288), 9505), (dense_model(288), 39344)] {
            let model = model.unwrap();
            assert_eq!((model.layout().len(), model.output_shape()), (parameters, Shape::new(288, 1)));
        }
    }
}
