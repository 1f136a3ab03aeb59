//! `glassbox predict`

use glassbox::Model;
use glassbox_formats::arrays::{read_npy, write_npy};
use glassbox_formats::model_file::SavedModel;

use super::note;
use crate::args::{ModelArgs, PredictArgs};
use crate::failure::{Failure, Kind, OrFail as _};
use crate::files::{self, Named};

pub(crate) fn run(args: &PredictArgs) -> Result<(), Failure> {
    let _locks = files::claim(&input_files(args), &[("--output", &args.output)])?;
    let x = read_npy(&args.input).or_fail(Kind::Input)?;
    let saved = args.model.load(x.dim().1)?;
    let device = args.compute.device(args.quiet)?;
    let mut model = Model::with_weights(saved.model, saved.weights, device)?;
    let y = model.predict(&x)?;
    if let Some(at) = y.iter().position(|v| !v.is_finite()) {
        let window = at / model.architecture().output_shape().len().max(1);
        return Err(Failure::new(
            Kind::NotFinite,
            format!(
                "the reconstruction of window {window} has a value that is not finite: the input values are too large for this model"
            ),
        ));
    }
    write_npy(&args.output, y.view()).or_fail(Kind::Output)?;
    note(args.quiet, format_args!("wrote {}", args.output.display()));
    Ok(())
}

fn input_files(args: &PredictArgs) -> Vec<Named<'_>> {
    let ModelArgs { model, architecture, weights } = &args.model;
    let model = [("--model", model), ("--architecture", architecture), ("--weights", weights)];
    let model = model.into_iter().filter_map(|(name, path)| Some((name, path.as_deref()?)));
    [("--input", &*args.input)].into_iter().chain(model).collect()
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
