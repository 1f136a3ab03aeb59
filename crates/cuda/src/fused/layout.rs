//! The layout of a block's shared memory.
//!
//! From the start, counted in floats: the weights, the rows of kernels spaced as those of values; the sums of the gradients, in
//! the model's layout; the dropout masks; the target; and the values of the program, each with as many rows of zeros
//! on either side as its readers ask for. If that is more than a block can have, values share a place where one is made
//! element by element from another that is not needed after: a gradient where its residual was, above all.

use std::cell::Cell;

use glassbox_engine::masks::WORD;
use glassbox_engine::model::WeightLayout;
use glassbox_engine::program::{Instruction, Pointwise, Program, Value};
use glassbox_engine::shape::Shape;

use super::WARP;
use super::shapes::{self, Product};
use super::tiling::{self, Block, CorrelateTiles, ProductTiles};

/// The place of the rows of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Slot {
    /// The place of its first row that is not zeros.
    pub(super) at: usize,
    /// Rows of the value, and values in a row.
    pub(super) steps: usize,
    pub(super) channels: usize,
    /// The distance from one row to the next.
    pub(super) pitch: usize,
    /// Rows of zeros before and after.
    pub(super) left: usize,
    pub(super) right: usize,
}

impl Slot {
    /// Channels up to the next multiple of what is read at once: what is more than the value's are zeros.
    pub(super) fn padded(&self) -> usize {
        if tiling::wide(self.channels) { self.channels.next_multiple_of(4) } else { self.channels }
    }

    fn len(&self) -> usize {
        ((self.left + self.steps + self.right) * self.pitch).next_multiple_of(4)
    }
}

/// A product, how it is cut into tiles, and the threads that take it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Phase {
    pub(super) product: Product,
    pub(super) tiles: ProductTiles,
    pub(super) first_thread: usize,
    pub(super) threads: usize,
}

/// The tiles of a line.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tiles {
    Products(Vec<Phase>),
    Correlate(CorrelateTiles),
    /// No contraction.
    None,
}

/// The places of all that a block has in shared memory.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// Threads of a block, and how rows are spaced.
    pub(super) block: Block,
    /// The tiles of each line.
    pub(super) tiles: Vec<Tiles>,
    /// The place of each weight tensor that the program reads, its rows and the values in a row.
    pub(super) weights: Vec<Option<(usize, usize, usize)>>,
    /// The place of the sums of gradients.
    pub(super) sums: usize,
    /// The place of each mask.
    pub(super) masks: Vec<usize>,
    /// The place of the target, row by row.
    pub(super) target: usize,
    /// The slot of each value.
    pub(super) slots: Vec<Slot>,
    /// The first value that has the place of each value.
    pub(super) places: Vec<usize>,
    /// The size of all of it.
    pub(super) floats: usize,
}

impl Layout {
    /// Lays a program out for a block. Values share places if `sharing`.
    pub(super) fn new(program: &Program, weights: &WeightLayout, block: Block, sharing: bool) -> Self {
        let tiles: Vec<Tiles> = program.lines.iter().map(|line| cut(&line.instruction, block)).collect();
        let floats = Cell::new(0);
        // Room for `len` floats, at a multiple of 16 bytes.
        let take = |len: usize| floats.replace((floats.get() + len).next_multiple_of(4));
        let mut read = vec![false; weights.tensors().len()];
        program.lines.iter().for_each(|line| mark_weights(&line.instruction, &mut read));
        let tensors = weights.tensors().iter().zip(read).map(|(tensor, read)| {
            let columns = *tensor.shape.last().unwrap_or(&1);
            let rows = tensor.range.len() / columns.max(1);
            read.then(|| (take(rows * block.spacing.pitch(columns)), rows, columns))
        });
        let tensors: Vec<_> = tensors.collect();
        let sums = take(if trains(program) { weights.len() } else { 0 });
        let masks = program.masks.iter().map(|mask| take(mask.len.div_ceil(WORD))).collect();
        let target = take(program.values[program.output.index()].len());
        let mut slots = slots(program, &tiles, block);
        let places: Vec<usize> = if sharing { shared_places(program) } else { (0..slots.len()).collect() };
        for (value, place) in places.iter().enumerate() {
            let (left, right) = (slots[value].left, slots[value].right);
            let first = &mut slots[*place];
            (first.left, first.right) = (first.left.max(left), first.right.max(right));
        }
        for value in 0..slots.len() {
            if places[value] == value {
                let slot = &mut slots[value];
                slot.at = take(slot.len()) + slot.left * slot.pitch;
            } else {
                slots[value] = slots[places[value]];
            }
        }
        Self { block, tiles, weights: tensors, sums, masks, target, slots, places, floats: floats.get() }
    }

    pub(super) fn slot(&self, value: Value) -> &Slot {
        &self.slots[value.index()]
    }
}

/// Returns true if a program ends in gradients, not in a prediction.
pub(super) fn trains(program: &Program) -> bool {
    program.lines.iter().any(|line| matches!(line.instruction, Instruction::Loss { .. }))
}

/// Marks the weight tensors that an instruction reads.
fn mark_weights(instruction: &Instruction, read: &mut [bool]) {
    if let Instruction::Apply { kernel, .. } | Instruction::ApplyTransposed { kernel, .. } = instruction {
        read[kernel.index()] = true;
    }
    for op in instruction.epilogue() {
        if let Pointwise::Scale(weight) | Pointwise::AddBias(weight) = op {
            read[weight.index()] = true;
        }
    }
}

fn cut(instruction: &Instruction, block: Block) -> Tiles {
    // Phases side by side, a team of whole warps each, or one after the other.
    let phases = |products: Vec<Product>| {
        let warps = block.tuning.threads / WARP;
        let teams = if warps.is_multiple_of(products.len()) { products.len() } else { 1 };
        let threads = block.tuning.threads / teams;
        let phase = |(index, product)| {
            let tiles = tiling::product(&product, threads, block);
            Phase { product, tiles, first_thread: index % teams * threads, threads }
        };
        Tiles::Products(products.into_iter().enumerate().map(phase).collect())
    };
    match instruction {
        Instruction::Apply { geometry, .. } => phases(vec![shapes::apply(geometry)]),
        Instruction::ApplyTransposed { geometry, .. } => phases(shapes::apply_transposed(geometry)),
        Instruction::Correlate { geometry, .. } => Tiles::Correlate(tiling::correlate(geometry, block)),
        _ => Tiles::None,
    }
}

/// The values with the rows of zeros that the tiles of their readers reach into.
fn slots(program: &Program, tiles: &[Tiles], block: Block) -> Vec<Slot> {
    let slot = |shape: &Shape| Slot {
        steps: shape.steps,
        channels: shape.channels,
        pitch: block.spacing.pitch(shape.channels),
        ..Slot::default()
    };
    let mut slots: Vec<Slot> = program.values.iter().map(slot).collect();
    // The first and the last step that is read.
    let mut ask = |value: Value, first: isize, last: isize| {
        let slot = &mut slots[value.index()];
        slot.left = slot.left.max((-first).max(0) as usize);
        slot.right = slot.right.max((last + 1 - slot.steps as isize).max(0) as usize);
    };
    for (line, tiles) in program.lines.iter().zip(tiles) {
        match (&line.instruction, tiles) {
            (
                Instruction::Apply { x, .. } | Instruction::ApplyTransposed { x, .. },
                Tiles::Products(phases),
            ) => {
                for Phase { product: p, tiles, .. } in phases.iter().filter(|phase| phase.product.taps > 0) {
                    let rows = p.rows.next_multiple_of(tiles.rows);
                    let last = p.x_first + ((rows - 1) * p.x_step + (p.taps - 1) * p.apart) as isize;
                    ask(*x, p.x_first, last);
                }
            }
            (Instruction::Correlate { geometry, x, y, .. }, Tiles::Correlate(tile)) => {
                let steps = geometry.out_steps.next_multiple_of(tile.steps);
                let span = ((steps - 1) * geometry.stride + geometry.span()) as isize;
                ask(*x, -(geometry.pad_left as isize), span - 1 - geometry.pad_left as isize);
                ask(*y, 0, steps as isize - 1);
            }
            _ => {}
        }
    }
    slots
}

/// For each value the first whose place it can have: that of a value of its shape which the line that makes it reads
/// element by element, and nobody reads after.
fn shared_places(program: &Program) -> Vec<usize> {
    let mut places: Vec<usize> = (0..program.values.len()).collect();
    // For each place, the last line that reads a value there.
    let mut last_read = vec![None; program.values.len()];
    for (index, line) in program.lines.iter().enumerate() {
        for value in line.instruction.reads() {
            last_read[value.index()] = Some(index);
        }
    }
    for (index, line) in program.lines.iter().enumerate() {
        let Some(y) = line.instruction.stores() else { continue };
        let residuals = line.instruction.epilogue().iter().filter_map(|op| match op {
            Pointwise::ActivationGradient(_, at) => Some(*at),
            _ => None,
        });
        let (elementwise, others) = match &line.instruction {
            Instruction::Map { x, .. } => (residuals.chain([*x]).collect::<Vec<_>>(), vec![]),
            Instruction::Add { a, b, .. } => (vec![*a, *b], vec![]),
            Instruction::Apply { x, .. } | Instruction::ApplyTransposed { x, .. } => {
                (residuals.collect(), vec![*x])
            }
            _ => continue,
        };
        let dead = |value: &Value| {
            let place = places[value.index()];
            let read_later = last_read[place] > Some(index);
            let read_otherwise = others.iter().any(|other| places[other.index()] == place);
            let kept = [program.input, program.output].iter().any(|v| places[v.index()] == place);
            !read_later && !read_otherwise && !kept
        };
        let same_shape = |value: &&Value| program.values[value.index()] == program.values[y.index()];
        if let Some(value) = elementwise.iter().filter(same_shape).find(|value| dead(value)) {
            let place = places[value.index()];
            places[y.index()] = place;
            last_read[place] = last_read[place].max(last_read[y.index()]);
        }
    }
    places
}
