//! Copies from device memory to shared memory, and draws and zeros there, before the lines of a program.

use glassbox_engine::masks::{WORD, drop_below};
use glassbox_engine::program::Line;
use glassbox_engine::random::{Purpose, Stream};

use super::super::Fitted;
use super::super::layout::{Slot, trains};
use super::super::tiling::wide;
use super::{adds_to, function};

/// Reads from device memory that a thread has under way at once.
const MOST_HELD: usize = 16;

/// The thread that copies or clears, in functions that may do neither.
const THREAD: &str = "(void)all;\n    const unsigned thread = opaque(threadIdx.x);\n    (void)thread;";

impl Fitted<'_> {
    pub(super) fn load_weights(&self) -> String {
        let (mut body, mut reads, mut writes, mut held) = (String::new(), String::new(), String::new(), 0);
        let threads = self.layout.block.tuning.threads;
        for (index, (tensor, place)) in
            self.plan.layout.tensors().iter().zip(&self.layout.weights).enumerate()
        {
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
                reads += &format!("    Rows<{threads}, {rows}, {columns}, {pitch}, {four}> {name};\n");
                reads += &format!("    {name}.read(weights + {from}, thread);\n");
                writes += &format!("    {name}.write(all, {to}, thread);\n");
            }
            if wide(*columns) && columns % 4 != 0 {
                writes += &self.clear_rows(*rows, columns.next_multiple_of(4) - columns, pitch, at + columns);
            }
        }
        body += &(reads + &writes);
        // Gradients that no line adds to.
        let trained = if trains(self.program) { self.plan.layout.tensors() } else { &[] };
        for (index, tensor) in trained.iter().enumerate() {
            let adds = |line: &Line| adds_to(&line.instruction).is_some_and(|weight| weight.index() == index);
            if !self.program.lines.iter().any(adds) {
                let (at, len) = (self.layout.sums + tensor.range.start, tensor.range.len());
                body += &self.clear_rows(1, len, len, at);
            }
        }
        let unused = format!("(void)weights, {THREAD}");
        function("void load_weights(In<float> weights, Shared<float> all)", &unused, &body)
    }

    /// Zeros in rows of values, if there are any.
    fn clear_rows(&self, rows: usize, columns: usize, pitch: usize, at: usize) -> String {
        let threads = self.layout.block.tuning.threads;
        match rows * columns {
            0 => String::new(),
            _ => format!("    clear_rows<{threads}, {rows}, {columns}, {pitch}>(all, {at}, thread);\n"),
        }
    }

    pub(super) fn clear_margins(&self) -> String {
        let mut body = String::new();
        for (index, slot) in self.layout.slots.iter().enumerate() {
            if self.layout.places[index] != index {
                continue;
            }
            let (pitch, padded) = (slot.pitch, slot.padded());
            body += &self.clear_rows(slot.left, padded, pitch, slot.at - slot.left * pitch);
            body += &self.clear_rows(slot.right, padded, pitch, slot.at + slot.steps * pitch);
            body += &self.clear_rows(slot.steps, padded - slot.channels, pitch, slot.at + slot.channels);
        }
        function("void clear_margins(Shared<float> all)", THREAD, &body)
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
        let Slot { at, steps, channels, pitch, .. } = self.slot(self.program.output);
        let (warps, len, target) = (self.warps(), steps * channels, self.layout.target);
        format!(
            "// The prediction and its target.
template <unsigned WHICH_LOSS>
struct Scored {{
    static constexpr int WARPS = {warps}, STEPS = {steps}, CHANNELS = {channels}, LEN = {len}, PREDICTION = {at}, \
PREDICTION_PITCH = {pitch}, TARGET = {target}, TARGET_PITCH = {channels}, DY = {at}, DY_PITCH = {pitch};
    static constexpr unsigned LOSS = WHICH_LOSS;
    static constexpr bool GRADIENT = false;
}};

"
        )
    }

    pub(super) fn draw_masks(&self) -> String {
        let warps = self.warps();
        let mut draws = String::new();
        for (index, (spec, at)) in self.program.masks.iter().zip(&self.layout.masks).enumerate() {
            let words = spec.len.div_ceil(WORD);
            let (_, [_, purpose]) = Stream::new(0, Purpose::Dropout, index as u32, 0).words();
            let limit = drop_below(spec.rate);
            draws += &format!("    draw_mask<{warps}, {words}>(draw, {purpose}u, {limit}u, all, {at});\n");
        }
        function("void draw_masks(const Draw& draw, Shared<float> all)", "(void)draw, (void)all;", &draws)
    }
}
