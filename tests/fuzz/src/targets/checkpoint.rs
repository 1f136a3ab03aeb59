use std::sync::LazyLock;

use glassbox::checkpoint::{FILE_NAME, from_bytes, resume, to_bytes};
use glassbox::fingerprint::Fingerprint;
use glassbox_engine::backend::{Backend, Dataset, Plan, State};
use glassbox_engine::geometry::Padding;
use glassbox_engine::layers::Conv1D;
use glassbox_engine::losses::Loss;
use glassbox_engine::model::Sequential;
use glassbox_engine::optimizers::Optimizer;
use glassbox_engine::random::Draws;
use glassbox_engine::reference::Reference;
use glassbox_engine::samples::Samples;
use glassbox_engine::shape::Shape;
use glassbox_engine::training::{Callback, Checkpoint, EarlyStopping, EpochEnd, Fit, Flow, Monitor, fit};

use crate::mutate::{Checksum, tensors};
use crate::{Budget, Outcome, refused, require};

const BUDGET: Budget = Budget { steps: (500_000, 800), bytes: (1 << 20, 40) };
/// Rows of the series that is trained on, and steps of its windows.
const ROWS: usize = 12;
const STEPS: usize = 4;

/// A run of milliseconds.
struct Run {
    plan: Plan,
    options: Fit,
    series: Vec<f32>,
    start: Vec<f32>,
    fingerprint: Fingerprint,
}

static RUN: LazyLock<Run> = LazyLock::new(|| {
    let mut model = Sequential::new(Shape::new(STEPS, 1));
    model.add(Conv1D::new(1, 3).padding(Padding::Same)).expect("a layer that fits");
    let plan = model.plan(Loss::default(), Optimizer::default(), 1, 4).expect("a plan");
    let early_stopping = EarlyStopping {
        monitor: Monitor::Loss,
        patience: 3,
        restore_best_weights: true,
        ..EarlyStopping::default()
    };
    let options = Fit { epochs: 2, batch_size: 4, early_stopping: Some(early_stopping), ..Fit::default() };
    let series: Vec<f32> = (0..ROWS as u16).map(|row| (f32::from(row) * 0.7).sin()).collect();
    let start = model.layout().initial(1);
    let fingerprint = Fingerprint::of(&model, &plan, &options, &dataset(&series), &start);
    Run { plan, options, series, start, fingerprint }
});

fn dataset(series: &[f32]) -> Dataset<'_, f32> {
    Dataset::autoencoder(Samples::windows(series, STEPS, 1).expect("windows"))
}

/// Trains on from a checkpoint; gives the last one.
fn train(from: Checkpoint<f32>, epochs: usize) -> glassbox_engine::Result<Option<Checkpoint<f32>>> {
    struct Keep(Option<Checkpoint<f32>>);
    impl Callback<f32> for Keep {
        fn on_epoch_end(
            &mut self,
            end: &EpochEnd<'_, f32>,
        ) -> Result<Flow, Box<dyn std::error::Error + Send + Sync>> {
            self.0 = Some(end.checkpoint.clone());
            Ok(Flow::Continue)
        }
    }
    let run = &*RUN;
    let mut session = Reference.session(run.plan.clone())?;
    let mut keep = Keep(None);
    let options = Fit { epochs, ..run.options.clone() };
    fit(&mut *session, &dataset(&run.series), &options, from, &mut [&mut keep])?;
    Ok(keep.0)
}

/// The checkpoint that a run leaves.
pub(crate) fn checkpoint() -> Vec<u8> {
    let run = &*RUN;
    let start = Checkpoint::start(State::new(run.start.clone(), &run.plan.optimizer));
    let kept = train(start, run.options.epochs).expect("a run").expect("an epoch");
    to_bytes(&kept, &run.plan, &run.fingerprint)
}

pub(super) fn read(input: &[u8]) -> Result<Outcome, String> {
    let run = &*RUN;
    let parse = |bytes: &[u8]| from_bytes(bytes, FILE_NAME, &run.plan, &run.fingerprint);
    let read = match BUDGET.spend(input, || parse(input))? {
        Ok(read) => read,
        Err(error) => return refused(error),
    };
    let written = to_bytes(&read, &run.plan, &run.fingerprint);
    let again = parse(&written).map_err(|error| format!("what was written is refused: {error}"))?;
    // Not as numbers: NaN among the losses is unlike itself.
    require(to_bytes(&again, &run.plan, &run.fingerprint) == written, || {
        "another checkpoint when read again".into()
    })?;

    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join(FILE_NAME), input).expect("room for a file");
    let resumed = resume(folder.path(), &run.plan, &run.fingerprint, 1 << 20);
    require(super::files(folder.path()) == [(FILE_NAME.into(), input.to_vec())].into(), || {
        "reading changed the folder".into()
    })?;
    let resumed = match resumed {
        Ok(resumed) => resumed.expect("there is one"),
        Err(error) => return refused(error),
    };
    let epochs = resumed.epochs + 1;
    match train(resumed, epochs) {
        Ok(_) => Ok(Outcome::Accepted),
        Err(error) => refused(error),
    }
}

pub(super) fn mutate(draws: &mut Draws, input: &[u8], other: &[u8]) -> Vec<u8> {
    tensors(draws, input, other, Checksum::Checkpoint)
}
