//! A backend that trains nothing but gives losses that were told beforehand, for the callbacks that watch them.

use std::sync::Mutex;

use glassbox_engine::Result;
use glassbox_engine::backend::{Backend, BatchEnd, Dataset, Epoch, Plan, Session, State};
use glassbox_engine::layers::Conv1D;
use glassbox_engine::losses::Loss;
use glassbox_engine::model::Sequential;
use glassbox_engine::optimizers::Optimizer;
use glassbox_engine::samples::Samples;
use glassbox_engine::shape::Shape;

/// A model of one weight.
pub(crate) fn plan(optimizer: Optimizer) -> Plan {
    let mut model = Sequential::new(Shape::new(1, 1));
    model.add(Conv1D::new(1, 1).use_bias(false)).expect("a layer");
    model.plan(Loss::default(), optimizer, 0, 32).expect("a plan")
}

/// A backend whose losses were told beforehand, one for each epoch.
#[derive(Debug)]
pub(crate) struct Told {
    losses: Mutex<Vec<f64>>,
}

impl Told {
    pub(crate) fn new(losses: Vec<f64>) -> Self {
        Self { losses: Mutex::new(losses) }
    }
}

impl Backend<f64> for Told {
    fn name(&self) -> String {
        "told".into()
    }

    fn session(&self, plan: Plan) -> Result<Box<dyn Session<f64>>> {
        let state = State::new(vec![-1.0], &plan.optimizer);
        let losses = self.losses.lock().expect("one test, one thread").clone();
        Ok(Box::new(ToldSession { plan, state, losses, epoch: 0 }))
    }
}

struct ToldSession {
    plan: Plan,
    state: State<f64>,
    losses: Vec<f64>,
    epoch: usize,
}

impl Session<f64> for ToldSession {
    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn state(&self) -> Result<State<f64>> {
        Ok(self.state.clone())
    }

    fn set_state(&mut self, state: &State<f64>) -> Result<()> {
        self.state.clone_from(state);
        Ok(())
    }

    fn set_learning_rate(&mut self, rate: f64) {
        self.plan.optimizer.set_learning_rate(rate);
    }

    fn compute_gradient(&mut self, _: &Dataset<'_, f64>, _: &[u32]) -> Result<f64> {
        Ok(self.losses[self.epoch])
    }

    fn gradient(&self) -> Result<Vec<f64>> {
        Ok(vec![0.0])
    }

    fn set_gradient(&mut self, _: &[f64]) -> Result<()> {
        Ok(())
    }

    fn update(&mut self) -> Result<()> {
        Ok(())
    }

    fn train_epoch(
        &mut self,
        _: &Dataset<'_, f64>,
        epoch: &Epoch<'_>,
        _: &mut (dyn FnMut(BatchEnd) + Send),
    ) -> Result<f64> {
        self.epoch = epoch.epoch;
        self.state.weights = vec![epoch.epoch as f64];
        Ok(self.losses[self.epoch])
    }

    fn evaluate(&mut self, _: &Dataset<'_, f64>) -> Result<f64> {
        Ok(self.losses[self.epoch])
    }

    fn predict(&mut self, _: &Samples<'_, f64>, _: &mut [f64]) -> Result<()> {
        Ok(())
    }

    fn observe(&mut self, _: &[f64], _: &mut dyn FnMut(usize, &[f64])) -> Result<()> {
        Ok(())
    }
}
