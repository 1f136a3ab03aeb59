//! A training run on the reference backend: one sample after the other.

use super::interpreter::{Interpreter, Sample};
use crate::backend::{Dataset, Plan, Session, State, check_prediction};
use crate::error::Result;
use crate::float::Float;
use crate::masks::MaskAt;
use crate::profile::{Clock, NoClock, Part, StepProfile, Stopwatch};
use crate::samples::Samples;

pub(super) struct ReferenceSession<F> {
    plan: Plan,
    state: State<F>,
    gradient: Vec<F>,
    /// An interpreter for each sample that runs at the same time.
    training: Vec<Interpreter<F>>,
    inference: Interpreter<F>,
}

impl<F: Float> ReferenceSession<F> {
    pub(super) fn new(plan: Plan) -> Self {
        let zeros = vec![F::zero(); plan.layout.len()];
        let training = Interpreter::new(plan.training.clone(), plan.layout.clone());
        Self {
            state: State::new(zeros.clone(), &plan.optimizer),
            gradient: zeros,
            training: vec![training; plan.training.together(plan.batch_size)],
            inference: Interpreter::new(plan.inference.clone(), plan.layout.clone()),
            plan,
        }
    }
}

impl<F: Float> Session<F> for ReferenceSession<F> {
    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn state(&self) -> Result<State<F>> {
        Ok(self.state.clone())
    }

    fn set_state(&mut self, state: &State<F>) -> Result<()> {
        state.check(&self.plan)?;
        self.state.clone_from(state);
        Ok(())
    }

    fn set_learning_rate(&mut self, rate: f64) {
        self.plan.optimizer.set_learning_rate(rate);
    }

    fn compute_gradient(&mut self, data: &Dataset<'_, F>, batch: &[u32]) -> Result<f64> {
        self.gradient_of(data, batch, &mut NoClock)
    }

    fn profile_step(&mut self, data: &Dataset<'_, F>, batch: &[u32]) -> Result<StepProfile> {
        let mut clock = Stopwatch::new(self.plan.training.lines.len());
        let loss = self.gradient_of(data, batch, &mut clock)?;
        self.update()?;
        clock.lap(Part::Update);
        Ok(clock.profile(loss, batch.len(), 1))
    }

    fn gradient(&self) -> Result<Vec<F>> {
        Ok(self.gradient.clone())
    }

    fn set_gradient(&mut self, gradient: &[F]) -> Result<()> {
        self.plan.layout.require_len(gradient.len())?;
        self.gradient.copy_from_slice(gradient);
        Ok(())
    }

    fn update(&mut self) -> Result<()> {
        let State { weights, slots, step } = &mut self.state;
        *step += 1;
        self.plan.optimizer.update(*step, &self.plan.layout, weights, &self.gradient, slots);
        Ok(())
    }

    fn evaluate(&mut self, data: &Dataset<'_, F>) -> Result<f64> {
        data.check(&self.plan)?;
        let mut sum = 0.0;
        for index in 0..data.len() {
            self.infer(data.x.get(index));
            sum += self.plan.loss.total(&self.plan.inference.outputs, self.prediction(), data.y.get(index));
        }
        Ok(sum / data.len() as f64)
    }

    fn predict(&mut self, x: &Samples<'_, F>, y: &mut [F]) -> Result<()> {
        check_prediction(&self.plan, x, y)?;
        for (index, y) in y.chunks_mut(y.len() / x.len().max(1)).enumerate() {
            self.infer(x.get(index));
            y.copy_from_slice(self.prediction());
        }
        Ok(())
    }

    fn observe(&mut self, sample: &[F], visit: &mut dyn FnMut(usize, &[F])) -> Result<()> {
        self.infer(sample);
        for (layer, value) in self.plan.inference.layer_outputs.iter().enumerate() {
            if let Some(value) = value {
                visit(layer, self.inference.value(*value));
            }
        }
        Ok(())
    }
}

impl<F: Float> ReferenceSession<F> {
    fn gradient_of(&mut self, data: &Dataset<'_, F>, batch: &[u32], clock: &mut impl Clock) -> Result<f64> {
        data.check(&self.plan)?;
        self.gradient.fill(F::zero());
        clock.lap(Part::Clearing);
        let Self { plan, state, gradient, training, .. } = self;
        let (together, mut loss) = (plan.training.together(batch.len()).max(1), 0.0);
        assert!(together <= training.len(), "a batch of {}", batch.len());
        for (group, indices) in batch.chunks(together).enumerate() {
            let training = &mut training[..together];
            let mut samples = vec![];
            for (position, (index, interpreter)) in
                (group * together..).zip(indices.iter().zip(&mut *training))
            {
                let at = MaskAt { mask: 0, step: state.step, position };
                interpreter.draw_masks_clocked(plan.seed, at, clock);
                let (x, target) = (data.x.get(*index as usize), data.y.get(*index as usize));
                samples.push(Sample { x, target, batch: batch.len() });
            }
            loss += Interpreter::run_clocked(training, &samples, &state.weights, gradient, clock);
        }
        Ok(loss / batch.len() as f64)
    }

    fn infer(&mut self, x: &[F]) {
        let sample = Sample { x, target: &[], batch: 1 };
        self.inference.run(sample, &self.state.weights, &mut self.gradient);
    }

    fn prediction(&self) -> &[F] {
        self.inference.value(self.plan.inference.output)
    }
}
