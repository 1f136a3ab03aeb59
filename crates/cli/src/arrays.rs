//! Samples from files: an array for each input of a model, or for each output as its target.

use std::path::PathBuf;

use glassbox::ndarray::{ArrayD, Axis};
use glassbox::{AsSamples as _, side_by_side};
use glassbox_engine::model::Network;
use glassbox_engine::samples::Samples;
use glassbox_engine::shape::Shape;
use glassbox_engine::text::listed;
use glassbox_formats::arrays::read_npy;
use glassbox_pipeline::words::counted;

use crate::failure::{Failure, Kind, OrFail as _};

/// The inputs of a model.
pub(crate) fn inputs(model: &Network) -> Vec<(&str, Shape)> {
    model.inputs().iter().map(|input| (input.name.as_str(), input.shape)).collect()
}

/// The targets of a model: its outputs.
pub(crate) fn targets(model: &Network) -> Vec<(&str, Shape)> {
    model.output_names().into_iter().zip(model.outputs()).collect()
}

/// Checks that an option is given once for each input or output of a model.
pub(crate) fn require_each(option: &str, given: usize, names: &[&str]) -> Result<(), Failure> {
    if given == names.len() {
        return Ok(());
    }
    let times = counted(given, "time", "times");
    let problem =
        format!("{option} is given {times}, and the model has {} of them: {}", names.len(), listed(names));
    Err(Failure::new(Kind::Input, format!("{problem}; give it once for each, in this order")))
}

/// The arrays of the files that an option names.
pub(crate) struct Arrays<'a> {
    option: &'a str,
    files: &'a [PathBuf],
    arrays: Vec<ArrayD<f32>>,
}

impl<'a> Arrays<'a> {
    pub(crate) fn read(option: &'a str, files: &'a [PathBuf]) -> Result<Self, Failure> {
        let arrays = files.iter().map(|file| read_npy(file)).collect::<Result<_, _>>();
        Ok(Self { option, files, arrays: arrays.or_fail(Kind::Input)? })
    }

    /// The steps of a sample of the first array: of a model that leaves them open.
    pub(crate) fn steps(&self) -> usize {
        self.arrays.first().map_or(0, |array| array.shape()[1])
    }

    /// The samples of signals of these names and shapes, side by side if there are several. An array of two axes is
    /// taken as `(n, steps)` where a signal has steps of one channel.
    pub(crate) fn samples(self, signals: &[(&str, Shape)]) -> Result<ArrayD<f32>, Failure> {
        let Self { option, files, mut arrays } = self;
        require_each(option, arrays.len(), &signals.iter().map(|(name, _)| *name).collect::<Vec<_>>())?;
        for (array, (_, shape)) in arrays.iter_mut().zip(signals) {
            if array.ndim() == 2 && (shape.rank(), shape.channels) == (2, 1) {
                array.insert_axis_inplace(Axis(2));
            }
        }
        if arrays.len() == 1 {
            return Ok(arrays.remove(0));
        }
        for ((array, file), (name, shape)) in arrays.iter().zip(files).zip(signals) {
            let found = Samples::shape(&array.as_samples()?);
            if found != *shape {
                let file = file.display();
                return Err(Failure::new(
                    Kind::Input,
                    format!("{file} holds samples of shape {found}, and {name} has shape {shape}"),
                ));
            }
        }
        let arrays: Vec<&dyn glassbox::AsSamples> = arrays.iter().map(|array| array as _).collect();
        Ok(side_by_side(&arrays)?.into_dyn())
    }
}
