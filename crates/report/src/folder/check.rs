//! Checks that the files of a folder are complete and of one run.
//!
//! Most of `result.json` follows from the other files: the moments from the series, the anomalies from the errors and the
//! threshold. So it is computed again and compared; an error names the first field that differs. The SHA-256 in `data` is
//! that of the CSV that the run read, not of `train.csv` and `test.csv`, which are in our own format; their values are
//! compared with their moments, and row by row with the windows that the model read.

use std::path::{Path, PathBuf};

use glassbox_pipeline::detector::Detection;
use glassbox_pipeline::results::{Anomalies, ModelInfo, SeriesInfo};
use glassbox_pipeline::scaler::Scaler;
use glassbox_pipeline::series::Series;
use glassbox_pipeline::statistics::Summary;
use glassbox_pipeline::synthetic::Subset;
use serde::Serialize;
use serde_json::Value as Json;

use super::{Folder, FolderError};

/// The error for one file.
fn malformed(path: PathBuf, problem: String) -> FolderError {
    FolderError::Malformed { path, problem }
}

impl Folder {
    /// Checks all files: a page of two runs would be silently wrong.
    pub(super) fn check(&self, dir: &Path) -> Result<(), FolderError> {
        let result = dir.join("result.json");
        self.names().map_err(|problem| malformed(result.clone(), problem))?;
        self.lengths(dir)?;
        self.model(dir)?;
        self.histories().map_err(|problem| malformed(result.clone(), problem))?;
        let fields = [
            (
                "data.train",
                "train.csv",
                follows(&self.result.data.train, &self.series_info(&self.train, true)),
            ),
            ("data.test", "test.csv", follows(&self.result.data.test, &self.series_info(&self.test, false))),
            ("errors.test", "windows.csv", follows(&self.result.errors.test, &Summary::of(&self.errors))),
            ("anomalies", "windows.csv", follows(&self.result.anomalies, &self.anomalies(&result)?)),
        ];
        for (field, file, difference) in fields {
            if let Some(Difference { place, found, expected }) = difference {
                let problem = format!("`{field}{place}` is {found}, expected {expected} from {file}");
                return Err(malformed(result, problem));
            }
        }
        self.windows(dir)
    }

    /// Checks that the names of the series can be drawn: SVG has no control characters.
    fn names(&self) -> Result<(), String> {
        for (field, series) in [("train", &self.train), ("test", &self.test)] {
            if series.name().contains(char::is_control) {
                return Err(format!(
                    "`data.{field}.name` is {:?}, which has control characters",
                    series.name()
                ));
            }
        }
        Ok(())
    }

    /// Checks the number of rows of all files.
    fn lengths(&self, dir: &Path) -> Result<(), FolderError> {
        let result = &self.result;
        let steps = result.config.time_steps;
        let inside = self.inside.as_ref();
        let rows = |of: fn(&glassbox_pipeline::inside::RowMeans) -> usize| {
            inside.map_or(self.test.len(), |i| of(&i.rows))
        };
        let fits = [
            ("train.csv", "rows", self.train.len(), result.data.train.rows),
            ("test.csv", "rows", self.test.len(), result.data.test.rows),
            ("windows.csv", "rows", self.errors.len(), result.anomalies.windows.shape[0]),
            ("first_window.csv", "rows", self.first_window.values.len(), steps),
            ("model.safetensors", "steps a window", self.detector.time_steps(), steps),
            ("inside.safetensors", "rows of the test series", rows(|rows| rows.error.len()), self.test.len()),
            (
                "inside.safetensors",
                "reconstructed rows",
                rows(|rows| rows.reconstruction.len()),
                self.test.len(),
            ),
        ];
        for (name, what, found, expected) in fits {
            if found != expected {
                let problem = format!("it has {found} {what}, and result.json says {expected}");
                return Err(malformed(dir.join(name), problem));
            }
        }
        for (field, shape, series) in [
            ("training.shape", result.training.shape, &self.train),
            ("anomalies.windows.shape", result.anomalies.windows.shape, &self.test),
        ] {
            let windows = (series.len() + 1).saturating_sub(steps);
            if shape != [windows, steps, 1] || windows == 0 {
                let problem = format!(
                    "`{field}` is {shape:?}, and {} rows make {windows} windows of {steps} steps",
                    series.len()
                );
                return Err(malformed(dir.join("result.json"), problem));
            }
        }
        Ok(())
    }

    /// Checks that the model is that of the results.
    fn model(&self, dir: &Path) -> Result<(), FolderError> {
        let (result, detector) = (&self.result, &self.detector);
        let path = dir.join("model.safetensors");
        for (what, found, expected) in [
            ("threshold", detector.threshold.value(), result.threshold),
            ("mean", detector.scaler.mean(), result.training.mean),
            ("standard deviation", detector.scaler.std(), result.training.std),
        ] {
            if found != expected {
                let problem = format!("its {what} is {found}, and that of result.json is {expected}");
                return Err(malformed(path, problem));
            }
        }
        let own = ModelInfo::of(&detector.model);
        match follows(&result.model, &own) {
            Some(Difference { place, found, expected }) => {
                let problem =
                    format!("`model{place}` of result.json is {found}, expected {expected} from this model");
                Err(malformed(path, problem))
            }
            None if own.layers.is_empty() => Err(malformed(path, "its model has no layers".into())),
            None => Ok(()),
        }
    }

    /// Checks the fields that no other file determines: their lengths and counts.
    fn histories(&self) -> Result<(), String> {
        let training = &self.result.training;
        for (field, losses) in [("loss", &training.history.loss), ("val_loss", &training.history.val_loss)] {
            if losses.len() != training.epochs && !(field == "val_loss" && losses.is_empty()) {
                let epochs = training.epochs;
                return Err(format!(
                    "`training.history.{field}` has {} values for {epochs} epochs",
                    losses.len()
                ));
            }
        }
        if let Some(epoch) = training.stopped_epoch
            && epoch >= training.epochs
        {
            return Err(format!(
                "`training.stopped_epoch` is {epoch}, counted from 0, and {} epochs were done",
                training.epochs
            ));
        }
        if let Some(errors) = &self.result.errors.train {
            let histogram = &errors.histogram;
            let (edges, counts) = (histogram.edges.len(), histogram.counts.len());
            if edges != counts + 1 || counts == 0 {
                return Err(format!("`errors.train.histogram.edges` has {edges} values for {counts} counts"));
            }
            if !histogram.edges.is_sorted_by(|a, b| a < b) {
                return Err("`errors.train.histogram.edges` does not ascend".into());
            }
            let windows = self.result.training.shape[0];
            let counted = histogram.counts.iter().try_fold(0usize, |sum, count| sum.checked_add(*count));
            if counted != Some(windows) || errors.count != windows {
                return Err(format!("`errors.train` does not count {windows} windows"));
            }
        }
        Ok(())
    }

    /// The fields of `data` that the values and timestamps of a series determine.
    fn series_info(&self, series: &Series, train: bool) -> SeriesInfo {
        let data = &self.result.data;
        let moments = Scaler::fit(series.values()).ok();
        SeriesInfo {
            rows: series.len(),
            first_timestamp: series.timestamp_text(0),
            last_timestamp: series.timestamp_text(series.len() - 1),
            mean: moments.map(|moments| moments.mean()),
            std: moments.map(|moments| moments.std()),
            ..if train { &data.train } else { &data.test }.clone()
        }
    }

    /// The anomalies, computed from the errors, the threshold and the rule.
    fn anomalies(&self, result: &Path) -> Result<Anomalies, FolderError> {
        let rule = self.result.config.point_rule;
        let detection =
            Detection::new(self.errors.clone(), self.detector.threshold, self.detector.time_steps(), rule)
                .map_err(|problem| malformed(result.into(), problem.to_string()))?;
        Ok(Anomalies::of(&self.test, &detection))
    }

    /// Checks that the windows that the model read are those of the series.
    fn windows(&self, dir: &Path) -> Result<(), FolderError> {
        let steps = self.detector.time_steps();
        let normalised = |series: &Series, file: &str| {
            self.detector
                .scaler
                .normalise(series.values())
                .map_err(|error| malformed(dir.join(file), error.to_string()))
        };
        let (train, test) = (normalised(&self.train, "train.csv")?, normalised(&self.test, "test.csv")?);
        // The CSV has the shortest decimal of each f32; converted from f64 to f32 it is exact.
        let first: Vec<f32> = self.first_window.values.iter().map(|value| *value as f32).collect();
        if let Some(step) = first.iter().zip(&train).position(|(found, expected)| found != expected) {
            let problem = format!(
                "line {}: its value is {}, and row {step} of train.csv, normalised, is {}",
                step + 2,
                first[step],
                train[step]
            );
            return Err(malformed(dir.join("first_window.csv"), problem));
        }
        for observed in self.inside.iter().flat_map(|inside| &inside.windows) {
            let (series, file) =
                if observed.id.series == Subset::Train { (&train, "train.csv") } else { (&test, "test.csv") };
            let window = observed.id.window;
            let rows = window.checked_add(steps).and_then(|end| series.get(window..end));
            let path = dir.join("inside.safetensors");
            let Some(rows) = rows else {
                let problem = format!(
                    "it has a window that begins at row {window}, but {file} has {} rows",
                    series.len()
                );
                return Err(malformed(path, problem));
            };
            if let Some(step) =
                rows.iter().zip(&observed.input).position(|(expected, found)| expected != found)
            {
                let (row, found) = (window + step, observed.input[step]);
                let problem = format!(
                    "its input at row {row} is {found}, and that row of {file}, normalised, is {}",
                    rows[step]
                );
                return Err(malformed(path, problem));
            }
        }
        Ok(())
    }
}

/// The first difference of two documents.
#[derive(Debug, PartialEq)]
struct Difference {
    /// The path, to append to the name of the document: `.indices[3]`.
    place: String,
    /// The value there.
    found: String,
    /// The expected value.
    expected: String,
}

/// The first difference of `found` from `expected`.
fn follows<T: Serialize>(found: &T, expected: &T) -> Option<Difference> {
    // Serialisation of numbers and texts cannot fail.
    let json = |value| serde_json::to_value(value).unwrap_or_default();
    difference("", &json(found), &json(expected))
}

fn difference(place: &str, found: &Json, expected: &Json) -> Option<Difference> {
    let both = |found: String, expected: String| Some(Difference { place: place.into(), found, expected });
    match (found, expected) {
        (Json::Object(found), Json::Object(expected)) => found.iter().find_map(|(key, found)| {
            difference(&format!("{place}.{key}"), found, expected.get(key).unwrap_or(&Json::Null))
        }),
        (Json::Array(found), Json::Array(expected)) => {
            let mut pairs = found.iter().zip(expected).enumerate();
            pairs
                .find_map(|(index, (found, expected))| {
                    difference(&format!("{place}[{index}]"), found, expected)
                })
                .or_else(|| match found.len() == expected.len() {
                    true => None,
                    false => both(format!("{} long", found.len()), format!("{} long", expected.len())),
                })
        }
        _ if found == expected => None,
        // Objects and arrays may be too long for a message.
        (Json::Object(_) | Json::Array(_), _) | (_, Json::Object(_) | Json::Array(_)) => {
            let kind = |json: &Json| if json.is_null() { "none" } else { "something" }.to_string();
            both(kind(found), kind(expected))
        }
        _ => both(found.to_string(), expected.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_difference_is_found_by_its_place() {
        let at = |found: Json, expected: Json| {
            difference("a", &found, &expected).map(|d| (d.place, d.found, d.expected))
        };
        let three =
            |place: &str, found: &str, expected: &str| Some((place.into(), found.into(), expected.into()));
        assert_eq!(at(json!({"b": [1, 2.5]}), json!({"b": [1, 2.5]})), None);
        assert_eq!(at(json!({"b": [1, 2]}), json!({"b": [1, 3]})), three("a.b[1]", "2", "3"));
        assert_eq!(at(json!([1]), json!([1, 3])), three("a", "1 long", "2 long"));
        assert_eq!(at(json!({"b": null}), json!({"b": {"c": 1}})), three("a.b", "none", "something"));
    }
}
