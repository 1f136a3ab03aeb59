//! Epilogues: functions applied to a value in its register, just before the store.
//!
//! ```text
//! v  ->  v + bias[c]  ->  max(v, 0)  ->  v / (1 - rate) where kept, else 0  ->  v where gate > 0, else 0
//! ```
//!
//! Each of the four may be absent. The order is fixed; it is that of every fused program of convolutions,
//! activations and dropout. [`passes`](crate::passes) apply epilogues that have another order.
//!
//! Which of the four functions are present is tested once per tile and not once per value. Each of the six combinations
//! that convolutions, activations and dropout produce has its own compiled loop; all others share one that tests.
//!
//! An epilogue does not read what it writes, so applying it twice to the same tile gives the same result. So a last
//! tile may overlap the one before.
//!
//! Reference: [`glassbox_engine::reference::pointwise`].

use glassbox_engine::masks::WORD;

use crate::simd::Vector;

/// The functions to apply, with their operands. The default applies none.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Epilogue<'a> {
    /// One value per column.
    pub(crate) bias: Option<&'a [f32]>,
    /// If true, negative values become 0.
    pub(crate) relu: bool,
    /// One bit per element of y, and the factor of the elements that are kept. **One more word than the bits
    /// need**, so that any 32 bits can be read as two words.
    pub(crate) dropout: Option<(&'a [u32], f32)>,
    /// One value per element of y.
    pub(crate) gate: Option<&'a [f32]>,
}

const BIAS: u8 = 1;
const RELU: u8 = 2;
const DROPOUT: u8 = 4;
const GATE: u8 = 8;
const BIAS_RELU: u8 = BIAS | RELU;
const BIAS_RELU_DROPOUT: u8 = BIAS | RELU | DROPOUT;
const DROPOUT_GATE: u8 = DROPOUT | GATE;
/// Stands for any combination of functions, tested at run time.
const ANY: u8 = u8::MAX;

/// Number of words of a mask of `len` bits in an epilogue.
pub(crate) fn mask_words(len: usize) -> usize {
    len.div_ceil(WORD) + 1
}

impl Epilogue<'_> {
    /// Checks that all operands are long enough for `columns` columns and `elements` elements.
    ///
    /// # Panics
    /// If one does not.
    pub(crate) fn check(&self, columns: usize, elements: usize) {
        if let Some(bias) = self.bias {
            assert!(bias.len() >= columns, "bias: {} of {columns} values", bias.len());
        }
        if let Some((mask, _)) = self.dropout {
            assert!(mask.len() >= mask_words(elements), "mask: {} words, {elements} bits", mask.len());
        }
        if let Some(gate) = self.gate {
            assert!(gate.len() >= elements, "gate: {} of {elements} values", gate.len());
        }
    }

    /// Reads 32 bits of a mask from `element` on.
    ///
    /// # Safety
    /// * `mask` has more than `element / 32 + 1` words.
    #[inline(always)]
    unsafe fn bits(mask: &[u32], element: usize) -> u32 {
        let word = element / WORD;
        // SAFETY: guaranteed by the caller.
        let (low, high) = unsafe { (*mask.get_unchecked(word), *mask.get_unchecked(word + 1)) };
        ((u64::from(low) | u64::from(high) << WORD) >> (element % WORD)) as u32
    }

    /// The functions that are present, one bit each.
    #[inline(always)]
    fn functions(&self) -> u8 {
        let there = |there: bool, function: u8| if there { function } else { 0 };
        there(self.bias.is_some(), BIAS)
            | there(self.relu, RELU)
            | there(self.dropout.is_some(), DROPOUT)
            | there(self.gate.is_some(), GATE)
    }

    /// Applies the epilogue to a tile and stores it. Element (m, v, lane) of `acc` belongs to column `column + v WIDTH
    /// + lane`, and is element `first + m y_row + v WIDTH + lane` of y.
    ///
    /// # Safety
    /// * the processor has the instruction set of `V`;
    /// * `columns` is above `(N - 1) WIDTH` and at most `N WIDTH`;
    /// * [`Epilogue::check`] has passed for all columns and elements of the tile;
    /// * `y` may be written at all elements of the tile.
    #[inline(always)]
    pub(crate) unsafe fn finish<V: Vector, const M: usize, const N: usize>(
        &self,
        acc: [[V; N]; M],
        column: usize,
        columns: usize,
        first: usize,
        y_row: usize,
        y: *mut f32,
    ) {
        macro_rules! finish {
            ($functions:expr, $full:expr) => {
                // SAFETY: all conditions are passed on.
                unsafe {
                    self.finish_with::<V, M, N, { $functions }, $full>(acc, column, columns, first, y_row, y)
                }
            };
        }
        if columns < N * V::WIDTH {
            return finish!(ANY, false);
        }
        match self.functions() {
            0 => finish!(0, true),
            BIAS => finish!(BIAS, true),
            BIAS_RELU => finish!(BIAS_RELU, true),
            BIAS_RELU_DROPOUT => finish!(BIAS_RELU_DROPOUT, true),
            GATE => finish!(GATE, true),
            DROPOUT_GATE => finish!(DROPOUT_GATE, true),
            _ => finish!(ANY, true),
        }
    }

    /// [`Epilogue::finish`] for these `FUNCTIONS`, or for [`ANY`]. `FULL` is true if there are `N WIDTH` columns.
    ///
    /// # Safety
    /// * as for [`Epilogue::finish`].
    #[inline(always)]
    unsafe fn finish_with<
        V: Vector,
        const M: usize,
        const N: usize,
        const FUNCTIONS: u8,
        const FULL: bool,
    >(
        &self,
        acc: [[V; N]; M],
        column: usize,
        columns: usize,
        first: usize,
        y_row: usize,
        y: *mut f32,
    ) {
        // SAFETY: the caller guarantees the instruction set. Row m of the tile begins at element `first + m y_row`,
        // and its columns were checked.
        unsafe {
            let row = Row::<V, N, FULL>::new(self, column, columns - (N - 1) * V::WIDTH, y);
            if FUNCTIONS == ANY {
                // Rarely run, so it is not unrolled: it stays small, with the tile on the stack.
                let functions = if FUNCTIONS == ANY { self.functions() } else { FUNCTIONS };
                for (m, values) in acc.into_iter().enumerate() {
                    row.finish(functions, values, first + m * y_row);
                }
                return;
            }
            // Unrolled by hand, so that no index of the tile is a variable and the tile never leaves the registers.
            macro_rules! rows {
                ($($m:literal)*) => {
                    $(if $m < M {
                        row.finish(FUNCTIONS, acc[$m], first + $m * y_row);
                    })*
                };
            }
            const { assert!(M <= 12) }
            rows!(0 1 2 3 4 5 6 7 8 9 10 11);
        }
    }

    /// Applies the epilogue to one value.
    ///
    /// # Safety
    /// * [`Epilogue::check`] has passed for this column and this element.
    #[inline(always)]
    pub(crate) unsafe fn value(&self, mut value: f32, column: usize, element: usize) -> f32 {
        // SAFETY: guaranteed by the caller.
        unsafe {
            if let Some(bias) = self.bias {
                value += bias.get_unchecked(column);
            }
            if self.relu {
                value = if value < 0.0 { 0.0 } else { value };
            }
            if let Some((mask, scale)) = self.dropout {
                value = if Self::bits(mask, element) & 1 == 1 { value * scale } else { 0.0 };
            }
            if let Some(gate) = self.gate {
                value = if *gate.get_unchecked(element) > 0.0 { value } else { 0.0 };
            }
        }
        value
    }
}

/// The operands of a row of a tile.
struct Row<'a, V, const N: usize, const FULL: bool> {
    bias: [V; N],
    scale: V,
    mask: &'a [u32],
    gate: *const f32,
    /// Number of columns of the last vector, if it is not full.
    last: usize,
    y: *mut f32,
}

impl<'a, V: Vector, const N: usize, const FULL: bool> Row<'a, V, N, FULL> {
    /// # Safety
    /// * the processor has the instruction set of `V`;
    /// * the bias, if there is one, has all columns from `column` to the last of the tile.
    #[inline(always)]
    unsafe fn new(epilogue: &Epilogue<'a>, column: usize, last: usize, y: *mut f32) -> Self {
        let (mask, scale) = epilogue.dropout.unwrap_or_default();
        // SAFETY: guaranteed by the caller.
        unsafe {
            let gate = epilogue.gate.map_or(std::ptr::null(), <[f32]>::as_ptr);
            let mut row = Self { bias: [V::splat(0.0); N], scale: V::splat(scale), mask, gate, last, y };
            if let Some(bias) = epilogue.bias {
                for v in 0..N {
                    row.bias[v] = row.load(bias.as_ptr().add(column + v * V::WIDTH), v);
                }
            }
            row
        }
    }

    /// Loads the operands of vector v of a row.
    ///
    /// # Safety
    /// * the processor has the instruction set of `V`;
    /// * the columns of that vector can be read from `from` on.
    #[inline(always)]
    unsafe fn load(&self, from: *const f32, v: usize) -> V {
        // SAFETY: guaranteed by the caller.
        unsafe { if FULL || v + 1 < N { V::load(from) } else { V::load_first(from, self.last) } }
    }

    /// Applies `functions` to a row, and stores it from `element` on.
    ///
    /// # Safety
    /// * the processor has the instruction set of `V`;
    /// * there are operands for `functions`, and they and y reach to the last column of the row.
    #[inline(always)]
    unsafe fn finish(&self, functions: u8, row: [V; N], element: usize) {
        // SAFETY: guaranteed by the caller.
        unsafe {
            // There are at most 32 columns, so one read of the mask is enough.
            const { assert!(N * V::WIDTH <= WORD) }
            let kept = if functions & DROPOUT != 0 { Epilogue::bits(self.mask, element) } else { 0 };
            for (v, mut value) in row.into_iter().enumerate() {
                let element = element + v * V::WIDTH;
                if functions & BIAS != 0 {
                    value = value.add(self.bias[v]);
                }
                if functions & RELU != 0 {
                    value = value.relu();
                }
                if functions & DROPOUT != 0 {
                    value = value.mul(self.scale).keep(kept >> (v * V::WIDTH));
                }
                if functions & GATE != 0 {
                    value = value.keep_positive(self.load(self.gate.add(element), v));
                }
                let to = self.y.add(element);
                if FULL || v + 1 < N { value.store(to) } else { value.store_first(to, self.last) }
            }
        }
    }
}
