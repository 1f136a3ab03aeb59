//! A detector's file: a [model file](glassbox_formats::model_file) with four entries more.
//!
//! | metadata | |
//! |---|---|
//! | `glassbox.mean`, `glassbox.std` | the moments of the training series, in raw values |
//! | `glassbox.time_steps` | the length of a window, in steps |
//! | `glassbox.threshold` | the error above which a window is anomalous, in standard deviations of the training series |
//!
//! All four are there, or none: then the file holds a plain model. They are decimals with as many digits as give the
//! same bits again.

use std::collections::BTreeMap;
use std::path::Path;

use glassbox_formats::model_file::{ModelFileError, SavedModel};
use glassbox_formats::tensor_file::TensorFileError;

use super::{Detector, DetectorError, require_series_model};
use crate::detection::Threshold;
use crate::scaler::Scaler;

const MEAN: &str = "glassbox.mean";
const STD: &str = "glassbox.std";
const TIME_STEPS: &str = "glassbox.time_steps";
const THRESHOLD: &str = "glassbox.threshold";
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
        let metadata = BTreeMap::from([
            (MEAN.into(), decimal(self.scaler.mean())),
            (STD.into(), decimal(self.scaler.std())),
            (THRESHOLD.into(), decimal(self.threshold.value())),
            (TIME_STEPS.into(), self.time_steps().to_string()),
        ]);
        SavedModel { metadata, ..SavedModel::new(self.model.clone(), self.weights.clone()) }
    }

    /// Reads a detector's file.
    ///
    /// # Errors
    /// If the file cannot be read or is damaged, or holds a plain model.
    pub fn load(path: &Path) -> Result<Self, DetectorError> {
        Self::from_saved_model(SavedModel::load(path)?, &path.display().to_string())
    }

    /// The detector of a model file; `file` is for messages.
    ///
    /// # Errors
    /// If the file holds a plain model, or a model that does not reconstruct windows of one channel.
    pub fn from_saved_model(saved: SavedModel, file: &str) -> Result<Self, DetectorError> {
        let SavedModel { model, weights, metadata, .. } = saved;
        let keys = [MEAN, STD, TIME_STEPS, THRESHOLD];
        if keys.iter().all(|key| !metadata.contains_key(*key)) {
            return Err(DetectorError::NotADetector { file: file.into() });
        }
        let entries = Entries { metadata: &metadata, file };
        let (scaler, threshold) =
            entries.read(&keys, model.input_shape().steps).map_err(ModelFileError::from)?;
        require_series_model(&model)?;
        Ok(Self { model, weights, scaler, threshold })
    }
}

/// The metadata of a file.
struct Entries<'a> {
    metadata: &'a BTreeMap<String, String>,
    file: &'a str,
}

impl Entries<'_> {
    fn read(&self, keys: &[&str], steps: usize) -> Result<(Scaler, Threshold), TensorFileError> {
        if let Some(key) = keys.iter().find(|key| !self.metadata.contains_key(**key)) {
            return Err(TensorFileError::MissingKey {
                file: self.file.into(),
                key: (*key).into(),
                expected: format!("it beside the others of {}", keys.join(", ")),
                advice: ADVICE,
            });
        }
        let mean = self.number(MEAN)?;
        if !mean.is_finite() {
            return Err(self.bad(MEAN, "a finite number"));
        }
        let scaler =
            Scaler::new(mean, self.number(STD)?).map_err(|_| self.bad(STD, "a finite number above 0"))?;
        let threshold = Threshold::new(self.number(THRESHOLD)?).map_err(|_| {
            self.bad(THRESHOLD, "a finite number that is not negative: it is a mean absolute error")
        })?;
        match self.metadata[TIME_STEPS].parse::<usize>() {
            Ok(found) if steps == found => Ok((scaler, threshold)),
            _ => Err(self.bad(TIME_STEPS, &format!("{steps}, the steps of the model's input"))),
        }
    }

    fn number(&self, key: &str) -> Result<f64, TensorFileError> {
        self.metadata[key].parse().map_err(|_| self.bad(key, "a decimal number"))
    }

    fn bad(&self, key: &str, expected: &str) -> TensorFileError {
        TensorFileError::BadKey {
            file: self.file.into(),
            key: key.into(),
            found: self.metadata[key].clone(),
            expected: expected.into(),
            advice: ADVICE,
        }
    }
}
