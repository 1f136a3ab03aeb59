//! One training, and its results for all variants that share it.

use std::collections::BTreeMap;
use std::error::Error;

use glassbox_engine::backend::{Session, State};
use glassbox_engine::losses::Loss;
use glassbox_engine::model::Network;
use glassbox_engine::samples::Samples;
use glassbox_engine::training::{Callback, EpochEnd, Flow};

use super::schema::FitResult;
use super::variants::{Training, VARIANTS, Weights};
use glassbox::Device;
use glassbox_pipeline::reconstruction::{ErrorMeasure, PREDICT_BATCH, measured_errors};
use glassbox_pipeline::training::{TrainOptions, train_autoencoder};

/// The windows of both series.
pub(super) struct Windows<'a> {
    pub(super) train: Samples<'a, f32>,
    pub(super) test: Samples<'a, f32>,
}

/// The errors of all windows of both series, in standard deviations of the training series.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Errors {
    pub(super) train: Vec<f64>,
    pub(super) test: Vec<f64>,
}

/// Errors, by the weights and by the measure.
type ErrorsBy = BTreeMap<(Weights, ErrorMeasure), Errors>;

/// The results of a training.
#[derive(Debug)]
pub(super) struct Fit {
    pub(super) result: FitResult,
    pub(super) errors: ErrorsBy,
}

/// Floating-point operations of a training step, for each sample.
pub(super) fn cost(model: &Network) -> f64 {
    let program = model.training_program(Loss::default());
    program.costs(model.layout(), size_of::<f32>()).iter().map(|cost| cost.flops() as f64).sum()
}

/// Trains, and reconstructs all windows with the weights that a variant asks for.
pub(super) fn fit(
    training: &Training,
    model: &Network,
    device: &Device,
    windows: &Windows<'_>,
    options: &TrainOptions,
) -> Result<Fit, glassbox::Error> {
    let needed = |weights| VARIANTS.iter().any(|v| v.training == training.name && v.weights == weights);
    // The run ends with the best weights, and the last ones are picked up on the way: one training has both.
    let mut options = options.clone();
    if let Some(early_stopping) = &mut options.fit.early_stopping {
        early_stopping.restore_best_weights = true;
    }
    let mut last = LastWeights::default();
    let mut trained = train_autoencoder(device, model, None, windows.train, &options, vec![&mut last])?;

    let history = &trained.fitted.history;
    let best = |best: usize, epoch: usize| {
        if history.val_loss[epoch] < history.val_loss[best] { epoch } else { best }
    };
    let best_epoch = (0..history.val_loss.len()).fold(0, best);
    let mut errors = ErrorsBy::new();
    let session = trained.model.session(PREDICT_BATCH)?;
    let best_weights = session.state()?.weights;
    for (which, weights) in [(Weights::Best, &best_weights), (Weights::Last, &last.0)] {
        if needed(which) {
            let state = State::new(weights.clone(), &options.optimizer);
            session.set_state(&state)?;
            errors.extend(errors_of(session, windows, which)?);
        }
    }
    let result = FitResult {
        seed: options.seed,
        epochs: history.loss.len(),
        best_epoch,
        loss: history.loss.last().copied().unwrap_or(f64::NAN),
        val_loss: history.val_loss.last().copied().unwrap_or(f64::NAN),
        seconds: trained.fitted.duration.as_secs_f64(),
    };
    Ok(Fit { result, errors })
}

fn errors_of(
    session: &mut dyn Session<f32>,
    windows: &Windows<'_>,
    weights: Weights,
) -> Result<ErrorsBy, glassbox::Error> {
    const MEASURES: [ErrorMeasure; 2] = [ErrorMeasure::Mean, ErrorMeasure::LastStep];
    let [train_mean, train_last] = measured_errors(session, &windows.train, MEASURES, &mut |_, _| ())?;
    let [test_mean, test_last] = measured_errors(session, &windows.test, MEASURES, &mut |_, _| ())?;
    Ok(ErrorsBy::from([
        ((weights, ErrorMeasure::Mean), Errors { train: train_mean, test: test_mean }),
        ((weights, ErrorMeasure::LastStep), Errors { train: train_last, test: test_last }),
    ]))
}

/// Keeps the weights of the last epoch.
#[derive(Default)]
struct LastWeights(Vec<f32>);

impl Callback<f32> for LastWeights {
    fn on_epoch_end(&mut self, end: &EpochEnd<'_, f32>) -> Result<Flow, Box<dyn Error + Send + Sync>> {
        self.0.clone_from(&end.checkpoint.state.weights);
        Ok(Flow::Continue)
    }
}
