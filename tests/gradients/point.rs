//! A check of gradients that shares nothing with the engine's.

use glassbox_engine::Result;
use glassbox_engine::losses::Loss;
use glassbox_engine::masks::MaskAt;
use glassbox_engine::model::WeightLayout;
use glassbox_engine::program::{Instruction, Pointwise, Pooling, Program, Value};
use glassbox_engine::reference::{Interpreter, Sample, argmax};
use glassbox_tests::cases::normals;
use glassbox_tests::compare::{Tolerance, compare};
use ndarray::ArrayView2;

/// A program at a point: its weights, its samples and their targets, its masks held still.
pub(crate) struct Point {
    interpreter: Interpreter<f64>,
    program: Program,
    seed: u64,
    batch: usize,
    /// All weights, then all samples: what is varied.
    variables: Vec<f64>,
    weights: usize,
    target: Vec<f64>,
}

impl Point {
    pub(crate) fn new(
        program: &Program,
        layout: &WeightLayout,
        weights: &[f64],
        batch: usize,
        seed: u64,
    ) -> Self {
        let len = |value: Value| program.values[value.index()].len() * batch;
        let x: Vec<f64> = normals(seed, len(program.input));
        Self {
            interpreter: Interpreter::new(program.clone(), layout.clone()),
            program: program.clone(),
            seed,
            batch,
            variables: weights.iter().copied().chain(x).collect(),
            weights: weights.len(),
            target: normals(seed ^ 1, len(program.output)),
        }
    }

    /// The batch's loss, the gradient of every variable, and the piece of the function that this point is in:
    /// on which side of its kink each activation is, and each absolute value, and which step has each maximum.
    fn evaluate(&mut self) -> (f64, Vec<f64>, Vec<bool>) {
        let (weights, xs) = self.variables.split_at(self.weights);
        let mut gradient = vec![0.0; weights.len()];
        let (mut loss, mut dx, mut piece) = (0.0, vec![], vec![]);
        let samples =
            xs.chunks(xs.len() / self.batch).zip(self.target.chunks(self.target.len() / self.batch));
        for (position, (x, target)) in samples.enumerate() {
            self.interpreter.draw_masks(self.seed, MaskAt { mask: 0, step: 0, position });
            loss += self.interpreter.run(Sample { x, target, batch: self.batch }, weights, &mut gradient);
            match self.program.input_gradient {
                Some(value) => dx.extend_from_slice(self.interpreter.value(value)),
                None => dx.resize(dx.len() + x.len(), 0.0),
            }
            for line in &self.program.lines {
                for op in line.instruction.epilogue() {
                    if let Pointwise::ActivationGradient(_, at) = op {
                        piece.extend(self.interpreter.value(*at).iter().map(|y| *y > 0.0));
                    }
                }
                if let Instruction::Pool { pooling: Pooling::Max, geometry, x, y } = line.instruction {
                    let shape = (geometry.in_steps, geometry.in_channels);
                    let x = ArrayView2::from_shape(shape, self.interpreter.value(x)).expect("a signal");
                    for element in 0..self.interpreter.value(y).len() {
                        let max = argmax(&geometry, x, element / shape.1, element % shape.1);
                        piece.extend((0..shape.0).map(|step| step == max));
                    }
                }
                if let Instruction::Loss { loss: Loss::MeanAbsoluteError, y, .. } = line.instruction {
                    piece.extend(self.interpreter.value(y).iter().zip(target).map(|(y, target)| y > target));
                }
                if let Instruction::Loss { loss: Loss::Huber { delta }, y, .. } = line.instruction {
                    let differences = self.interpreter.value(y).iter().zip(target).map(|(y, t)| y - t);
                    piece.extend(differences.flat_map(|d| [d > delta.get(), d < -delta.get()]));
                }
            }
        }
        gradient.extend(dx);
        (loss / self.batch as f64, gradient, piece)
    }

    /// In one variable each piece of the function is smooth: where nothing is curved, a polynomial of degree two,
    /// or four where a layer is called twice. A central difference, extrapolated twice from three steps (Richardson
    /// 1911), is exact for these, and off by the sixth power of the step for others; so the step may be large, as
    /// long as neither end lies in another piece. `None` if a kink is so near that no step stays within: there the
    /// derivative cannot be seen from outside.
    fn difference(&mut self, variable: usize, piece: &[bool]) -> Option<f64> {
        [1e-2, 1e-3, 1e-4, 1e-5].into_iter().find_map(|step| {
            let [whole, half, quarter] = [1.0, 2.0, 4.0].map(|part| self.slope(variable, piece, step / part));
            let (whole, half, quarter) = (whole?, half?, quarter?);
            let [coarse, fine] = [(4.0 * half - whole) / 3.0, (4.0 * quarter - half) / 3.0];
            Some((16.0 * fine - coarse) / 15.0)
        })
    }

    fn slope(&mut self, variable: usize, piece: &[bool], step: f64) -> Option<f64> {
        let here = self.variables[variable];
        let (up, down) = (here + step, here - step);
        let mut at = |value| {
            self.variables[variable] = value;
            let (loss, _, there) = self.evaluate();
            (there == piece).then_some(loss)
        };
        let losses = at(up).zip(at(down));
        self.variables[variable] = here;
        losses.map(|(above, below)| (above - below) / (up - down))
    }

    /// Holds each gradient against its central difference. Gives the numbers of those held and of those
    /// passed over for a kink.
    pub(crate) fn check(&mut self) -> Result<(usize, usize), String> {
        let (loss, gradient, piece) = self.evaluate();
        let seen: Vec<(f64, f64)> = (0..self.variables.len())
            .filter_map(|variable| Some((gradient[variable], self.difference(variable, &piece)?)))
            .collect();
        let (gradient, differences): (Vec<f64>, Vec<f64>) = seen.into_iter().unzip();
        // A loss is off by 1e-16 of itself, a step is 2.5e-6 at the least: 1e-10 of the loss. The rest is the
        // promised 1e-7, in parts of the largest gradient.
        let largest = differences.iter().fold(0.0f64, |largest, d| largest.max(d.abs()));
        let tolerance = Tolerance::new(1e-7 * largest + 1e-10 * loss, 0.0);
        match compare(&gradient, &differences, tolerance) {
            Ok(_) => Ok((gradient.len(), self.variables.len() - gradient.len())),
            Err(faults) => Err(faults.to_string()),
        }
    }
}
