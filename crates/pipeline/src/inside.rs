//! The internals of the autoencoder, captured while a run trains and from its trained model.
//!
//! | what | from | module |
//! |---|---|---|
//! | norms of weights, gradients and updates, epoch by epoch | a [`Callback`](glassbox_engine::training::Callback) | `inside/norms.rs` |
//! | the output of every layer for some windows | [`Session::observe`] | here |
//! | gates and states of recurrent layers for the same windows | the reference [`Interpreter`] | `inside/recurrence.rs` |
//! | how often each ReLU unit is active, and which never are | [`Session::observe`] | `inside/activity.rs` |
//! | what the reconstruction makes of each row of the test series | [`Session::predict`] | `inside/rows.rs` |
//! | the same windows and rows for a series of one's own | a trained detector | `inside/own.rs` |
//! | all of it as a file | safetensors | `inside/file.rs` |
//!
//! [`Interpreter`]: glassbox_engine::reference::Interpreter
//!
//! Off by default; [`TutorialOptions::inside`](crate::tutorial::TutorialOptions::inside) turns it on. Capturing
//! changes no number of the run.

mod activity;
mod file;
mod norms;
mod own;
mod recurrence;
mod rows;

use glassbox_engine::Result;
use glassbox_engine::backend::Session;
use glassbox_engine::model::Network;
use glassbox_engine::samples::Samples;
use serde::{Deserialize, Serialize};

pub use activity::Activity;
pub use norms::{Norms, NormsProbe};
pub use own::SeriesInside;
pub use recurrence::Recurrence;
pub use rows::RowMeans;

use crate::detector::Detection;
use crate::synthetic::Subset;

/// The file in a folder of results.
pub const FILE_NAME: &str = "inside.safetensors";
/// Windows of the test series that are observed at even distances, besides those that are of interest.
const EVENLY: usize = 24;

/// Which window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowId {
    /// Of which series.
    pub series: Subset,
    /// Its first row.
    pub window: usize,
}

/// A window, and what every layer makes of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// Which window.
    pub id: WindowId,
    /// The input of the model, in standard deviations of the training series.
    pub input: Vec<f32>,
    /// The output of each layer, `(steps, channels)` row by row; the last is the reconstruction.
    pub outputs: Vec<Vec<f32>>,
    /// The trace of each [`Recurrence`] of the model, row by row: its gates and states at each step.
    pub traces: Vec<Vec<f32>>,
}

/// All that was captured of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Inside {
    /// The norms, epoch by epoch.
    pub norms: Norms,
    /// Windows, those of the training series first, each in the order of its rows.
    pub windows: Vec<Observed>,
    /// For each layer with a ReLU, its place in the model and how active its units are.
    pub activity: Vec<(usize, Activity)>,
    /// The reconstruction of each row of the test series.
    pub rows: RowMeans,
}

impl Inside {
    /// Looks into a trained model: `train` and `test` are all windows of the two series, normalised, and
    /// `detection` is what was found in the second.
    ///
    /// # Errors
    /// If the device fails.
    pub fn capture(
        session: &mut dyn Session<f32>,
        model: &Network,
        (train, test): (&Samples<'_, f32>, &Samples<'_, f32>),
        detection: &Detection,
        norms: Norms,
    ) -> Result<Self> {
        let mut windows =
            vec![observe(session, WindowId { series: Subset::Train, window: 0 }, train.get(0))?];
        for window in windows_of_interest(detection) {
            windows.push(observe(session, WindowId { series: Subset::Test, window }, test.get(window))?);
        }
        recurrence::trace(model, &session.state()?.weights, &mut windows);
        let activity = activity::of_relus(session, model, train)?;
        let rows = rows::of(session, test)?;
        Ok(Self { norms, windows, activity, rows })
    }
}

/// One window through all layers.
fn observe(session: &mut dyn Session<f32>, id: WindowId, input: &[f32]) -> Result<Observed> {
    let mut outputs = vec![vec![]; session.plan().layer_names.len()];
    session.observe(input, &mut |layer, y| outputs[layer] = y.to_vec())?;
    Ok(Observed { id, input: input.to_vec(), outputs, traces: vec![] })
}

/// Windows of the test series to look at, ascending: some at even distances, the first and the last anomalous
/// one and their neighbours that are not, and the windows of the least and the largest error.
fn windows_of_interest(detection: &Detection) -> Vec<usize> {
    let count = detection.errors.len();
    let by_error = |a: &usize, b: &usize| detection.errors[*a].total_cmp(&detection.errors[*b]);
    let mut windows: Vec<usize> = (0..EVENLY).map(|i| i * (count - 1) / (EVENLY - 1)).collect();
    windows.extend((0..count).min_by(by_error));
    windows.extend((0..count).max_by(by_error));
    let longest =
        crate::detection::stretches(&detection.windows).into_iter().max_by_key(ExactSizeIterator::len);
    if let Some(stretch) = longest {
        windows.extend([
            stretch.start.saturating_sub(1),
            stretch.start,
            stretch.end - 1,
            stretch.end.min(count - 1),
        ]);
    }
    windows.sort_unstable();
    windows.dedup();
    windows
}
