//! Index maps: signals that consist of elements of other signals.
//!
//! Repeating, padding, cropping, reversing, reshaping, concatenating and slicing have no arithmetic of their own. Each of
//! them is a map that makes every element of its output one element of one of its inputs, or zero:
//!
//! ```text
//! y[j] = x[k][i]      where the map has (k, i) for j,
//! y[j] = 0            elsewhere
//! ```
//!
//! with signals numbered row by row. It is linear, and its transpose, which is its gradient, sums over preimages:
//!
//! ```text
//! dx[k][i] = sum over the j for which the map has (k, i) of  dy[j]
//! ```
//!
//! Elements that are neighbours on both sides are a [`Run`], and are copied as one. A map keeps its runs as loops, so it
//! takes no more memory for a long signal than for a short one.

use std::ops::Range;

use crate::shape::Shape;

/// A map that makes each element of its output one element of one of its inputs, or zero.
///
/// The shapes must be possible ones: an overflow of their lengths is a mistake in the caller.
///
/// ```
/// use glassbox_engine::index_map::{IndexMap, Run};
///
/// // Two steps of three channels, the last one first.
/// let map = IndexMap::reversed((2, 3).into());
/// let runs: Vec<Run> = map.runs().collect();
/// assert_eq!(runs, [Run { input: 0, from: 3, to: 0, len: 3 }, Run { input: 0, from: 0, to: 3, len: 3 }]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexMap {
    inputs: Vec<Shape>,
    output: Shape,
    loops: Vec<Loop>,
}

/// Neighbouring elements of an input that are neighbours in the output too. Elements are numbered row by row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Index of the input.
    pub input: usize,
    /// Its first element in the input.
    pub from: usize,
    /// Its first element in the output.
    pub to: usize,
    /// The number of elements.
    pub len: usize,
}

/// A run that is repeated at regular distances, in two nested loops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Loop {
    first: Run,
    outer: Repeat,
    inner: Repeat,
}

/// The number of repetitions, and the distances between two of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Repeat {
    count: usize,
    from: isize,
    to: usize,
}

const ONCE: Repeat = Repeat { count: 1, from: 0, to: 0 };

impl IndexMap {
    /// The elements of `input` from number `first` on, in a shape of their own.
    ///
    /// # Panics
    /// If `input` does not have so many.
    #[must_use]
    pub fn section(input: Shape, first: usize, output: Shape) -> Self {
        assert!(first + output.len() <= input.len(), "{output} from element {first} of {input}");
        Self::new(vec![input], output, [Loop::rows(0, first, 0, output.len(), ONCE)])
    }

    /// The elements of all inputs side by side, as one signal of rank 1.
    #[must_use]
    pub fn side_by_side(inputs: &[Shape]) -> Self {
        let mut to = 0;
        let loops = inputs.iter().enumerate().map(|(index, input)| {
            let whole = Loop::rows(index, 0, to, input.len(), ONCE);
            to += input.len();
            whole
        });
        let loops: Vec<Loop> = loops.collect();
        Self::new(inputs.to_vec(), Shape::units(to), loops)
    }

    /// The same elements in another shape.
    ///
    /// # Panics
    /// If the shapes have different numbers of elements.
    #[must_use]
    pub fn reshaped(input: Shape, output: Shape) -> Self {
        assert_eq!(input.len(), output.len(), "{input} and {output} have different numbers of elements");
        Self::section(input, 0, output)
    }

    /// Each step of `input`, `times` times in a row.
    #[must_use]
    pub fn repeated(input: Shape, times: usize) -> Self {
        let row = input.channels;
        let steps = Repeat { count: input.steps, from: row as isize, to: times * row };
        let times_of_step = Repeat { count: times, from: 0, to: row };
        let repeated = Loop { inner: times_of_step, ..Loop::rows(0, 0, 0, row, steps) };
        Self::new(vec![input], Shape::new(input.steps * times, row), [repeated])
    }

    /// `input` with `left` steps of zeros before it and `right` after it.
    #[must_use]
    pub fn padded(input: Shape, left: usize, right: usize) -> Self {
        let Shape { steps, channels, .. } = input;
        let output = Shape::new(left + steps + right, channels);
        Self::new(vec![input], output, [Loop::rows(0, 0, left * channels, input.len(), ONCE)])
    }

    /// The channels `channels` of the steps `steps` of `input`.
    ///
    /// # Panics
    /// If `input` does not have them.
    #[must_use]
    pub fn part(input: Shape, steps: Range<usize>, channels: Range<usize>) -> Self {
        let within = steps.end <= input.steps && channels.end <= input.channels;
        assert!(within, "steps {steps:?} and channels {channels:?} of {input}");
        let (row, len) = (input.channels, channels.len());
        let rows = Repeat { count: steps.len(), from: row as isize, to: len };
        let output = Shape::new(steps.len(), len).ranked_as(input);
        Self::new(vec![input], output, [Loop::rows(0, steps.start * row + channels.start, 0, len, rows)])
    }

    /// The steps of `input`, the last one first.
    #[must_use]
    pub fn reversed(input: Shape) -> Self {
        let Shape { steps, channels, .. } = input;
        let last = steps.saturating_sub(1) * channels;
        let backwards = Repeat { count: steps, from: -(channels as isize), to: channels };
        Self::new(vec![input], input, [Loop::rows(0, last, 0, channels, backwards)])
    }

    /// The steps of all inputs, one input after the other.
    ///
    /// # Panics
    /// If the inputs have different numbers of channels, or there are none.
    #[must_use]
    pub fn joined_steps(inputs: &[Shape]) -> Self {
        let channels = inputs[0].channels;
        let same = inputs.iter().all(|input| input.channels == channels);
        assert!(same, "{inputs:?} have different numbers of channels");
        let joined = Self::side_by_side(inputs);
        Self { output: Shape::new(joined.output.len() / channels.max(1), channels), ..joined }
    }

    /// The channels of all inputs side by side at each step.
    ///
    /// # Panics
    /// If the inputs have different numbers of steps, or there are none.
    #[must_use]
    pub fn joined_channels(inputs: &[Shape]) -> Self {
        let same = inputs.iter().all(|input| input.steps == inputs[0].steps);
        assert!(same, "{inputs:?} have different numbers of steps");
        let row = inputs.iter().map(|input| input.channels).sum();
        let mut to = 0;
        let loops = inputs.iter().enumerate().map(|(index, input)| {
            let rows = Repeat { count: input.steps, from: input.channels as isize, to: row };
            let columns = Loop::rows(index, 0, to, input.channels, rows);
            to += input.channels;
            columns
        });
        let loops: Vec<Loop> = loops.collect();
        Self::new(inputs.to_vec(), inputs[0].with_channels(row), loops)
    }

    fn new(inputs: Vec<Shape>, output: Shape, loops: impl IntoIterator<Item = Loop>) -> Self {
        Self { inputs, output, loops: loops.into_iter().map(Loop::merged).collect() }
    }

    /// The same elements without steps: an output of rank 1.
    #[must_use]
    pub fn flattened(self) -> Self {
        Self { output: Shape::units(self.output.len()), ..self }
    }

    /// The shapes of the inputs.
    #[must_use]
    pub fn inputs(&self) -> &[Shape] {
        &self.inputs
    }

    /// The shape of the output.
    #[must_use]
    pub fn output(&self) -> Shape {
        self.output
    }

    /// The runs of all inputs. No two have an element of the output in common.
    pub fn runs(&self) -> impl Iterator<Item = Run> {
        self.loops.iter().flat_map(Loop::runs)
    }

    /// The runs of one input.
    pub fn runs_of(&self, input: usize) -> impl Iterator<Item = Run> {
        self.loops.iter().filter(move |repeated| repeated.first.input == input).flat_map(Loop::runs)
    }

    /// The number of elements of the output that are elements of this input.
    #[must_use]
    pub fn taken_from(&self, input: usize) -> usize {
        let of_input = self.loops.iter().filter(|repeated| repeated.first.input == input);
        of_input.map(|Loop { first, outer, inner }| first.len * outer.count * inner.count).sum()
    }

    /// Returns true if some elements of the output are zero whatever the inputs are.
    #[must_use]
    pub fn has_zeros(&self) -> bool {
        (0..self.inputs.len()).map(|input| self.taken_from(input)).sum::<usize>() < self.output.len()
    }
}

impl Loop {
    /// A run of an input, repeated in one loop.
    fn rows(input: usize, from: usize, to: usize, len: usize, outer: Repeat) -> Self {
        Self { first: Run { input, from, to, len }, outer, inner: ONCE }
    }

    /// The same loop with runs that touch each other merged into one.
    fn merged(self) -> Self {
        let Self { mut first, mut outer, mut inner } = self;
        let touch = |first: Run, repeat: Repeat| {
            repeat.count == 1 || repeat.from == first.len as isize && repeat.to == first.len
        };
        if touch(first, inner) {
            first.len *= inner.count;
            (inner, outer) = (outer, ONCE);
            if touch(first, inner) {
                first.len *= inner.count;
                inner = ONCE;
            }
        }
        Self { first, outer, inner }
    }

    fn runs(&self) -> impl Iterator<Item = Run> {
        let Self { first, outer, inner } = *self;
        (0..outer.count).flat_map(move |i| {
            (0..inner.count).map(move |j| Run {
                from: first.from.wrapping_add_signed(i as isize * outer.from + j as isize * inner.from),
                to: first.to + i * outer.to + j * inner.to,
                ..first
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(map: &IndexMap) -> Vec<[usize; 4]> {
        map.runs().map(|Run { input, from, to, len }| [input, from, to, len]).collect()
    }

    #[test]
    fn runs_that_touch_are_one() {
        let shape = Shape::new(4, 3);
        for map in [
            IndexMap::reshaped(shape, Shape::new(2, 6)),
            IndexMap::repeated(shape, 1),
            IndexMap::padded(shape, 0, 0),
            IndexMap::part(shape, 0..4, 0..3),
            IndexMap::part(shape, 0..4, 0..3).flattened(),
            IndexMap::joined_channels(&[shape]),
            IndexMap::joined_steps(&[shape]),
        ] {
            assert_eq!(runs(&map), [[0, 0, 0, 12]], "{map:?}");
            assert!(!map.has_zeros());
        }
        assert_eq!(runs(&IndexMap::reversed(Shape::new(1, 3))), [[0, 0, 0, 3]]);
    }

    #[test]
    fn runs_are_those_written_out_by_hand() {
        let shape = Shape::new(2, 3);
        let repeated = IndexMap::repeated(shape, 2);
        assert_eq!(runs(&repeated), [[0, 0, 0, 3], [0, 0, 3, 3], [0, 3, 6, 3], [0, 3, 9, 3]]);
        assert_eq!(runs(&IndexMap::reversed(shape)), [[0, 3, 0, 3], [0, 0, 3, 3]]);
        assert_eq!(runs(&IndexMap::part(shape, 0..2, 1..2)), [[0, 1, 0, 1], [0, 4, 1, 1]]);
        let last = IndexMap::part(shape, 1..2, 0..3).flattened();
        assert_eq!((runs(&last), last.output()), (vec![[0, 3, 0, 3]], Shape::units(3)));
        let padded = IndexMap::padded(shape, 1, 2);
        assert_eq!((runs(&padded), padded.has_zeros()), (vec![[0, 0, 3, 6]], true));
        assert_eq!(padded.output(), Shape::new(5, 3));
        let joined = IndexMap::joined_channels(&[shape, Shape::new(2, 1)]);
        assert_eq!(runs(&joined), [[0, 0, 0, 3], [0, 3, 4, 3], [1, 0, 3, 1], [1, 1, 7, 1]]);
        assert_eq!((joined.taken_from(0), joined.taken_from(1)), (6, 2));
        let joined = IndexMap::joined_steps(&[shape, Shape::new(1, 3)]);
        assert_eq!(runs(&joined), [[0, 0, 0, 6], [1, 0, 6, 3]]);
    }

    /// A map takes no memory in proportion to its signals: an architecture may ask for long ones before it is refused.
    #[test]
    fn long_signals_take_few_loops() {
        let shape = Shape::new(1 << 28, 1);
        for map in [
            IndexMap::repeated(shape, 1 << 28),
            IndexMap::reversed(shape),
            IndexMap::part(Shape::new(1 << 28, 2), 0..1 << 28, 1..2),
        ] {
            assert_eq!(map.loops.len(), 1);
        }
    }
}
