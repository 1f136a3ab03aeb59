//! The constants of each line of a program, as a type that a kernel is compiled for.

use std::fmt::Write as _;

use glassbox_engine::losses::Loss;
use glassbox_engine::program::{Instruction, Line, Mask, Pointwise, Value, Weight};

use super::super::WARP;
use super::super::layout::Tiles;
use super::super::tiling::wide;
use super::{Emitter, adds_to};

impl Emitter<'_> {
    /// The constants of a line, as a type.
    pub(super) fn line_struct(&self, index: usize, line: &Line) -> String {
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
        let warps = ("WARPS", (self.layout.block.tuning.threads / WARP) as isize);
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
            ("WARPS", (self.layout.block.tuning.threads / WARP) as isize),
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
    fn channels_of_mask(&self, mask: Mask) -> usize {
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
}
