//! The constants of each line of a program, as a type that a kernel is compiled for.

use glassbox_engine::activations::Activation;
use glassbox_engine::geometry::{Geometry, GeometrySpec};
use glassbox_engine::program::{Instruction, Line, Pointwise, Value, Weight};

use super::super::layout::{Phase, Slot, Tiles};
use super::super::shapes::Product;
use super::super::tiling::{CorrelateTiles, ProductTiles, wide};
use super::super::{Fitted, WARP};
use super::adds_to;
use crate::kernels::{activation_code, loss_code};

impl Fitted<'_> {
    /// The constants of a line, as a type; of an `apply_transposed` a type for each phase.
    pub(super) fn line_struct(&self, index: usize, line: &Line) -> String {
        let constants =
            |name: &str, body: &str| format!("// {line}\nstruct Line{index}{name} {{\n{body}}};\n\n");
        match (&line.instruction, &self.layout.tiles[index]) {
            (
                Instruction::Apply { x, y, kernel, epilogue, .. }
                | Instruction::ApplyTransposed { x, y, kernel, epilogue, .. },
                Tiles::Products(phases),
            ) => {
                let epilogue = self.epilogue(epilogue, self.slot(*y).channels);
                let phase = |(phase, tiles)| {
                    constants(&format!("_{phase}"), &(self.product(tiles, *x, *y, *kernel) + &epilogue))
                };
                phases.iter().enumerate().map(phase).collect()
            }
            (Instruction::Correlate { geometry, x, y, kernel }, Tiles::Correlate(tiles)) => {
                let first = self.is_first(index, *kernel);
                constants("", &self.correlate(geometry, tiles, *x, *y, *kernel, first))
            }
            (Instruction::SumSteps { x, bias }, _) => {
                let (warps, first, sum) = (self.warps(), self.is_first(index, *bias), self.sums_at(*bias));
                let Slot { at, steps, channels, pitch, .. } = self.slot(*x);
                constants("", &format!(
"    static constexpr int WARPS = {warps}, STEPS = {steps}, CHANNELS = {channels}, X = {at}, X_PITCH = {pitch}, SUM = {sum};
    static constexpr bool FIRST = {first};
"
                ))
            }
            (Instruction::Map { x, y, epilogue }, _) => {
                constants("", &self.map([*x, *x, *y], false, epilogue))
            }
            (Instruction::Add { a, b, y }, _) => constants("", &self.map([*a, *b, *y], true, &[])),
            (Instruction::Loss { loss, y, dy, .. }, _) => {
                let (warps, target, (kind, _)) = (self.warps(), self.layout.target, loss_code(*loss));
                let Slot { at, steps, channels, pitch, .. } = self.slot(*y);
                let Slot { at: dy, pitch: dy_pitch, .. } = self.slot(*dy);
                constants("", &format!(
"    static constexpr int WARPS = {warps}, STEPS = {steps}, CHANNELS = {channels}, PREDICTION = {at}, PREDICTION_PITCH = {pitch}, TARGET = {target}, TARGET_PITCH = {channels}, DY = {dy};
    static constexpr int DY_PITCH = {dy_pitch};
    static constexpr unsigned LOSS = {kind};  // {loss}
    static constexpr bool GRADIENT = true;
"
                ))
            }
            _ => String::new(),
        }
    }

    /// See `kernels/fused/product.cuh`.
    fn product(&self, phase: &Phase, x: Value, y: Value, kernel: Weight) -> String {
        let Phase { product, tiles, first_thread, threads } = phase;
        let Product {
            transposed,
            rows,
            t_first,
            t_step,
            columns,
            len,
            taps,
            tap_first,
            tap_step,
            x_first,
            x_step,
            apart,
        } = product;
        let ProductTiles { rows: r, columns: c, taps: tg, split, neighbours } = tiles;
        let (first_warp, warps, column_tiles) = (first_thread / WARP, threads / WARP, columns.div_ceil(*c));
        let (Slot { at, pitch, .. }, Slot { at: y, pitch: y_pitch, .. }) = (self.slot(x), self.slot(y));
        let x = *at as isize + x_first * *pitch as isize;
        let (k, k_columns) = self.kernel(kernel);
        let k_pitch = self.pitch(k_columns);
        let tap_pitch = k_pitch * if *transposed { *columns } else { *len };
        let (k, tap) = (k + tap_first * tap_pitch, tap_step * tap_pitch as isize);
        let (four, ragged) = (wide(*len), columns % c != 0);
        format!(
"    static constexpr int FIRST_WARP = {first_warp}, WARPS = {warps}, ROWS = {rows}, COLUMNS = {columns}, LEN = {len}, TAPS = {taps}, R = {r}, C = {c};
    static constexpr int TG = {tg}, SPLIT = {split}, CL = {neighbours}, COLUMN_TILES = {column_tiles}, X = {x}, X_PITCH = {pitch}, X_STEP = {x_step}, APART = {apart};
    static constexpr int K = {k}, K_PITCH = {k_pitch}, TAP = {tap}, Y = {y}, Y_PITCH = {y_pitch}, T_FIRST = {t_first}, T_STEP = {t_step};
    static constexpr bool FOUR = {four}, TRANSPOSED = {transposed}, RAGGED_COLUMNS = {ragged};
"
        )
    }

    /// See `kernels/fused/correlate.cuh`.
    fn correlate(
        &self,
        g: &Geometry,
        tiles: &CorrelateTiles,
        x: Value,
        y: Value,
        kernel: Weight,
        first: bool,
    ) -> String {
        let GeometrySpec { in_channels, out_steps, out_channels, taps, stride, dilation, pad_left, .. } = **g;
        let CorrelateTiles { taps: tt, ins, outs, steps, split, neighbours } = tiles;
        let (Slot { at, pitch, .. }, Slot { at: y, pitch: y_pitch, .. }) = (self.slot(x), self.slot(y));
        let x = *at as isize - (pad_left * pitch) as isize;
        let (warps, sum) = (self.warps(), self.sums_at(kernel));
        format!(
"    static constexpr int WARPS = {warps}, IN = {in_channels}, OUT = {out_channels}, TAPS = {taps}, STEPS = {out_steps}, STRIDE = {stride}, DILATION = {dilation}, TT = {tt};
    static constexpr int CC = {ins}, OO = {outs}, RT = {steps}, SPLIT = {split}, CL = {neighbours}, X = {x}, X_PITCH = {pitch}, Y = {y};
    static constexpr int Y_PITCH = {y_pitch}, SUM = {sum};
    static constexpr bool FIRST = {first};
"
        )
    }

    /// See `map` in `kernels/fused/pieces.cuh`.
    fn map(&self, [a, b, y]: [Value; 3], adds: bool, epilogue: &[Pointwise]) -> String {
        let (a, b, y) = (self.slot(a), self.slot(b), self.slot(y));
        format!(
"    static constexpr int WARPS = {}, STEPS = {}, CHANNELS = {}, A = {}, A_PITCH = {}, B = {}, B_PITCH = {}, Y = {};
    static constexpr int Y_PITCH = {};
    static constexpr bool ADDS = {adds};
{}",
            self.warps(), y.steps, y.channels, a.at, a.pitch, b.at, b.pitch, y.at, y.pitch, self.epilogue(epilogue, y.channels)
        )
    }

    fn sums_at(&self, weight: Weight) -> usize {
        self.layout.sums + self.plan.layout.tensors()[weight.index()].range.start
    }

    /// Returns true if no line before adds to the gradient of `weight`.
    fn is_first(&self, index: usize, weight: Weight) -> bool {
        !self.program.lines[..index].iter().any(|line| adds_to(&line.instruction) == Some(weight))
    }

    /// The functions that are applied to each element of a value of so many channels.
    fn epilogue(&self, ops: &[Pointwise], channels: usize) -> String {
        let mut body = String::new();
        for op in ops {
            let line = match op {
                Pointwise::Scale(factors) => {
                    let (at, ..) =
                        self.layout.weights[factors.index()].expect("factors that are read are there");
                    format!("v *= all[{at} + c];")
                }
                Pointwise::AddBias(bias) => {
                    let (at, ..) = self.layout.weights[bias.index()].expect("a bias that is read is there");
                    format!("v += all[{at} + c];")
                }
                Pointwise::Activation(Activation::Relu) => "v = relu(v);".into(),
                Pointwise::Activation(activation) => {
                    let (function, argument) = activation_code(*activation);
                    format!("v = activate({function}, {argument:?}f, v);  // {activation}")
                }
                Pointwise::Dropout(mask) => {
                    let scale = (1.0 / (1.0 - self.program.masks[mask.index()].rate)) as f32;
                    let at = self.layout.masks[mask.index()];
                    format!("v = dropout(all, {at}, unsigned(t) * {channels} + unsigned(c), v, {scale:?}f);")
                }
                Pointwise::ActivationGradient(Activation::Relu, gate) => {
                    let slot = self.slot(*gate);
                    format!(
                        "const float gate = all[{} + t * {} + c];\n        v = gate > 0.0f ? v : 0.0f;",
                        slot.at, slot.pitch
                    )
                }
                Pointwise::ActivationGradient(activation, at) => {
                    let (slot, (function, argument)) = (self.slot(*at), activation_code(*activation));
                    format!(
                        "const float at = all[{} + t * {} + c];\n        \
                         v = activation_gradient({function}, {argument:?}f, at, v);  // {activation}",
                        slot.at, slot.pitch
                    )
                }
            };
            // In a scope of its own: an epilogue may have several of a kind.
            body += &format!("        {{\n        {line}\n        }}\n");
        }
        let unused = "        (void)all, (void)t, (void)c;\n";
        format!(
            "    static __device__ __forceinline__ float epilogue(Shared<float> all, float v, int t, int c) {{\n{unused}{body}        return v;\n    }}\n"
        )
    }
}
