//! Programs as text.

use std::fmt;

use super::{Instruction, Line, Meeting, Pointwise, Program, Statistics};
use crate::activations::Activation;

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "v{} = sample {}", self.input.0, self.values[self.input.0])?;
        for line in &self.lines {
            writeln!(f, "{line}  # layer {}, {:?}", line.layer, line.pass)?;
        }
        write!(f, "prediction: v{}", self.output.0)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.instruction {
            Instruction::Apply { kernel, x, y, .. } => write!(f, "v{} = A(w{}) v{}", y.0, kernel.0, x.0)?,
            Instruction::ApplyTransposed { kernel, x, y, .. } => {
                write!(f, "v{} = A(w{})^T v{}", y.0, kernel.0, x.0)?;
            }
            Instruction::Correlate { x, y, kernel, .. } => {
                write!(f, "dw{} += correlate(v{}, v{})", kernel.0, x.0, y.0)?;
            }
            Instruction::SumSteps { x, bias } => write!(f, "dw{} += sum_steps(v{})", bias.0, x.0)?,
            Instruction::Map { x, y, .. } => write!(f, "v{} = v{}", y.0, x.0)?,
            Instruction::Add { a, b, y } => write!(f, "v{} = v{} + v{}", y.0, a.0, b.0)?,
            Instruction::Recur { cell, kernel, z, trace, .. } => {
                write!(f, "v{} = {cell}(w{}, v{})", trace.0, kernel.0, z.0)?;
            }
            Instruction::RecurGradient { cell, kernel, trace, dh, dz } => {
                write!(f, "v{} = d {cell}(w{}, v{}, v{})", dz.0, kernel.0, trace.0, dh.0)?;
            }
            Instruction::IndexMap { inputs, y, .. } => {
                let inputs: Vec<String> = inputs.iter().map(|x| format!("v{}", x.0)).collect();
                write!(f, "v{} = index_map({})", y.0, inputs.join(", "))?;
            }
            Instruction::IndexMapTransposed { input, dy, dx, .. } => {
                write!(f, "v{} = index_map[{input}]^T v{}", dx.0, dy.0)?;
            }
            Instruction::Multiply { a, b, y } => write!(f, "v{} = v{} v{}", y.0, a.0, b.0)?,
            Instruction::Normalize { x, y, .. } => write!(f, "v{} = normalize(v{})", y.0, x.0)?,
            Instruction::NormalizeGradient { x, dy, dx, .. } => {
                write!(f, "v{} = d normalize(v{}, v{})", dx.0, x.0, dy.0)?;
            }
            Instruction::Moments { x, y } => write!(f, "v{} = moments(v{})", y.0, x.0)?,
            Instruction::Meet { meeting: Meeting::Means, x, y } => {
                write!(f, "v{} = batch_means(v{})", y.0, x.0)?;
            }
            Instruction::Meet { meeting: Meeting::Moments { moving: [mean, variance], .. }, x, y } => {
                write!(f, "v{}, dw{}, dw{} += batch_moments(v{})", y.0, mean.0, variance.0, x.0)?;
            }
            Instruction::Standardize { statistics: Statistics::Batch(statistics), x, y, .. } => {
                write!(f, "v{} = standardize(v{}, v{})", y.0, x.0, statistics.0)?;
            }
            Instruction::Standardize { statistics: Statistics::Moving([mean, variance]), x, y, .. } => {
                write!(f, "v{} = standardize(v{}, w{}, w{})", y.0, x.0, mean.0, variance.0)?;
            }
            Instruction::GradientMeans { y, dy, means } => {
                write!(f, "v{} = gradient_means(v{}, v{})", means.0, y.0, dy.0)?;
            }
            Instruction::StandardizeGradient { statistics, means, y, dy, dx, .. } => {
                let read = [y, dy, statistics, means].map(|value| format!("v{}", value.0)).join(", ");
                write!(f, "v{} = d standardize({read})", dx.0)?;
            }
            Instruction::Pool { pooling, x, y, .. } => write!(f, "v{} = {}(v{})", y.0, pooling.name(), x.0)?,
            Instruction::PoolGradient { pooling, x, dy, dx, .. } => {
                write!(f, "v{} = d {}(v{}, v{})", dx.0, pooling.name(), x.0, dy.0)?;
            }
            Instruction::Draw { mask } => write!(f, "m{} = draw", mask.0)?,
            Instruction::Loss { loss, y, dy, .. } => write!(f, "v{} = d {}(v{})", dy.0, loss.name(), y.0)?,
            Instruction::Custom { op, x, y, weights } => {
                write!(f, "v{} = {op:?}(v{}, w{weights:?})", y.0, x.0)?;
            }
            Instruction::CustomGradient { op, dy, dx, weights, .. } => {
                write!(f, "v{}, dw{weights:?} += d {op:?}(v{})", dx.0, dy.0)?;
            }
        }
        for op in self.instruction.epilogue() {
            match op {
                Pointwise::Scale(factors) => write!(f, " |> * w{}", factors.0)?,
                Pointwise::AddBias(bias) => write!(f, " |> + w{}", bias.0)?,
                Pointwise::Activation(activation) => write!(f, " |> {activation}")?,
                Pointwise::Dropout(mask) => write!(f, " |> dropout m{}", mask.0)?,
                Pointwise::ActivationGradient(Activation::Relu, y) => write!(f, " |> where v{} > 0", y.0)?,
                Pointwise::ActivationGradient(activation, at) => write!(f, " |> d {activation}(v{})", at.0)?,
            }
        }
        Ok(())
    }
}
