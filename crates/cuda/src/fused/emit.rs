//! Writes `fused_program.cuh`: a network's program as constants and calls for `kernels/fused_step.cu`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use glassbox_engine::losses::Loss;
use glassbox_engine::masks::{Masks, WORD, drop_below};
use glassbox_engine::model::WeightLayout;
use glassbox_engine::program::{Instruction, Line, Pointwise, Program, Value, Weight};
use glassbox_engine::random::{Purpose, Stream};

use super::WARP;
use super::layout::{Layout, Slot, Tiles, trains};
use super::tiling::{Block, wide};

/// Reads from device memory that a thread has under way at once.
const MOST_HELD: usize = 16;

/// What two lines between the same barriers must not both touch, if one of them writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Slot(usize),
    Sums(usize),
}

pub(super) struct Emitter<'a> {
    pub(super) program: &'a Program,
    pub(super) weights: &'a WeightLayout,
    pub(super) layout: &'a Layout,
    pub(super) masks: &'a Masks,
}

impl Emitter<'_> {
    /// The whole text.
    pub(super) fn text(&self) -> String {
        let Layout { block: Block { threads, .. }, floats, sums, .. } = *self.layout;
        let given = matches!(self.masks, Masks::Given(_));
        let mut text = format!(
            "// Made by crates/cuda/src/fused/emit.rs, of the program:\n//\n{}\n\n#pragma once\n\n",
            self.program
                .to_string()
                .lines()
                .map(|line| format!("//     {line}"))
                .collect::<Vec<_>>()
                .join("\n")
        );
        let gradients = if trains(self.program) { self.weights.len() } else { 0 };
        write!(
            text,
            "constexpr int THREADS = {threads}, SHARED_FLOATS = {floats}, SUMS_AT = {sums}, GRADIENTS = {gradients};\n\
             constexpr bool GIVEN_MASKS = {given};\n\n"
        )
        .expect("a string takes all");
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

    fn pitch(&self, channels: usize) -> usize {
        self.layout.block.spacing.pitch(channels)
    }

    fn kernel(&self, weight: Weight) -> (usize, usize) {
        let (at, _, columns) = self.layout.weights[weight.index()].expect("a kernel that is read is there");
        (at, columns)
    }

    /// The constants of a line, as a type.
    fn line_struct(&self, index: usize, line: &Line) -> String {
        let mut out = String::new();
        let epilogue = || self.epilogue(line.instruction.epilogue());
        let mut put = |name: &str, constants: &[(&str, isize)], flags: &[(&str, bool)], epilogue: &str| {
            writeln!(out, "// {line}\nstruct {name} {{").expect("a string takes all");
            let numbers: Vec<String> =
                constants.iter().map(|(name, value)| format!("{name} = {value}")).collect();
            for chunk in numbers.chunks(8) {
                writeln!(out, "    static constexpr int {};", chunk.join(", ")).expect("a string takes all");
            }
            if !flags.is_empty() {
                let flags: Vec<String> =
                    flags.iter().map(|(name, value)| format!("{name} = {value}")).collect();
                writeln!(out, "    static constexpr bool {};", flags.join(", ")).expect("a string takes all");
            }
            writeln!(out, "{epilogue}}};\n").expect("a string takes all");
        };
        let warps = ("WARPS", (self.layout.block.threads / WARP) as isize);
        match (&line.instruction, &self.layout.tiles[index]) {
            (
                Instruction::Apply { x, y, kernel, .. } | Instruction::ApplyTransposed { x, y, kernel, .. },
                Tiles::Products(products),
            ) => {
                let (x, y, (k, k_columns)) = (self.slot(*x), self.slot(*y), self.kernel(*kernel));
                let tap = self.pitch(k_columns)
                    * if products[0].0.transposed { products[0].0.columns } else { products[0].0.len };
                for (phase, (p, tile, (first, team))) in products.iter().enumerate() {
                    let int = |n: usize| n as isize;
                    let constants = [
                        ("FIRST_WARP", int(*first / WARP)),
                        ("WARPS", int(*team / WARP)),
                        ("ROWS", int(p.rows)),
                        ("COLUMNS", int(p.columns)),
                        ("LEN", int(p.len)),
                        ("TAPS", int(p.taps)),
                        ("R", int(tile.rows)),
                        ("C", int(tile.columns)),
                        ("TG", int(tile.taps)),
                        ("SPLIT", int(tile.split)),
                        ("CL", int(tile.neighbours)),
                        ("COLUMN_TILES", int(p.columns.div_ceil(tile.columns))),
                        ("X", int(x.at) + p.x_first * int(x.pitch)),
                        ("X_PITCH", int(x.pitch)),
                        ("X_STEP", int(p.x_step)),
                        ("APART", int(p.apart)),
                        ("K", int(k + p.tap_first * tap)),
                        ("K_PITCH", int(self.pitch(k_columns))),
                        ("TAP", p.tap_step * int(tap)),
                        ("Y", int(y.at)),
                        ("Y_PITCH", int(y.pitch)),
                        ("T_FIRST", int(p.t_first)),
                        ("T_STEP", int(p.t_step)),
                    ];
                    let flags = [
                        ("FOUR", wide(p.len)),
                        ("TRANSPOSED", p.transposed),
                        ("RAGGED_COLUMNS", p.columns % tile.columns != 0),
                    ];
                    put(&format!("Line{index}_{phase}"), &constants, &flags, &epilogue());
                }
            }
            (Instruction::Correlate { geometry: g, x, y, kernel }, Tiles::Correlate(tile)) => {
                let (x, y) = (self.slot(*x), self.slot(*y));
                let int = |n: usize| n as isize;
                let constants = [
                    warps,
                    ("IN", int(g.in_channels)),
                    ("OUT", int(g.out_channels)),
                    ("TAPS", int(g.taps)),
                    ("STEPS", int(g.out_steps)),
                    ("STRIDE", int(g.stride)),
                    ("DILATION", int(g.dilation)),
                    ("TT", int(tile.taps)),
                    ("CC", int(tile.ins)),
                    ("OO", int(tile.outs)),
                    ("RT", int(tile.steps)),
                    ("SPLIT", int(tile.split)),
                    ("CL", int(tile.neighbours)),
                    ("X", int(x.at) - int(g.pad_left * x.pitch)),
                    ("X_PITCH", int(x.pitch)),
                    ("Y", int(y.at)),
                    ("Y_PITCH", int(y.pitch)),
                    ("SUM", int(self.sums_at(*kernel))),
                ];
                put(&format!("Line{index}"), &constants, &[("FIRST", self.is_first(index, *kernel))], "");
            }
            (Instruction::SumSteps { x, bias }, _) => {
                let x = self.slot(*x);
                let constants = [
                    warps,
                    ("STEPS", x.steps as isize),
                    ("CHANNELS", x.channels as isize),
                    ("X", x.at as isize),
                    ("X_PITCH", x.pitch as isize),
                    ("SUM", self.sums_at(*bias) as isize),
                ];
                put(&format!("Line{index}"), &constants, &[("FIRST", self.is_first(index, *bias))], "");
            }
            (Instruction::Map { x: a, y, .. }, _) => {
                put(&format!("Line{index}"), &self.map(*a, *a, *y), &[("ADDS", false)], &epilogue());
            }
            (Instruction::Add { a, b, y }, _) => {
                put(&format!("Line{index}"), &self.map(*a, *b, *y), &[("ADDS", true)], &epilogue());
            }
            (Instruction::Loss { loss, y, dy }, _) => {
                let (y, dy) = (self.slot(*y), self.slot(*dy));
                let constants = [
                    warps,
                    ("STEPS", y.steps as isize),
                    ("CHANNELS", y.channels as isize),
                    ("PREDICTION", y.at as isize),
                    ("PREDICTION_PITCH", y.pitch as isize),
                    ("TARGET", self.layout.target as isize),
                    ("TARGET_PITCH", y.channels as isize),
                    ("DY", dy.at as isize),
                    ("DY_PITCH", dy.pitch as isize),
                ];
                let flags = [("SQUARED", *loss == Loss::MeanSquaredError), ("GRADIENT", true)];
                put(&format!("Line{index}"), &constants, &flags, "");
            }
            _ => {}
        }
        out
    }

    fn map(&self, a: Value, b: Value, y: Value) -> [(&'static str, isize); 9] {
        let (a, b, y) = (self.slot(a), self.slot(b), self.slot(y));
        [
            ("WARPS", (self.layout.block.threads / WARP) as isize),
            ("STEPS", y.steps as isize),
            ("CHANNELS", y.channels as isize),
            ("A", a.at as isize),
            ("A_PITCH", a.pitch as isize),
            ("B", b.at as isize),
            ("B_PITCH", b.pitch as isize),
            ("Y", y.at as isize),
            ("Y_PITCH", y.pitch as isize),
        ]
    }

    fn sums_at(&self, weight: Weight) -> usize {
        self.layout.sums + self.weights.tensors()[weight.index()].range.start
    }

    /// Whether no line before adds to the gradient of `weight`.
    fn is_first(&self, index: usize, weight: Weight) -> bool {
        !self.program.lines[..index].iter().any(|line| adds_to(&line.instruction) == Some(weight))
    }

    fn epilogue(&self, ops: &[Pointwise]) -> String {
        let mut body = String::new();
        for op in ops {
            let line = match op {
                Pointwise::AddBias(bias) => {
                    let (at, ..) = self.layout.weights[bias.index()].expect("a bias that is read is there");
                    format!("v += all[{at} + c];")
                }
                Pointwise::Relu => "v = relu(v);".into(),
                Pointwise::Dropout(mask) => {
                    let channels = self.channels_of_mask(*mask);
                    let scale = (1.0 / (1.0 - self.program.masks[mask.index()].rate)) as f32;
                    let at = self.layout.masks[mask.index()];
                    format!("v = dropout(all, {at}, unsigned(t) * {channels} + unsigned(c), v, {scale:?}f);")
                }
                Pointwise::ReluGate(gate) => {
                    let slot = self.slot(*gate);
                    format!(
                        "const float gate = all[{} + t * {} + c];\n        v = gate > 0.0f ? v : 0.0f;",
                        slot.at, slot.pitch
                    )
                }
            };
            // In a scope of its own: an epilogue may have several of a kind.
            writeln!(body, "        {{\n        {line}\n        }}").expect("a string takes all");
        }
        let unused = "        (void)all, (void)t, (void)c;\n";
        format!(
            "    static __device__ __forceinline__ float epilogue(Shared<float> all, float v, int t, int c) {{\n{unused}{body}        return v;\n    }}\n"
        )
    }

    /// Channels of the values that a mask is applied to: its elements are theirs, row by row.
    fn channels_of_mask(&self, mask: glassbox_engine::program::Mask) -> usize {
        let line = self
            .program
            .lines
            .iter()
            .find(|line| line.instruction.epilogue().contains(&Pointwise::Dropout(mask)));
        let y = line
            .and_then(|line| line.instruction.stores())
            .expect("a mask is applied where a value is stored");
        self.program.values[y.index()].channels
    }

    fn load_weights(&self) -> String {
        let (mut body, mut reads, mut writes, mut held) = (String::new(), String::new(), String::new(), 0);
        let threads = self.layout.block.threads;
        for (index, (tensor, place)) in self.weights.tensors().iter().zip(&self.layout.weights).enumerate() {
            let Some((at, rows, columns)) = place else { continue };
            let (first, pitch) = (tensor.range.start, self.pitch(*columns));
            let four = first.is_multiple_of(4) && columns.is_multiple_of(4);
            // So many at once as registers can hold, and so many rows of a tensor.
            let each = if four { 4 } else { 1 };
            let most = MOST_HELD * threads * each / columns;
            for row in (0..*rows).step_by(most.max(1)) {
                let rows = (rows - row).min(most.max(1));
                let turns = (rows * columns).div_ceil(each * threads);
                if held + turns > MOST_HELD {
                    body += &(std::mem::take(&mut reads) + &std::mem::take(&mut writes));
                    held = 0;
                }
                held += turns;
                let (from, to, name) =
                    (first + row * columns, at + row * pitch, format!("rows_{index}_{row}"));
                writeln!(reads, "    Rows<{threads}, {rows}, {columns}, {pitch}, {four}> {name};\n    {name}.read(weights + {from}, thread);")
                    .expect("a string takes all");
                writeln!(writes, "    {name}.write(all, {to}, thread);").expect("a string takes all");
            }
            if wide(*columns) && columns % 4 != 0 {
                let more = columns.next_multiple_of(4) - columns;
                writeln!(
                    writes,
                    "    clear_rows<{threads}, {rows}, {more}, {pitch}>(all, {}, thread);",
                    at + columns
                )
                .expect("a string takes all");
            }
        }
        body += &(reads + &writes);
        // Gradients that no line adds to.
        let trained = if trains(self.program) { self.weights.tensors() } else { &[] };
        for (index, tensor) in trained.iter().enumerate() {
            let adds = |line: &Line| adds_to(&line.instruction).is_some_and(|weight| weight.index() == index);
            if !self.program.lines.iter().any(adds) {
                let (at, len) = (self.layout.sums + tensor.range.start, tensor.range.len());
                writeln!(body, "    clear_rows<{threads}, 1, {len}, {len}>(all, {at}, thread);")
                    .expect("a string takes all");
            }
        }
        function(
            "void load_weights(In<float> weights, Shared<float> all)",
            "(void)weights, (void)all;\n    const unsigned thread = opaque(threadIdx.x);\n    (void)thread;",
            &body,
        )
    }

    fn clear_margins(&self) -> String {
        let mut body = String::new();
        let threads = self.layout.block.threads;
        for (index, slot) in self.layout.slots.iter().enumerate() {
            if self.layout.places[index] != index {
                continue;
            }
            let (pitch, padded) = (slot.pitch, slot.padded());
            let mut clear = |rows: usize, columns: usize, at: usize| {
                if rows * columns > 0 {
                    writeln!(
                        body,
                        "    clear_rows<{threads}, {rows}, {columns}, {pitch}>(all, {at}, thread);"
                    )
                    .expect("a string takes all");
                }
            };
            clear(slot.left, padded, slot.at - slot.left * pitch);
            clear(slot.right, padded, slot.at + slot.steps * pitch);
            clear(slot.steps, padded - slot.channels, slot.at + slot.channels);
        }
        function(
            "void clear_margins(Shared<float> all)",
            "(void)all;\n    const unsigned thread = opaque(threadIdx.x);\n    (void)thread;",
            &body,
        )
    }

    fn gather(&self) -> String {
        let threads = self.layout.block.threads;
        let (input, output) = (self.slot(self.program.input), self.slot(self.program.output));
        let copy = |name: &str, rows: usize, columns: usize, pitch: usize, at: usize| {
            let body = format!(
                "    const unsigned thread = opaque(threadIdx.x);\n\
                 \x20   Rows<{threads}, {rows}, {columns}, {pitch}, false> rows;\n\
                 \x20   rows.read(from, thread);\n    rows.write(all, {at}, thread);\n"
            );
            function(&format!("void {name}(In<float> from, Shared<float> all)"), "", &body)
        };
        let len = output.steps * output.channels;
        copy("gather_sample", input.steps, input.channels, input.pitch, input.at)
            + &copy("gather_target", 1, len, len, self.layout.target)
    }

    /// The prediction, for those who ask for its loss; `dy` is not written.
    fn scored(&self) -> String {
        let (y, warps) = (self.slot(self.program.output), self.layout.block.threads / WARP);
        let (len, pitch) = (y.steps * y.channels, y.pitch);
        let constants = format!(
            "WARPS = {warps}, STEPS = {}, CHANNELS = {c}, LEN = {len}, PREDICTION = {at}, PREDICTION_PITCH = {pitch}, \
             TARGET = {}, TARGET_PITCH = {c}, DY = {at}, DY_PITCH = {pitch}",
            y.steps,
            self.layout.target,
            c = y.channels,
            at = y.at,
        );
        format!(
            "// The prediction and its target.\ntemplate <bool MEAN_SQUARED>\nstruct Scored {{\n    static constexpr int {constants};\n    \
             static constexpr bool SQUARED = MEAN_SQUARED, GRADIENT = false;\n}};\n\n"
        )
    }

    fn draw_masks(&self) -> String {
        let (threads, warps) = (self.layout.block.threads, self.layout.block.threads / WARP);
        let (mut draws, mut copies, mut parameters) = (String::new(), String::new(), String::new());
        for (index, (spec, at)) in self.program.masks.iter().zip(&self.layout.masks).enumerate() {
            let words = spec.len.div_ceil(WORD);
            let (_, [_, purpose]) = Stream::new(0, Purpose::Dropout, index as u32, 0).words();
            let limit = drop_below(spec.rate);
            writeln!(draws, "    draw_mask<{warps}, {words}>(draw, {purpose}u, {limit}u, all, {at});")
                .expect("a string takes all");
            if let Masks::Given(_) = self.masks {
                write!(
                    copies,
                    " copy_mask<{threads}, {words}>(given_{index} + size_t(position) * {words}, all, {at});"
                )
                .expect("a string takes all");
                write!(parameters, ", In<unsigned> given_{index}").expect("a string takes all");
            }
        }
        let draw = function(
            "void draw_masks(const Draw& draw, Shared<float> all)",
            "(void)draw, (void)all;",
            &draws,
        );
        format!(
            "{draw}// The masks of a batch where they are given, not drawn: parameters of the kernel, and their copies.\n\
             #define GIVEN_PARAMETERS {parameters}\n#define COPY_GIVEN(position, all) {copies}\n\n"
        )
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
            let name = format!("Line{index}");
            match (&line.instruction, &self.layout.tiles[index]) {
                (_, Tiles::Products(products)) => {
                    for phase in 0..products.len() {
                        writeln!(body, "    product<{name}_{phase}>(all);").expect("a string takes all");
                    }
                }
                (Instruction::Correlate { .. }, _) => {
                    body += &format!("    correlate<{name}>(all, first);\n");
                }
                (Instruction::SumSteps { .. }, _) => body += &format!("    sum_steps<{name}>(all, first);\n"),
                (Instruction::Map { .. } | Instruction::Add { .. }, _) => {
                    body += &format!("    map<{name}>(all);\n");
                }
                (Instruction::Loss { .. }, _) => body += &format!("    lost += loss<{name}>(all, count);\n"),
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

    /// What a line reads and writes while other lines may run.
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
