//! An input is the state of a watch, with the checksum of what it holds.

use std::sync::LazyLock;

use glassbox::Device;
use glassbox_engine::geometry::Padding;
use glassbox_engine::layers::Conv1D;
use glassbox_engine::model::Sequential;
use glassbox_engine::random::Draws;
use glassbox_engine::reference::Reference;
use glassbox_formats::hash::Sha256;
use glassbox_pipeline::Result;
use glassbox_pipeline::detector::{Detector, train_detector};
use glassbox_pipeline::live::{Event, State, Watch};
use glassbox_pipeline::rows::ThresholdRule;
use glassbox_pipeline::series::{BadRows, Clock, Columns, Series};
use glassbox_pipeline::synthetic::START;
use glassbox_pipeline::training::TrainOptions;
use jiff::SignedDuration;
use serde_json::{Value as Json, json};

use crate::mutate;
use crate::{Budget, Outcome, refused, require, require_plain};

const BUDGET: Budget = Budget { steps: (500_000, 800), bytes: (1 << 20, 60) };
/// Rows of the input, and those before the state.
const ROWS: usize = 40;
const BEFORE: usize = 25;

/// A detector of windows of four rows.
static DETECTOR: LazyLock<Detector> = LazyLock::new(|| {
    let mut model = Sequential::new((4, 1));
    model.add(Conv1D::new(1, 3).padding(Padding::Same)).expect("a layer that fits");
    let rows = (0..ROWS as i64).map(|row| (START + SignedDuration::from_mins(5 * row), (row as f64).sin()));
    let (times, values) = rows.unzip();
    let series = Series::new("wave", Clock::Local, times, values).expect("a series");
    let mut options = TrainOptions::default();
    options.fit.epochs = 1;
    let trained = train_detector(&Device::new(Reference), &model.into(), None, &series, &options, vec![]);
    trained.expect("a run").detector
});

fn watch() -> Watch<'static> {
    let (device, columns) = (Device::new(Reference), Columns::default());
    Watch::new(&DETECTOR, &device, "input.csv", &columns, ThresholdRule::Max, BadRows::Skip)
        .expect("a detector")
}

/// The first rows of the input; one is missing.
fn input(rows: usize) -> String {
    let row = |row: usize| format!("{},{}\n", START + SignedDuration::from_mins(5 * row as i64), row % 7);
    let rows = (0..rows).filter(|row| *row != 10).map(row).collect::<String>();
    format!("timestamp,value\n{rows}")
}

/// The state that a watch leaves.
pub(crate) fn state() -> Vec<u8> {
    let mut watch = watch();
    watch.feed(input(BEFORE).as_bytes(), &mut |_| ()).expect("rows");
    watch.state(&watch.fingerprint(), Some(100)).to_bytes()
}

pub(super) fn read(input_bytes: &[u8]) -> std::result::Result<Outcome, String> {
    let parse = |bytes: &[u8]| State::from_bytes(bytes, "state.json");
    let state = match BUDGET.spend(input_bytes, || parse(input_bytes))? {
        Ok(state) => state,
        Err(error) => return refused(error),
    };
    let written = state.to_bytes();
    let again = parse(&written).map_err(|error| format!("what was written is refused: {error}"))?;
    require(again.to_bytes() == written, || "another state when read again".into())?;
    let mut watch = watch();
    let mut notices = vec![];
    let go_on = || -> Result<Vec<u8>> {
        let run = watch.fingerprint();
        watch.resume(state, &run, "state.json")?;
        let each = &mut |event: Event<'_>| {
            if let Event::Notice(notice) = event {
                notices.push(notice.to_string());
            }
        };
        watch.feed(input(ROWS).as_bytes(), each)?;
        watch.finish(each)?;
        Ok(watch.state(&run, None).to_bytes())
    };
    let done = go_on();
    notices.iter().try_for_each(|notice| require_plain(notice))?;
    match done {
        Ok(_) => Ok(Outcome::Accepted),
        Err(error) => refused(error),
    }
}

/// JSON, mostly with the checksum computed anew.
pub(super) fn mutate(draws: &mut Draws, input: &[u8], other: &[u8]) -> Vec<u8> {
    let Ok(mut document) = serde_json::from_slice::<Json>(input) else {
        return mutate::bytes(draws, input, other);
    };
    if draws.below(8) == 0 || !document["state"].is_object() {
        return mutate::json(draws, input, other);
    }
    let state = mutate::json(draws, document["state"].to_string().as_bytes(), other);
    let Ok(state) = serde_json::from_slice::<Json>(&state) else { return state };
    document["sha256"] = json!(Sha256::of(state.to_string().as_bytes()).to_string());
    document["state"] = state;
    document.to_string().into_bytes()
}
