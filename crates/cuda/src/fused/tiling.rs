//! Cuts a contraction into tiles for the threads of a block.
//!
//! All ways to cut that fit the registers are held against a model of a multiprocessor, and the one that should
//! take the fewest cycles is taken. The model knows four schedulers that issue an instruction a cycle, one path to
//! shared memory that serves a round a cycle ([`super::banks`]), some cycles to fill and drain the pipes each time
//! that threads take new tiles, and that instructions which run but once have to be fetched first. It is a way to
//! choose, not a forecast. [`Tuning`] has those of its numbers that are to be measured.

use super::banks::rounds;
use super::shapes::Product;
use super::{Tuning, WARP};
use glassbox_engine::geometry::Geometry;

/// Schedulers of a multiprocessor.
const SCHEDULERS: usize = 4;
/// Cycles to fill and drain the pipes.
const TURN: f64 = 150.0;
/// Cycles an instruction of a warp that has a scheduler for itself: it waits for its own results.
const ALONE: f64 = 1.7;
/// Instructions for the epilogue and the store of an output.
const EPILOGUE: f64 = 12.0;
/// The same where some rows of a tile may lie past the last: each store asks.
const RAGGED_EPILOGUE: f64 = 18.0;
/// Instructions to add up and give away one sum: two choices, a shuffle, an addition.
const SCATTER: f64 = 4.0;
/// Registers of a thread that are not for operands and sums.
const OTHER_REGISTERS: usize = 48;

/// Registers of a multiprocessor.
const REGISTERS: usize = 65_536;

/// The tiles of a [`Product`]: see `kernels/fused/product.cuh`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ProductTiles {
    /// Rows and columns of a tile.
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Taps at once.
    pub(super) taps: usize,
    /// Lanes that share a tile.
    pub(super) split: usize,
    /// Column tiles that are neighbouring lanes.
    pub(super) neighbours: usize,
}

/// The tiles of a correlation: see `kernels/fused/correlate.cuh`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct CorrelateTiles {
    /// Taps, channels of x and channels of y of a tile.
    pub(super) taps: usize,
    pub(super) ins: usize,
    pub(super) outs: usize,
    /// Steps at once.
    pub(super) steps: usize,
    /// Lanes that share a tile.
    pub(super) split: usize,
    /// Tiles of y's channels that are neighbouring lanes.
    pub(super) neighbours: usize,
}

/// Channels that are taken at once along the sum: four, or one where there are fewer.
pub(super) fn wide(channels: usize) -> bool {
    channels >= 4
}

/// The distance between the rows of signals and kernels. Rows of four values and more begin at multiples of 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spacing {
    /// An odd number of 16 bytes, so that eight neighbouring rows lie on different banks.
    Odd,
    /// The least distance, to save memory.
    Close,
}

impl Spacing {
    /// Floats from one row of so many channels to the next.
    pub(super) fn pitch(self, channels: usize) -> usize {
        match (channels, self) {
            (0..4, _) => channels,
            (_, Self::Odd) => 4 * (channels.div_ceil(4) | 1),
            (_, Self::Close) => channels.next_multiple_of(4),
        }
    }
}

/// The threads that tiles are for, and the rows that they read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Block {
    /// Threads of a block, and how tiles for them are chosen.
    pub(super) tuning: Tuning,
    /// The spacing of all rows.
    pub(super) spacing: Spacing,
}

/// The tiles of a contraction, one for each thread of a team or more: each runs through straight code several times, and
/// then shares its sums out among the lanes that have the same tile.
struct Tiled {
    /// Tiles, times the lanes that share one.
    items: usize,
    /// Instructions of a piece of straight code, and the rounds of shared memory of a warp in it.
    piece: f64,
    rounds: usize,
    /// Pieces, one after the other.
    pieces: usize,
    /// Sums, and the lanes that share them out.
    sums: usize,
    split: usize,
    /// Instructions for the epilogue and the store of an output.
    epilogue: f64,
}

impl Tiled {
    /// Cycles of a team of `team` threads, `fetch` of them for each instruction of code.
    fn cycles(&self, team: usize, fetch: f64) -> f64 {
        let Self { items, piece, rounds, pieces, sums, split, epilogue } = *self;
        let (pieces, outputs) = (pieces as f64, (sums / split) as f64);
        let scattered = (sums - sums / split) as f64;
        let issued = pieces * (piece + 8.0) + SCATTER * scattered + epilogue * outputs + 40.0;
        let (turns, mut issue) = (items.div_ceil(team), 0.0);
        for turn in 0..turns {
            let warps = (items - turn * team).min(team).div_ceil(WARP);
            issue += (warps.div_ceil(SCHEDULERS) as f64).max(ALONE) * issued;
        }
        let rounds = pieces * rounds as f64 + scattered + 2.0 * outputs;
        let shared = items.div_ceil(WARP) as f64 * rounds;
        let code = piece + SCATTER * scattered + epilogue * outputs;
        issue.max(shared) + turns as f64 * TURN + fetch * code
    }
}

/// The tiles that take the fewest cycles; the first of equals.
fn fastest<T: Copy>(tiles: impl Iterator<Item = T>, cycles: impl Fn(T) -> f64) -> T {
    let fastest = tiles.map(|tiles| (cycles(tiles), tiles)).min_by(|(a, _), (b, _)| a.total_cmp(b));
    fastest.expect("the smallest tile always fits").1
}

fn powers_of_two(most: usize) -> impl Iterator<Item = usize> {
    (0..).map(|n| 1 << n).take_while(move |n| *n <= most)
}

/// The largest power of two, up to 8 and `most`, that divides `tiles`.
fn neighbours(tiles: usize, most: usize) -> usize {
    powers_of_two(most.min(8)).filter(|n| tiles.is_multiple_of(*n)).last().unwrap_or(1)
}

/// The work of a lane: the tile among so many side by side, its part of a sum, and the number of the row of tiles.
fn place(lane: usize, neighbours: usize, split: usize, tiles: usize) -> (usize, usize, usize) {
    let (rest, groups) = (lane / (neighbours * split), tiles / neighbours);
    (rest % groups * neighbours + lane % neighbours, lane / neighbours % split, rest / groups)
}

fn registers(threads: usize) -> usize {
    (REGISTERS / threads).min(255) - OTHER_REGISTERS
}

/// Cuts a product for a team of `team` of a block's threads.
pub(super) fn product(p: &Product, team: usize, block: Block) -> ProductTiles {
    let columns = p.columns.min(4);
    let most = if wide(p.len) && columns.is_power_of_two() { p.len.div_ceil(4).min(32) } else { 1 };
    let sizes =
        (1..=p.rows.min(16)).filter_map(|rows| Some((rows, taps_at_once(p, rows, columns, block.tuning)?)));
    let tiles = sizes.flat_map(|(rows, taps)| {
        powers_of_two(most).map(move |split| {
            let neighbours = neighbours(p.columns.div_ceil(columns), 32 / split);
            ProductTiles { rows, columns, taps, split, neighbours }
        })
    });
    fastest(tiles, |tiles| product_cycles(p, tiles, team, block))
}

/// As many taps as fit into registers and into a piece of straight code. One row and one tap have to do.
fn taps_at_once(p: &Product, rows: usize, columns: usize, tuning: Tuning) -> Option<usize> {
    let terms = if wide(p.len) { 4 } else { 1 };
    let fits = |taps: &usize| {
        let span = (rows - 1) * p.x_step + (*taps - 1) * p.apart + 1;
        // What no row meets at any tap is not read.
        let read = span.min(rows * taps);
        let registers_needed = rows * columns + terms * read + 4 * terms;
        let fits = registers_needed <= registers(tuning.threads);
        (rows, *taps) == (1, 1) || (fits && rows * columns * terms * taps <= tuning.straight)
    };
    (1..=p.taps.max(1)).rev().filter(|taps| p.taps.is_multiple_of(*taps)).find(fits)
}

fn product_cycles(p: &Product, t: ProductTiles, team: usize, block: Block) -> f64 {
    let k_channels = if p.transposed { p.len } else { p.columns };
    let (x_pitch, k_pitch) = (block.spacing.pitch(p.len), block.spacing.pitch(k_channels));
    let column_tiles = p.columns.div_ceil(t.columns);
    let terms = if wide(p.len) { 4 } else { 1 };
    let item = |lane: usize| {
        let (column, part, rest) = place(lane, t.neighbours, t.split, column_tiles);
        ((rest * t.rows).min(p.rows - 1), column, part)
    };
    let x_rounds = rounds(terms, |lane| {
        let (row, _, part) = item(lane);
        row * p.x_step * x_pitch + part * terms
    });
    // Rows of three are read one by one.
    let k_width = if p.transposed { terms } else { [1, 2, 1, 4][t.columns - 1] };
    let k_rounds = rounds(k_width, |lane| {
        let (_, column, part) = item(lane);
        if p.transposed {
            column * k_pitch + part * terms
        } else {
            part * terms * k_pitch + column * t.columns
        }
    });
    // One piece of straight code: some taps, and four channels or one.
    let span = ((t.rows - 1) * p.x_step + (t.taps - 1) * p.apart + 1).min(t.rows * t.taps);
    let k_loads = if p.transposed { t.columns } else { terms } * t.taps;
    let multiply_adds = t.rows * t.columns * terms * t.taps;
    let piece = (multiply_adds + span + k_loads) as f64;
    let pieces = p.taps / t.taps * p.len.div_ceil(terms * t.split);
    let tiled = Tiled {
        items: column_tiles * p.rows.div_ceil(t.rows) * t.split,
        piece,
        rounds: span * x_rounds + k_loads * k_rounds,
        pieces,
        sums: t.columns * t.rows.next_multiple_of((t.split / t.columns).max(1)),
        split: t.split,
        epilogue: if p.rows.is_multiple_of(t.rows) { EPILOGUE } else { RAGGED_EPILOGUE },
    };
    tiled.cycles(team, block.tuning.fetch)
}

/// Cuts a correlation for all threads of a block.
pub(super) fn correlate(g: &Geometry, block: Block) -> CorrelateTiles {
    let outs = g.out_channels.min(4);
    let fits = |(taps, ins, steps): (usize, usize, usize)| {
        let span = (steps - 1) * g.stride + (taps - 1) * g.dilation + 1;
        let (sums, read) = (taps * ins * outs, span.min(steps * taps));
        sums + read * ins + 12 <= registers(block.tuning.threads) && sums * steps <= block.tuning.straight
    };
    let taps = (1..=g.taps).filter(|taps| g.taps.is_multiple_of(*taps));
    let ins = [1, 2, 4].into_iter().filter(|ins| *ins == 1 || wide(g.in_channels));
    let sizes = taps.flat_map(|taps| ins.clone().map(move |ins| (taps, ins)));
    let sizes = sizes.flat_map(|(taps, ins)| (1..=g.out_steps.min(16)).map(move |steps| (taps, ins, steps)));
    let tiles = sizes.filter(|size| *size == (1, 1, 1) || fits(*size)).flat_map(|(taps, ins, steps)| {
        let most = if outs.is_power_of_two() { g.out_steps.div_ceil(steps).min(32) } else { 1 };
        powers_of_two(most).map(move |split| {
            let neighbours = neighbours(g.out_channels.div_ceil(outs), 32 / split);
            CorrelateTiles { taps, ins, outs, steps, split, neighbours }
        })
    });
    fastest(tiles, |tiles| correlate_cycles(g, tiles, block))
}

fn correlate_cycles(g: &Geometry, t: CorrelateTiles, block: Block) -> f64 {
    let pitch = |channels| block.spacing.pitch(channels);
    let (x_pitch, y_pitch) = (pitch(g.in_channels), pitch(g.out_channels));
    let (in_tiles, out_tiles) = (g.in_channels.div_ceil(t.ins), g.out_channels.div_ceil(t.outs));
    let item = |lane: usize| {
        let (out_tile, part, rest) = place(lane, t.neighbours, t.split, out_tiles);
        (out_tile * t.outs, rest % in_tiles * t.ins, part * t.steps)
    };
    let x_rounds = rounds(t.ins, |lane| {
        let (_, c, step) = item(lane);
        step * g.stride * x_pitch + c
    });
    let y_wide = t.outs == 4;
    let y_rounds = rounds(if y_wide { 4 } else { 1 }, |lane| {
        let (o, _, step) = item(lane);
        step * y_pitch + o
    });
    let span = ((t.steps - 1) * g.stride + (t.taps - 1) * g.dilation + 1).min(t.steps * t.taps);
    let y_loads = t.steps * if y_wide { 1 } else { t.outs };
    let multiply_adds = t.taps * t.ins * t.outs * t.steps;
    let piece = (multiply_adds + span + y_loads) as f64;
    let tiled = Tiled {
        items: g.taps / t.taps * in_tiles * out_tiles * t.split,
        piece,
        rounds: span * x_rounds + y_loads * y_rounds,
        pieces: g.out_steps.div_ceil(t.steps * t.split),
        sums: t.ins * t.outs * t.taps.next_multiple_of((t.split / (t.ins * t.outs)).max(1)),
        split: t.split,
        epilogue: EPILOGUE,
    };
    tiled.cycles(block.tuning.threads, block.tuning.fetch)
}

#[cfg(test)]
mod tests {
    use super::super::shapes;
    use super::*;
    use glassbox_engine::geometry::{GeometrySpec, Padding};

    fn block() -> Block {
        Block { tuning: crate::fused::Tunings::default().scoring, spacing: Spacing::Odd }
    }

    fn geometry(
        steps: usize,
        channels: (usize, usize),
        taps: usize,
        stride: usize,
        dilation: usize,
    ) -> Geometry {
        let (out_steps, pad_left) = Padding::Same.resolve(steps, (taps - 1) * dilation + 1, stride).unwrap();
        let (in_channels, out_channels) = channels;
        let in_steps = steps;
        let spec =
            GeometrySpec { in_steps, in_channels, out_steps, out_channels, taps, stride, dilation, pad_left };
        Geometry::new(spec).unwrap()
    }

    /// The kernels' conditions on tiles hold for any geometry.
    #[test]
    fn tiles_are_such_that_the_kernels_take() {
        let channels = [1, 2, 3, 4, 5, 8, 16, 31, 32, 33];
        for (index, inputs) in channels.into_iter().enumerate() {
            for (outputs, taps) in channels.into_iter().zip([1, 2, 3, 7, 8, 31, 5, 9, 4, 6]) {
                let (stride, dilation) = (1 + index % 4, 1 + taps % 3);
                let g = geometry(3 + 23 * index, (inputs, outputs), taps, stride, dilation);
                let products = [vec![shapes::apply(&g)], shapes::apply_transposed(&g)].concat();
                for p in products {
                    let t = product(&p, 128, block());
                    let column_tiles = p.columns.div_ceil(t.columns);
                    assert!(p.taps.is_multiple_of(t.taps) && t.split.is_power_of_two(), "{p:?}: {t:?}");
                    assert!(
                        t.split * t.neighbours <= 32 && column_tiles.is_multiple_of(t.neighbours),
                        "{p:?}: {t:?}"
                    );
                    assert!(t.split == 1 || (wide(p.len) && t.columns.is_power_of_two()), "{p:?}: {t:?}");
                }
                let t = correlate(&g, block());
                let out_tiles = g.out_channels.div_ceil(t.outs);
                assert!(g.taps.is_multiple_of(t.taps) && t.split.is_power_of_two(), "{g:?}: {t:?}");
                assert!(
                    t.split * t.neighbours <= 32 && out_tiles.is_multiple_of(t.neighbours),
                    "{g:?}: {t:?}"
                );
                assert!(t.split == 1 || t.outs.is_power_of_two(), "{g:?}: {t:?}");
                assert!(t.ins == 1 || wide(g.in_channels), "{g:?}: {t:?}");
            }
        }
    }

    /// The layers of the tutorial that most of the time goes to get large tiles, and a piece of work for each thread.
    #[test]
    fn the_tutorials_large_layers_keep_all_threads_busy() {
        let decoder = geometry(288, (32, 16), 7, 2, 1);
        for (p, team) in [(shapes::apply(&decoder), 256)]
            .into_iter()
            .chain(shapes::apply_transposed(&decoder).into_iter().map(|phase| (phase, 128)))
        {
            let t = product(&p, team, block());
            assert_eq!((t.rows, t.columns), (9, 4), "{p:?}: {t:?}");
            assert_eq!(
                p.columns.div_ceil(t.columns) * p.rows.div_ceil(t.rows) * t.split,
                team,
                "{p:?}: {t:?}"
            );
        }
        let t = correlate(&decoder, block());
        assert_eq!((t.taps, t.ins, t.outs, t.split), (7, 2, 4, 4));
    }
}
