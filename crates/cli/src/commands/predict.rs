//! `glassbox predict`

use glassbox_engine::samples::Samples;
use glassbox_pipeline::arrays::{read_npy, write_npy};
use glassbox_pipeline::model_file::SavedModel;
use glassbox_pipeline::reconstruction::{inference_session, predict};

use crate::args::{ModelArgs, PredictArgs};
use crate::failure::{Failure, Kind, OrFail as _};

pub(crate) fn run(args: &PredictArgs) -> Result<(), Failure> {
    let x = read_npy(&args.input).or_fail(Kind::Input)?;
    let saved = args.model.load(x.dim().1)?;
    let backend = args.compute.backend(false)?;
    let mut session = inference_session(&*backend, &saved.model, &saved.weights)?;
    let y = predict(&mut *session, &Samples::from_array(x.view())?)?;
    if let Some(at) = y.iter().position(|v| !v.is_finite()) {
        let window = at / saved.model.output_shape().len().max(1);
        return Err(Failure::new(
            Kind::NotFinite,
            format!(
                "the reconstruction of window {window} is not finite: its values are too large for the model"
            ),
        ));
    }
    write_npy(&args.output, y.view()).or_fail(Kind::Output)
}

impl ModelArgs {
    /// The model, for windows of `steps` steps where its architecture leaves them open.
    fn load(&self, steps: usize) -> Result<SavedModel, Failure> {
        match (&self.model, &self.architecture, &self.weights) {
            (Some(model), ..) => SavedModel::load(model).or_fail(Kind::Input),
            (None, Some(architecture), Some(weights)) => {
                SavedModel::load_parts(architecture, Some(steps), weights).or_fail(Kind::Input)
            }
            _ => unreachable!("the command line asks for one of them"),
        }
    }
}
