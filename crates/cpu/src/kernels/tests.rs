//! Tests of each micro-kernel alone, on each instruction set, against loops in `f64`.
//!
//! All operands are within larger buffers, at every alignment of a value. The values before and after an input are NaN,
//! so a value that is wrongly read and used shows. The values around and between those of an output must stay
//! unchanged. Values are small whole numbers, so sums and comparisons are exact.
//!
//! The tests also run under valgrind, which knows AVX2 but not AVX-512: `GLASSBOX_SIMD=avx2 valgrind` and the test
//! binary that `cargo test -p glassbox-cpu --lib --no-run` names.

use glassbox_engine::random::{Purpose, Stream};

use super::dot::{MOST_COLUMNS, dot};
use super::epilogue::{Epilogue, mask_words};
use super::outer::{Outer, outer};
use super::rows::{Columns, Rows, rows};
use super::sums::sum_steps;
use crate::simd::{Isa, Simd};

/// A value that no kernel computes from the numbers here.
const GUARD: f32 = 12345.0;

fn isas() -> Vec<Isa> {
    Simd::under_test().unwrap().into_iter().filter_map(Isa::new).collect()
}

/// Whole numbers from -3 to 3 within a buffer of NaN, `shift` values from its start.
struct Input {
    buffer: Vec<f32>,
    shift: usize,
    len: usize,
}

impl Input {
    fn new(len: usize, shift: usize, which: u32) -> Self {
        let mut buffer = vec![f32::NAN; len + shift + 40];
        let mut draws = Stream::new(len as u64, Purpose::Check, which, 0).draws();
        buffer[shift..][..len].fill_with(|| draws.below(7) as f32 - 3.0);
        Self { buffer, shift, len }
    }

    fn values(&self) -> &[f32] {
        &self.buffer[self.shift..][..self.len]
    }
}

/// Packs `terms` rows of `columns` columns in the layout of `rows` or `dot`.
fn pack(b: &[f32], columns: usize, at: impl Fn(usize, usize) -> usize, len: usize) -> Vec<f32> {
    let mut packed = vec![0.0; len];
    for (i, b) in b.iter().enumerate() {
        packed[at(i / columns, i % columns)] = *b;
    }
    packed
}

/// Operands of an epilogue with the functions of `which`, one bit each, for `elements` elements of y.
struct Operands {
    bias: Vec<f32>,
    mask: Vec<u32>,
    gate: Vec<f32>,
    which: usize,
}

impl Operands {
    fn new(which: usize, columns: usize, elements: usize) -> Self {
        let mut draws = Stream::new(which as u64, Purpose::Check, 9, 0).draws();
        let mut value = || draws.below(5) as f32 - 2.0;
        let (bias, gate) =
            ((0..columns).map(|_| value()).collect(), (0..elements).map(|_| value()).collect());
        let mask = (0..mask_words(elements)).map(|_| draws.next_u32()).collect();
        Self { bias, mask, gate, which }
    }

    fn epilogue(&self) -> Epilogue<'_> {
        Epilogue {
            bias: (self.which & 1 != 0).then_some(&self.bias[..]),
            relu: self.which & 2 != 0,
            dropout: (self.which & 4 != 0).then_some((&self.mask[..], 2.0)),
            gate: (self.which & 8 != 0).then_some(&self.gate[..]),
        }
    }

    fn value(&self, mut v: f64, column: usize, element: usize) -> f64 {
        if self.which & 1 != 0 {
            v += f64::from(self.bias[column]);
        }
        if self.which & 2 != 0 {
            v = v.max(0.0);
        }
        if self.which & 4 != 0 {
            v = if self.mask[element / 32] >> (element % 32) & 1 == 1 { 2.0 * v } else { 0.0 };
        }
        if self.which & 8 != 0 && self.gate[element] <= 0.0 {
            v = 0.0;
        }
        v
    }
}

/// One product through `rows` or `dot`.
fn check_product(isa: Isa, with_dot: bool, count: usize, columns: Columns, case: usize) {
    let (groups, len) = [(1, 7), (3, 2), (1, 16), (2, 17), (1, 33), (1, 1), (0, 4)][case % 7];
    let (x_row, group) = ([1, 3, 8, 16][case % 4], len + case % 3);
    let gap = case % 2 * 5;
    let y_row = columns.first + columns.count + gap;
    let shape = Rows { rows: count, x_row, groups, len, group, y_first: case % 4, y_row };
    let x_len = if groups == 0 { 0 } else { (count - 1) * x_row + (groups - 1) * group + len };
    let x = Input::new(x_len, case % 17, 1);
    let b = Input::new(groups * len * columns.count, 0, 2);
    let y_len = shape.y_end(columns);
    let (before, after) = (case % 19, 40);
    let mut y = vec![GUARD; before + y_len + after];
    let operands = Operands::new(case % 16, columns.first + columns.count, y_len);
    // Values that must be overwritten are NaN at first.
    for row in 0..count {
        let first = before + shape.y_first + row * y_row + columns.first;
        y[first..][..columns.count].fill(f32::NAN);
    }
    let mut expected = y.clone();
    for row in 0..count {
        for n in 0..columns.count {
            let mut sum = 0.0;
            for g in 0..groups {
                for k in 0..len {
                    let x = x.values()[row * x_row + g * group + k];
                    sum += f64::from(x) * f64::from(b.values()[(g * len + k) * columns.count + n]);
                }
            }
            let element = shape.y_first + row * y_row + columns.first + n;
            expected[before + element] = operands.value(sum, columns.first + n, element) as f32;
        }
    }
    let width = isa.width();
    let place = &mut y[before..][..y_len];
    if with_dot {
        let run = len.next_multiple_of(width);
        let at = |term: usize, n: usize| (n * groups + term / len) * run + term % len;
        let packed = pack(b.values(), columns.count, at, columns.count * groups * run);
        dot(isa, &shape, columns, x.values(), &packed, place, &operands.epilogue());
    } else {
        let vectors = columns.count.div_ceil(width);
        let at = |term: usize, n: usize| term * vectors * width + n;
        let packed = pack(b.values(), columns.count, at, groups * len * vectors * width);
        rows(isa, &shape, (columns, vectors), x.values(), &packed, place, &operands.epilogue());
    }
    assert_eq!(y, expected, "{isa:?}, dot: {with_dot}, {shape:?}, {columns:?}, case {case}");
}

#[test]
fn rows_of_every_count_and_width() {
    for isa in isas() {
        let mut case = 0;
        for count in (1..=27).chain([36, 49]) {
            for columns in 1..=2 * isa.width() {
                case += 1;
                check_product(isa, false, count, Columns { first: case % 3, count: columns }, case);
            }
        }
    }
}

#[test]
fn rows_with_every_epilogue_and_shape() {
    for isa in isas() {
        for case in 0..16 * 7 * 19 {
            let columns = [1, isa.width() - 1, isa.width(), 2 * isa.width() - 1, 2 * isa.width()][case % 5];
            check_product(isa, false, 1 + case % 26, Columns { first: case % 2, count: columns }, case);
        }
    }
}

#[test]
fn dots_of_every_count_width_and_epilogue() {
    for isa in isas() {
        for case in 0..16 * 7 * 19 {
            let columns = Columns { first: case % 3, count: 1 + case % MOST_COLUMNS };
            check_product(isa, true, 1 + case % 23, columns, case);
        }
    }
}

#[test]
fn outer_products_of_every_size() {
    for isa in isas() {
        let mut case = 0;
        for m in 1..=17 {
            for n in (1..=3 * isa.width() + 3).chain([7 * isa.width() + 1]) {
                case += 1;
                let steps = 1 + case % 9;
                let shape = Outer {
                    steps,
                    rows: m,
                    a_row: m + case % 3,
                    columns: n,
                    v_row: [n, n + 3, 1][case % 3],
                    d_row: n + case % 4,
                };
                let a = Input::new((steps - 1) * shape.a_row + m, case % 17, 1);
                let v = Input::new((steps - 1) * shape.v_row + n, case % 13, 2);
                let before = case % 19;
                let mut d = vec![GUARD; before + (m - 1) * shape.d_row + n + 40];
                let mut expected = d.clone();
                for i in 0..m {
                    for j in 0..n {
                        let at = before + i * shape.d_row + j;
                        let start = (i + 2 * j) as f32;
                        d[at] = start;
                        let term =
                            |t: usize| a.values()[t * shape.a_row + i] * v.values()[t * shape.v_row + j];
                        expected[at] = start + (0..steps).map(term).sum::<f32>();
                    }
                }
                let len = (m - 1) * shape.d_row + n;
                outer(isa, &shape, a.values(), v.values(), &mut d[before..][..len]);
                assert_eq!(d, expected, "{isa:?}, {shape:?}");
            }
        }
    }
}

#[test]
fn sums_over_steps_of_every_size() {
    for isa in isas() {
        for steps in 0..=20 {
            for channels in 1..=2 * isa.width() + 3 {
                let x = Input::new(steps * channels, steps + channels, 1);
                let mut dbias = vec![GUARD; channels + 40];
                dbias[3..][..channels].fill(1.0);
                let mut expected = dbias.clone();
                for (i, x) in x.values().iter().enumerate() {
                    expected[3 + i % channels] += x;
                }
                sum_steps(isa, x.values(), &mut dbias[3..][..channels]);
                assert_eq!(dbias, expected, "{isa:?}, {steps} x {channels}");
            }
        }
    }
}

#[test]
#[should_panic(expected = "x: 9 of 10 values")]
fn a_short_operand_is_refused() {
    let isa = Isa::PORTABLE;
    let shape = Rows { rows: 4, x_row: 2, groups: 1, len: 4, group: 0, y_first: 0, y_row: 1 };
    let columns = Columns { first: 0, count: 1 };
    rows(isa, &shape, (columns, 1), &[0.0; 9], &[0.0; 16], &mut [0.0; 4], &Epilogue::default());
}

#[test]
#[should_panic(expected = "mask: 1 words, 4 bits")]
fn a_mask_without_its_spare_word_is_refused() {
    let isa = Isa::PORTABLE;
    let shape = Rows { rows: 4, x_row: 2, groups: 1, len: 4, group: 0, y_first: 0, y_row: 1 };
    let columns = Columns { first: 0, count: 1 };
    let epilogue = Epilogue { dropout: Some((&[0], 1.0)), ..Epilogue::default() };
    rows(isa, &shape, (columns, 1), &[0.0; 10], &[0.0; 16], &mut [0.0; 4], &epilogue);
}

#[test]
fn nan_survives_relu_and_minus_zero_keeps_its_sign() {
    for isa in isas() {
        let width = isa.width();
        let shape = Rows { rows: 1, x_row: 1, groups: 1, len: 1, group: 1, y_first: 0, y_row: width };
        let mut b = vec![1.0; width];
        (b[0], b[1], b[2]) = (f32::NAN, -0.0, f32::NEG_INFINITY);
        let mut y = vec![7.0; width];
        let epilogue = Epilogue { relu: true, ..Epilogue::default() };
        rows(isa, &shape, (Columns { first: 0, count: width }, 1), &[1.0], &b, &mut y, &epilogue);
        // The sum starts at +0, and +0 - 0 is +0.
        assert!(y[0].is_nan() && y[1] == 0.0 && y[2] == 0.0 && y[3] == 1.0, "{isa:?}: {y:?}");
    }
}
