//! Stretches: the lines that the samples of a group run between two barriers, apart or in lockstep.

use glassbox_engine::geometry::GeometrySpec;
use glassbox_engine::program::{Instruction, Line, Pointwise, Program};
use glassbox_engine::recurrent::{Kind, Returned};

use crate::recurrence::GROUP;

/// The lines between two barriers, cut at each recurrence, and the line of the second barrier.
#[derive(Debug, Default)]
pub(super) struct Stretch {
    pub(super) segments: Vec<Segment>,
    pub(super) barrier: Option<usize>,
}

/// Lines that each sample runs on its own, one after the other, and the recurrence after them.
#[derive(Debug, Default)]
pub(super) struct Segment {
    pub(super) lines: Vec<usize>,
    pub(super) recurrence: Option<Merged>,
}

/// A recurrence, with the lines that it does not need to be apart from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Merged {
    pub(super) line: usize,
    /// The line of the product that z is, if the recurrence computes it step by step: z is then not stored.
    pub(super) product: Option<usize>,
    /// The line that takes hidden states out of the trace, if nothing else reads it: the trace is then not stored.
    pub(super) hidden: Option<usize>,
}

/// The number of samples that run at a time: one, unless the program has a recurrence.
pub(crate) fn group(program: &Program) -> usize {
    let recurs = |line: &Line| {
        matches!(line.instruction, Instruction::Recur { .. } | Instruction::RecurGradient { .. })
    };
    if program.lines.iter().any(recurs) { GROUP } else { 1 }
}

pub(super) fn recurrences(stretches: &[Stretch]) -> impl Iterator<Item = Merged> {
    let segments = stretches.iter().flat_map(|stretch| &stretch.segments);
    segments.filter_map(|segment| segment.recurrence)
}

/// The lines before the first barrier, between two, and after the last: in each of these stretches those before the first
/// recurrence, between two, and after the last, without those that are merged into it.
pub(super) fn stretches(program: &Program) -> Vec<Stretch> {
    let mut readers = vec![vec![]; program.values.len()];
    for (index, line) in program.lines.iter().enumerate() {
        line.instruction.reads().iter().for_each(|value| readers[value.index()].push(index));
    }
    let first = || Stretch { segments: vec![Segment::default()], barrier: None };
    let mut stretches = vec![first()];
    for (index, line) in program.lines.iter().enumerate() {
        if recurrences(&stretches).any(|merged| merged.hidden == Some(index)) {
            continue;
        }
        let stretch = stretches.last_mut().expect("there is always one");
        if line.instruction.is_barrier() {
            stretch.barrier = Some(index);
            stretches.push(first());
            continue;
        }
        let segment = stretch.segments.last_mut().expect("there is always one");
        let mut merged = Merged { line: index, product: None, hidden: None };
        match &line.instruction {
            Instruction::Recur { cell, z, trace, .. } => {
                let steps = program.values[trace.index()].steps;
                let product = segment.lines.iter().position(|line| {
                    let instruction = &program.lines[*line].instruction;
                    instruction.stores() == Some(*z) && is_product(instruction, steps)
                });
                if cell.kind == Kind::Lstm && readers[z.index()] == [index] {
                    merged.product = product.map(|at| segment.lines.remove(at));
                }
                if let [reader] = readers[trace.index()][..]
                    && let Instruction::IndexMap { map, .. } = &program.lines[reader].instruction
                    && [Returned::All, Returned::Last].iter().any(|part| **map == part.of(cell, steps))
                {
                    merged.hidden = Some(reader);
                }
            }
            Instruction::RecurGradient { .. } => {}
            _ => {
                segment.lines.push(index);
                continue;
            }
        }
        segment.recurrence = Some(merged);
        stretch.segments.push(Segment::default());
    }
    stretches
}

/// Returns true if an instruction is the product of each step with a kernel, and possibly a bias.
fn is_product(instruction: &Instruction, steps: usize) -> bool {
    let Instruction::Apply { geometry, epilogue, .. } = instruction else { return false };
    let GeometrySpec { in_steps, out_steps, taps, pad_left, .. } = **geometry;
    steps > 1
        && [in_steps, out_steps] == [steps; 2]
        && (taps, pad_left) == (1, 0)
        && matches!(epilogue[..], [] | [Pointwise::AddBias(_)])
}
