//! What happens in recurrent layers, step by step.

use std::ops::Range;

use glassbox_engine::index_map::IndexMap;
use glassbox_engine::model::Network;
use glassbox_engine::program::{Instruction, Program, Value};
use glassbox_engine::recurrent::{Cell, Kind};
use glassbox_engine::reference::{Interpreter, Sample};
use glassbox_engine::shape::Shape;

use super::Observed;

/// A recurrence of a model: all steps of an LSTM or GRU layer. A bidirectional layer has two.
#[derive(Debug, Clone, PartialEq)]
pub struct Recurrence {
    /// The index of its layer in the model.
    pub layer: usize,
    /// The name of its layer; of several in one layer, with a number behind it: `bidirectional/1`.
    pub name: String,
    /// True if it reads the last step first.
    pub backwards: bool,
    /// The cell.
    pub cell: Cell,
    /// The shape of its [trace](glassbox_engine::recurrent#the-trace).
    pub trace: Shape,
    value: Value,
}

impl Recurrence {
    /// The recurrences of a model, in the order in which they run.
    #[must_use]
    pub fn all(model: &Network) -> Vec<Self> {
        Self::in_program(&model.inference_program(), model)
    }

    /// The gates and states in the trace, by name, with their channels.
    #[must_use]
    pub fn parts(&self) -> Vec<(&'static str, Range<usize>)> {
        let names = match self.cell.kind {
            Kind::Lstm => &["input gate", "forget gate", "candidate", "output gate", "cell state"][..],
            Kind::Gru { .. } => &["update gate", "reset gate", "candidate"],
        };
        let parts = names.iter().enumerate().map(|(part, name)| (*name, self.cell.part(part)));
        parts.chain([("hidden state", self.cell.hidden())]).collect()
    }

    fn in_program(program: &Program, model: &Network) -> Vec<Self> {
        let recurrences = program.lines.iter().filter_map(|line| match line.instruction {
            Instruction::Recur { cell, z, trace, .. } => Some((line.layer, cell, z, trace)),
            _ => None,
        });
        let recurrences: Vec<_> = recurrences.collect();
        let place = |(index, &(layer, cell, z, trace)): (usize, &(usize, Cell, Value, Value))| {
            let of_layer = |all: &[(usize, Cell, Value, Value)]| all.iter().filter(|r| r.0 == layer).count();
            let name = &model.layers()[layer].name;
            let name = match of_layer(&recurrences) {
                1 => name.clone(),
                _ => format!("{name}/{}", of_layer(&recurrences[..=index])),
            };
            let backwards = reads_backwards(program, z, trace);
            Self { layer, name, backwards, cell, trace: program.values[trace.index()], value: trace }
        };
        recurrences.iter().enumerate().map(place).collect()
    }
}

/// Returns true if a recurrence reads its input from the last step to the first. If the input is the same at all steps,
/// then what counts is whether its output is turned round.
fn reads_backwards(program: &Program, z: Value, trace: Value) -> bool {
    let source = |value: Value| {
        let stores = |instruction: &&Instruction| instruction.stores() == Some(value);
        program.lines.iter().map(|line| &line.instruction).find(stores)
    };
    let turns = |instruction: &Instruction| match instruction {
        Instruction::IndexMap { map, .. } => **map == IndexMap::reversed(map.inputs()[0]),
        _ => false,
    };
    if program.values[z.index()].steps == program.values[trace.index()].steps {
        let input = source(z).and_then(|product| source(*product.reads().first()?));
        return input.is_some_and(turns);
    }
    let of_trace = |value: &Value| source(*value).is_some_and(|source| source.reads() == [trace]);
    let mut turned = program.lines.iter().map(|line| &line.instruction).filter(|&line| turns(line));
    turned.any(|line| line.reads().iter().any(of_trace))
}

/// Adds the traces of all recurrences to the windows. Every backend computes them, and none hands them out, so the
/// reference computes them again.
pub(super) fn trace(model: &Network, weights: &[f32], windows: &mut [Observed]) {
    let program = model.inference_program();
    let recurrences = Recurrence::in_program(&program, model);
    if recurrences.is_empty() {
        return;
    }
    let mut interpreter = Interpreter::<f32>::new(program, model.layout().clone());
    for window in windows {
        interpreter.run(Sample { x: &window.input, target: &[], batch: 1 }, weights, &mut []);
        let traces = recurrences.iter().map(|recurrence| interpreter.value(recurrence.value).to_vec());
        window.traces = traces.collect();
    }
}
