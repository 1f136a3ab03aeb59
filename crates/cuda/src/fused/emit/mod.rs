//! Writes `fused_program.cuh`: a network's program as constants and calls for `kernels/fused_step.cu` and
//! `kernels/fused_score.cu`.

mod lines;
mod memory;

use std::collections::BTreeSet;

use glassbox_engine::program::{Instruction, Value, Weight};

use super::layout::{Layout, Slot, Tiles, trains};
use super::{Fitted, WARP};
use crate::kernels::loss_code;

/// A place that two lines between the same barriers must not both touch, if one of them writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Slot(usize),
    Sums(usize),
}

impl Fitted<'_> {
    /// The text of `fused_program.cuh`.
    pub(super) fn header(&self) -> String {
        let Layout { floats, sums, .. } = self.layout;
        let threads = self.layout.block.tuning.threads;
        let gradients = if trains(self.program) { self.plan.layout.len() } else { 0 };
        let program: Vec<String> =
            self.program.to_string().lines().map(|line| format!("//     {line}")).collect();
        let program = program.join("\n");
        let mut text = format!(
            "// Made by crates/cuda/src/fused/emit, of the program:
//
{program}

#pragma once

constexpr int THREADS = {threads}, SHARED_FLOATS = {floats}, SUMS_AT = {sums}, GRADIENTS = {gradients};

"
        );
        for (index, line) in self.program.lines.iter().enumerate() {
            text += &self.line_struct(index, line);
        }
        text += &self.load_weights();
        text += &self.clear_margins();
        text += &self.scored();
        text += &self.gather();
        text += &self.draw_masks();
        text += &self.run();
        text
    }

    fn slot(&self, value: Value) -> &Slot {
        self.layout.slot(value)
    }

    fn warps(&self) -> usize {
        self.layout.block.tuning.threads / WARP
    }

    fn pitch(&self, channels: usize) -> usize {
        self.layout.block.spacing.pitch(channels)
    }

    fn kernel(&self, weight: Weight) -> (usize, usize) {
        let (at, _, columns) = self.layout.weights[weight.index()].expect("a kernel that is read is there");
        (at, columns)
    }

    /// All lines, with a barrier where one needs what another has made or has still to read.
    fn run(&self) -> String {
        let mut body = String::from("    double lost = 0.0;\n");
        let (mut read, mut written) = (BTreeSet::new(), BTreeSet::new());
        for (index, line) in self.program.lines.iter().enumerate() {
            let (reads, writes) = self.touches(&line.instruction);
            let meets = |touched: &[Place], places: &BTreeSet<Place>| {
                touched.iter().any(|place| places.contains(place))
            };
            if meets(&reads, &written) || meets(&writes, &written) || meets(&writes, &read) {
                body += "    __syncthreads();\n";
                read.clear();
                written.clear();
            }
            read.extend(reads);
            written.extend(writes);
            let mut call = |function: &str, phase: &str, arguments: &str| {
                body += &format!("    {function}<Line{index}{phase}>(all{arguments});\n");
            };
            match (&line.instruction, &self.layout.tiles[index]) {
                (_, Tiles::Products(phases)) => {
                    (0..phases.len()).for_each(|phase| call("product", &format!("_{phase}"), ""));
                }
                (Instruction::Correlate { .. }, _) => call("correlate", "", ", first"),
                (Instruction::SumSteps { .. }, _) => call("sum_steps", "", ", first"),
                (Instruction::Map { .. } | Instruction::Add { .. }, _) => call("map", "", ""),
                (Instruction::Loss { loss, .. }, _) => {
                    let (_, delta) = loss_code(*loss);
                    call("lost += loss", "", &format!(", count, {delta:?}f"));
                }
                _ => {}
            }
        }
        body += "    return lost;\n";
        function(
            "double run(Shared<float> all, bool first, unsigned count)",
            "(void)all, (void)first, (void)count;",
            &body,
        )
    }

    /// The places that a line reads and writes while other lines may run.
    fn touches(&self, instruction: &Instruction) -> (Vec<Place>, Vec<Place>) {
        let slot = |value: Value| Place::Slot(self.layout.places[value.index()]);
        let writes = instruction.stores().map(slot).into_iter();
        let sums = adds_to(instruction).map(|weight| Place::Sums(weight.index()));
        (instruction.reads().into_iter().map(slot).collect(), writes.chain(sums).collect())
    }
}

/// The weight whose gradient a line adds to.
fn adds_to(instruction: &Instruction) -> Option<Weight> {
    match instruction {
        Instruction::Correlate { kernel, .. } => Some(*kernel),
        Instruction::SumSteps { bias, .. } => Some(*bias),
        _ => None,
    }
}

fn function(signature: &str, unused: &str, body: &str) -> String {
    let unused = if unused.is_empty() { String::new() } else { format!("    {unused}\n") };
    format!("__device__ __forceinline__ {signature} {{\n{unused}{body}}}\n\n")
}
