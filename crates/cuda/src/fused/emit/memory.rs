//! What comes from device memory to shared memory, and what is drawn or cleared there, before the lines of a program.

use std::fmt::Write as _;

use glassbox_engine::masks::{WORD, drop_below};
use glassbox_engine::program::Line;
use glassbox_engine::random::{Purpose, Stream};

use super::super::WARP;
use super::super::layout::trains;
use super::super::tiling::wide;
use super::{Emitter, adds_to, function};

/// Reads from device memory that a thread has under way at once.
const MOST_HELD: usize = 16;

impl Emitter<'_> {
    pub(super) fn load_weights(&self) -> String {
        let (mut body, mut reads, mut writes, mut held) = (String::new(), String::new(), String::new(), 0);
        let threads = self.layout.block.tuning.threads;
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

    pub(super) fn clear_margins(&self) -> String {
        let mut body = String::new();
        let threads = self.layout.block.tuning.threads;
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

    pub(super) fn gather(&self) -> String {
        let threads = self.layout.block.tuning.threads;
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
    pub(super) fn scored(&self) -> String {
        let (y, warps) = (self.slot(self.program.output), self.layout.block.tuning.threads / WARP);
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

    pub(super) fn draw_masks(&self) -> String {
        let warps = self.layout.block.tuning.threads / WARP;
        let mut draws = String::new();
        for (index, (spec, at)) in self.program.masks.iter().zip(&self.layout.masks).enumerate() {
            let words = spec.len.div_ceil(WORD);
            let (_, [_, purpose]) = Stream::new(0, Purpose::Dropout, index as u32, 0).words();
            let limit = drop_below(spec.rate);
            writeln!(draws, "    draw_mask<{warps}, {words}>(draw, {purpose}u, {limit}u, all, {at});")
                .expect("a string takes all");
        }
        function("void draw_masks(const Draw& draw, Shared<float> all)", "(void)draw, (void)all;", &draws)
    }
}
