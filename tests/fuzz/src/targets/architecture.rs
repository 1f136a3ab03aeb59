use glassbox_engine::layers::Registry;
use glassbox_engine::losses::Loss;
use glassbox_engine::model::Network;
use glassbox_engine::optimizers::Optimizer;

use crate::{Budget, Outcome, refused, require};

const BUDGET: Budget = Budget { steps: (200_000, 400), bytes: (1 << 20, 40) };
/// A plan asks the system for as much memory as training would take, and gives it back.
const PLAN: Budget = Budget { steps: (1_000_000, 2_000), bytes: (1 << 31, 0) };
/// The steps of a model that leaves them open.
const STEPS: usize = 17;

pub(super) fn read(input: &[u8]) -> Result<Outcome, String> {
    let Ok(text) = std::str::from_utf8(input) else { return refused("not UTF-8") };
    let model = match BUDGET.spend(input, || Network::from_json(text))? {
        Ok(model) => Ok(model),
        Err(_) => Network::from_json_with(text, Some(STEPS), &Registry::default()),
    };
    let model = match model {
        Ok(model) => model,
        Err(error) => return refused(error),
    };
    let written = model.to_json();
    let again = Network::from_json(&written).map_err(|error| format!("{written} is refused: {error}"))?;
    require(again.to_json() == written, || format!("another model when written and read again: {written}"))?;
    require(again.summary().to_string() == model.summary().to_string(), || "another summary".into())?;
    let plan = || model.plan(Loss::default(), Optimizer::default(), 1, 4);
    match PLAN.spend(input, plan)? {
        Ok(_) => Ok(Outcome::Accepted),
        Err(error) => refused(error),
    }
}
