//! A detector's file: a [model file](glassbox_formats::model_file) with up to six entries more.
//!
//! | metadata | |
//! |---|---|
//! | `glassbox.mean`, `glassbox.std` | the moments of the training series, in raw values |
//! | `glassbox.time_steps` | the length of a window, in steps |
//! | `glassbox.threshold` | the error above which a window is anomalous, in standard deviations of the training series |
//! | `glassbox.sampling_step` | the sampling step of the training series, as `PT5M`; optional |
//! | `glassbox.rows` | the [`Calibration`] of row scores as JSON; optional |
//!
//! The first four are there, or none: then the file holds a plain model. They are decimals with as many digits as give the
//! same bits again.

use std::collections::BTreeMap;
use std::path::Path;

use glassbox_formats::model_file::{ModelFileError, SavedModel};
use glassbox_formats::tensor_file::Entries;
use jiff::SignedDuration;

use super::{Detector, require_series_model};
use crate::detection::Threshold;
use crate::error::{Error, Result};
use crate::rows::Calibration;
use crate::scaler::Scaler;

const MEAN: &str = "glassbox.mean";
const STD: &str = "glassbox.std";
const TIME_STEPS: &str = "glassbox.time_steps";
const THRESHOLD: &str = "glassbox.threshold";
const SAMPLING_STEP: &str = "glassbox.sampling_step";
const ROWS: &str = "glassbox.rows";
const ADVICE: &str = "train the detector anew, or remove all of its entries to get a plain model";

impl Detector {
    /// Writes the detector's file, whole or not at all.
    ///
    /// # Errors
    /// If the weights are not finite, or the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), ModelFileError> {
        self.to_saved_model().save(path)
    }

    /// The content of the detector's file.
    #[must_use]
    pub fn to_saved_model(&self) -> SavedModel {
        // The `Debug` of a float is its shortest exact text.
        let decimal = |value: f64| format!("{value:?}");
        let mut metadata = BTreeMap::from([
            (MEAN.into(), decimal(self.scaler.mean())),
            (STD.into(), decimal(self.scaler.std())),
            (THRESHOLD.into(), decimal(self.threshold.value())),
            (TIME_STEPS.into(), self.time_steps().to_string()),
        ]);
        let step = self.sampling_step.map(|step| (SAMPLING_STEP.into(), step.to_string()));
        let json = |rows| serde_json::to_string(rows).expect("numbers and texts");
        metadata
            .extend(step.into_iter().chain(self.calibration.as_ref().map(|rows| (ROWS.into(), json(rows)))));
        SavedModel { metadata, ..SavedModel::new(self.model.clone(), self.weights.clone()) }
    }

    /// Reads a detector's file.
    ///
    /// # Errors
    /// If the file cannot be read or is damaged, or holds a plain model.
    pub fn load(path: &Path) -> Result<Self> {
        Self::from_saved_model(SavedModel::load(path)?, &path.display().to_string())
    }

    /// The detector of a model file; `file` is for messages.
    ///
    /// # Errors
    /// If the file holds a plain model, or a model that does not reconstruct windows of one channel.
    pub fn from_saved_model(saved: SavedModel, file: &str) -> Result<Self> {
        let SavedModel { model, weights, metadata, .. } = saved;
        let keys = [MEAN, STD, TIME_STEPS, THRESHOLD];
        if keys.iter().all(|key| !metadata.contains_key(*key)) {
            return Err(Error::NotADetector { file: file.into() });
        }
        let entries = Entries { file, metadata: &metadata, advice: ADVICE };
        let text = |key| entries.text(key, &format!("it beside the others of {}", keys.join(", ")));
        for key in keys {
            text(key)?;
        }
        let bad = |key, expected: &str| entries.bad(key, &metadata[key], expected);
        let number = |key| text(key)?.parse::<f64>().map_err(|_| bad(key, "a decimal number"));
        let mean = number(MEAN)?;
        if !mean.is_finite() {
            return Err(bad(MEAN, "a finite number").into());
        }
        let scaler = Scaler::new(mean, number(STD)?).map_err(|_| bad(STD, "a finite number above 0"))?;
        let threshold = Threshold::new(number(THRESHOLD)?).map_err(|_| {
            bad(THRESHOLD, "a finite number that is not negative: it is a mean absolute error")
        })?;
        let steps = model.input_shape().steps;
        if text(TIME_STEPS)?.parse() != Ok(steps) {
            return Err(bad(TIME_STEPS, &format!("{steps}, the steps of the model's input")).into());
        }
        require_series_model(&model)?;
        let step = |text: &String| match text.parse::<SignedDuration>() {
            Ok(step) if step.is_positive() => Ok(step),
            _ => Err(bad(SAMPLING_STEP, "a duration above 0 such as PT5M")),
        };
        let sampling_step = metadata.get(SAMPLING_STEP).map(step).transpose()?;
        let calibration = match metadata.contains_key(ROWS) {
            true => Some(entries.json::<Calibration>(ROWS, "a calibration of row scores")?),
            false => None,
        };
        if let Some(part) = calibration.as_ref().and_then(|rows| rows.problem(steps, 1)) {
            let expected = format!("a calibration of row scores, whose `{part}` fit the model");
            return Err(bad(ROWS, &expected).into());
        }
        Ok(Self { model, weights, scaler, threshold, calibration, sampling_step })
    }
}
