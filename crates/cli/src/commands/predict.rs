//! `glassbox predict`

use glassbox::Model;
use glassbox_formats::arrays::write_npy;
use glassbox_formats::model_file::{ModelFile, SavedModel};

use super::{architecture_of, note};
use crate::args::{ModelArgs, PredictArgs};
use crate::arrays::{Arrays, inputs, require_each};
use crate::failure::{Failure, Kind, OrFail as _};
use crate::files::{self, Named};

pub(crate) fn run(args: &PredictArgs) -> Result<(), Failure> {
    let outputs: Vec<Named<'_>> = args.output.iter().map(|output| ("--output", &**output)).collect();
    let _locks = files::claim(&input_files(args), &outputs)?;
    let x = Arrays::read("--input", &args.input)?;
    let saved = args.model.load(x.steps())?;
    require_each("--output", args.output.len(), &saved.model.output_names())?;
    let x = x.samples(&inputs(&saved.model))?;
    let device = args.compute.device(args.quiet)?;
    let mut model = Model::with_weights(saved.model, saved.weights, device)?;
    let predictions = model.predict_each(&x)?;
    let bad = predictions.iter().find_map(|y| Some((y, y.iter().position(|v| !v.is_finite())?)));
    if let Some((y, at)) = bad {
        let window = at / (y.len() / y.shape()[0]);
        return Err(Failure::new(
            Kind::NotFinite,
            format!(
                "the reconstruction of window {window} has a value that is not finite: the input values are too large for this model"
            ),
        ));
    }
    for (output, y) in args.output.iter().zip(&predictions) {
        write_npy(output, y.view()).or_fail(Kind::Output)?;
        note(args.quiet, format_args!("wrote {}", output.display()));
    }
    Ok(())
}

fn input_files(args: &PredictArgs) -> Vec<Named<'_>> {
    let ModelArgs { model, architecture, weights } = &args.model;
    let model = [("--model", model), ("--architecture", architecture), ("--weights", weights)];
    let model = model.into_iter().filter_map(|(name, path)| Some((name, path.as_deref()?)));
    let input = args.input.iter().map(|input| ("--input", &**input));
    input.chain(model).collect()
}

impl ModelArgs {
    /// The model, for windows of `steps` steps where its architecture leaves them open.
    fn load(&self, steps: usize) -> Result<SavedModel, Failure> {
        match (&self.model, &self.architecture, &self.weights) {
            (Some(model), ..) => {
                let file = ModelFile::read(model).or_fail(Kind::Input)?;
                let architecture = architecture_of(&file, Some(steps))?;
                file.weights_of(architecture).or_fail(Kind::Input)
            }
            (None, Some(architecture), Some(weights)) => {
                SavedModel::load_parts(architecture, Some(steps), weights).or_fail(Kind::Input)
            }
            _ => unreachable!("the command line asks for one of them"),
        }
    }
}
