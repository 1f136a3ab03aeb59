//! A detector's file: a [model file](glassbox_formats::model_file) with up to eight entries more.
//!
//! | metadata | |
//! |---|---|
//! | `glassbox.mean`, `glassbox.std` | the moments of the training series, in raw values; of several columns with spaces between |
//! | `glassbox.time_steps` | the length of a window, in steps |
//! | `glassbox.threshold` | the error above which a window is anomalous, in standard deviations of the training series |
//! | `glassbox.sampling_step` | the sampling step of the training series, as `PT5M`; optional |
//! | `glassbox.columns` | the names of the columns of the training series as a JSON list; optional |
//! | `glassbox.units` | the units of these columns as a JSON list, an empty text for one without; optional |
//! | `glassbox.rows` | the [`Calibration`] of row scores as JSON; optional |
//!
//! The first four are there, or none: then the file holds a plain model. They are decimals with as many digits as give the
//! same bits again.

use std::collections::BTreeMap;
use std::path::Path;

use glassbox_formats::model_file::{ModelFileError, SavedModel};
use glassbox_formats::tensor_file::{Entries, TensorFileError};
use jiff::SignedDuration;

use super::{Detector, require_channels};
use crate::detection::Threshold;
use crate::error::{Error, Result};
use crate::rows::Calibration;
use crate::scaler::Scaler;

const MEAN: &str = "glassbox.mean";
const STD: &str = "glassbox.std";
const TIME_STEPS: &str = "glassbox.time_steps";
const THRESHOLD: &str = "glassbox.threshold";
const SAMPLING_STEP: &str = "glassbox.sampling_step";
const COLUMNS: &str = "glassbox.columns";
const UNITS: &str = "glassbox.units";
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
        let decimals = |moment: fn(&Scaler) -> f64| {
            self.scalers.iter().map(|scaler| decimal(moment(scaler))).collect::<Vec<_>>().join(" ")
        };
        let mut metadata = BTreeMap::from([
            (MEAN.into(), decimals(Scaler::mean)),
            (STD.into(), decimals(Scaler::std)),
            (THRESHOLD.into(), decimal(self.threshold.value())),
            (TIME_STEPS.into(), self.time_steps().to_string()),
        ]);
        let step = self.sampling_step.map(|step| (SAMPLING_STEP.into(), step.to_string()));
        if !self.columns.is_empty() {
            metadata.insert(COLUMNS.into(), serde_json::json!(self.columns).to_string());
        }
        if !self.units.is_empty() {
            metadata.insert(UNITS.into(), serde_json::json!(self.units).to_string());
        }
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
    /// If the file holds a plain model, or a model that does not reconstruct its windows.
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
        let channels = model.input_shape().channels;
        let numbers = |key| -> Result<Vec<f64>, TensorFileError> {
            let numbers: Option<Vec<f64>> = text(key)?.split(' ').map(|number| number.parse().ok()).collect();
            numbers.ok_or_else(|| bad(key, "a decimal number"))
        };
        let (means, stds) = (numbers(MEAN)?, numbers(STD)?);
        for (key, numbers) in [(MEAN, &means), (STD, &stds)] {
            if numbers.len() != channels {
                return Err(
                    bad(key, &format!("{channels} numbers, one for each channel of the model")).into()
                );
            }
        }
        if !means.iter().all(|mean| mean.is_finite()) {
            return Err(bad(MEAN, "a finite number").into());
        }
        let scaler = |(mean, std): (&f64, &f64)| Scaler::new(*mean, *std);
        let scalers = means.iter().zip(&stds).map(scaler).collect::<Result<Vec<_>>>();
        let scalers = scalers.map_err(|_| bad(STD, "a finite number above 0"))?;
        let number = text(THRESHOLD)?.parse().map_err(|_| bad(THRESHOLD, "a decimal number"))?;
        let threshold = Threshold::new(number).map_err(|_| {
            bad(THRESHOLD, "a finite number that is not negative: it is a mean absolute error")
        })?;
        let steps = model.input_shape().steps;
        if text(TIME_STEPS)?.parse() != Ok(steps) {
            return Err(bad(TIME_STEPS, &format!("{steps}, the steps of the model's input")).into());
        }
        require_channels(&model, channels)?;
        let step = |text: &String| match text.parse::<SignedDuration>() {
            Ok(step) if step.is_positive() => Ok(step),
            _ => Err(bad(SAMPLING_STEP, "a duration above 0 such as PT5M")),
        };
        let sampling_step = metadata.get(SAMPLING_STEP).map(step).transpose()?;
        let of_columns = |key| -> Result<Vec<String>> {
            if !metadata.contains_key(key) {
                return Ok(vec![]);
            }
            let texts: Vec<String> = entries.json(key, "a list of texts")?;
            match texts.is_empty() || texts.len() == channels {
                true => Ok(texts),
                false => {
                    Err(bad(key, &format!("{channels} texts, one for each channel of the model")).into())
                }
            }
        };
        let (columns, units) = (of_columns(COLUMNS)?, of_columns(UNITS)?);
        let calibration = match metadata.contains_key(ROWS) {
            true => Some(entries.json::<Calibration>(ROWS, "a calibration of row scores")?),
            false => None,
        };
        if let Some(part) = calibration.as_ref().and_then(|rows| rows.problem(steps, channels)) {
            let expected = format!("a calibration of row scores, whose `{part}` fit the model");
            return Err(bad(ROWS, &expected).into());
        }
        Ok(Self { model, weights, columns, units, scalers, threshold, calibration, sampling_step })
    }
}
