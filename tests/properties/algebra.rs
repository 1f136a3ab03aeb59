//! The three contractions and index maps, on whole numbers: their sums are exact in any order and in both types of float, so
//! what is asked for is equality.

use glassbox_engine::geometry::{Geometry, Padding};
use glassbox_engine::index_map::IndexMap;
use glassbox_engine::layers::{Activation, Call, Conv1D, Conv1DTranspose, Layer};
use glassbox_engine::model::{Network, Sequential};
use glassbox_engine::program::{Tape, Value};
use glassbox_engine::reference::{apply, apply_transposed, correlate, index_map, index_map_transposed};
use glassbox_engine::samples::Samples;
use glassbox_engine::shape::Shape;
use glassbox_tests::backends::{Setup, backends, predict};
use glassbox_tests::cases::{
    BOUNDARIES, SMALL, Sizes, cases, conv1d, conv1d_transpose, geometries, index_maps, integers, straight,
};
use ndarray::{Array2, Array3};
use proptest::prelude::*;
use proptest::sample::select;

type Signal = Array2<f64>;
type Kernel = Array3<f64>;

fn signal(shape: Shape, seed: u64) -> Signal {
    Array2::from_shape_vec((shape.steps, shape.channels), integers(seed, shape.len())).expect("a signal")
}

fn kernel(geometry: &Geometry, seed: u64) -> Kernel {
    Array3::from_shape_vec(geometry.kernel(), integers(seed, geometry.kernel_len())).expect("a kernel")
}

// Each writes over NaN: what it does not write shows, since NaN equals nothing.

fn apply_to(geometry: &Geometry, x: &Signal, kernel: &Kernel) -> Signal {
    let mut y = Array2::from_elem((geometry.out_steps, geometry.out_channels), f64::NAN);
    apply(geometry, x.view(), kernel.view(), y.view_mut());
    y
}

fn apply_transposed_to(geometry: &Geometry, y: &Signal, kernel: &Kernel) -> Signal {
    let mut x = Array2::from_elem((geometry.in_steps, geometry.in_channels), f64::NAN);
    apply_transposed(geometry, y.view(), kernel.view(), x.view_mut());
    x
}

fn correlation(geometry: &Geometry, x: &Signal, y: &Signal) -> Kernel {
    let mut kernel = Array3::zeros(geometry.kernel());
    correlate(geometry, x.view(), y.view(), kernel.view_mut());
    kernel
}

fn dot<'a>(a: impl IntoIterator<Item = &'a f64>, b: impl IntoIterator<Item = &'a f64>) -> f64 {
    a.into_iter().zip(b).map(|(a, b)| a * b).sum()
}

proptest! {
    #![proptest_config(cases(300))]

    /// One trilinear form, seen from each of its three sides: `<A x, y> = <x, A^T y> = <kernel, correlate(x,
    /// y)>`.
    #[test]
    fn the_three_contractions_are_one(g in geometries(BOUNDARIES), seed: u64) {
        let (x, y, k) = (signal(g.input(), seed), signal(g.output(), !seed), kernel(&g, seed ^ 1));
        let form = dot(&apply_to(&g, &x, &k), &y);
        prop_assert_eq!(dot(&x, &apply_transposed_to(&g, &y, &k)), form);
        prop_assert_eq!(dot(&k, &correlation(&g, &x, &y)), form);
    }

    #[test]
    fn each_is_linear_in_both_operands(g in geometries(BOUNDARIES), seed: u64) {
        let (x, x2) = (signal(g.input(), seed), signal(g.input(), seed ^ 1));
        let (y, y2) = (signal(g.output(), !seed), signal(g.output(), !seed ^ 1));
        let (k, k2) = (kernel(&g, seed ^ 2), kernel(&g, seed ^ 3));
        let (a, b) = (2.0, -3.0);
        let signals = |u: &Signal, v: &Signal| u * a + v * b;
        let kernels = |u: &Kernel, v: &Kernel| u * a + v * b;
        let whole = apply_to(&g, &signals(&x, &x2), &k);
        prop_assert_eq!(whole, signals(&apply_to(&g, &x, &k), &apply_to(&g, &x2, &k)));
        let whole = apply_to(&g, &x, &kernels(&k, &k2));
        prop_assert_eq!(whole, signals(&apply_to(&g, &x, &k), &apply_to(&g, &x, &k2)));
        let whole = apply_transposed_to(&g, &signals(&y, &y2), &k);
        prop_assert_eq!(whole, signals(&apply_transposed_to(&g, &y, &k), &apply_transposed_to(&g, &y2, &k)));
        let whole = apply_transposed_to(&g, &y, &kernels(&k, &k2));
        prop_assert_eq!(whole, signals(&apply_transposed_to(&g, &y, &k), &apply_transposed_to(&g, &y, &k2)));
        let whole = correlation(&g, &signals(&x, &x2), &y);
        prop_assert_eq!(whole, kernels(&correlation(&g, &x, &y), &correlation(&g, &x2, &y)));
        let whole = correlation(&g, &x, &signals(&y, &y2));
        prop_assert_eq!(whole, kernels(&correlation(&g, &x, &y), &correlation(&g, &x, &y2)));
    }

    /// Gradients of weights are added to: a second correlation goes on top of the first.
    #[test]
    fn a_correlation_adds(g in geometries(BOUNDARIES), seed: u64) {
        let (x, y, before) = (signal(g.input(), seed), signal(g.output(), !seed), kernel(&g, seed ^ 1));
        let mut sum = before.clone();
        correlate(&g, x.view(), y.view(), sum.view_mut());
        prop_assert_eq!(sum, before + correlation(&g, &x, &y));
    }

    /// The number of multiplications is that of the index set: with ones everywhere, the form counts it.
    #[test]
    fn multiply_adds_are_counted(g in geometries(BOUNDARIES)) {
        let ones = Array2::ones((g.in_steps, g.in_channels));
        let sum = apply_to(&g, &ones, &Array3::ones(g.kernel())).sum();
        prop_assert_eq!(sum, g.multiply_adds() as f64);
    }
}

// ---------------------------------------------------------------------------------------------------------
// Index maps

/// One signal of whole numbers for each input.
fn signals(map: &IndexMap, seed: u64) -> Vec<Vec<f64>> {
    map.inputs().iter().enumerate().map(|(k, input)| integers(seed ^ k as u64, input.len())).collect()
}

/// Written over NaN, as above.
fn mapped(map: &IndexMap, xs: &[Vec<f64>]) -> Vec<f64> {
    let mut y = vec![f64::NAN; map.output().len()];
    index_map(map, &xs.iter().map(Vec::as_slice).collect::<Vec<_>>(), &mut y);
    y
}

proptest! {
    #![proptest_config(cases(300))]

    /// `<M x, y> = <x, M^T y>`, summed over the inputs.
    #[test]
    fn an_index_map_transposed_is_its_adjoint(map in index_maps(BOUNDARIES), seed: u64) {
        let (xs, y) = (signals(&map, seed), integers(!seed, map.output().len()));
        let mut form = 0.0;
        for (input, x) in xs.iter().enumerate() {
            let mut dx = vec![f64::NAN; x.len()];
            index_map_transposed(&map, input, &y, &mut dx);
            form += dot(x, &dx);
        }
        prop_assert_eq!(dot(&mapped(&map, &xs), &y), form);
    }

    /// No element of the output has two sources, and those without one are known.
    #[test]
    fn an_index_map_is_a_map(map in index_maps(BOUNDARIES)) {
        let mut sources = vec![0; map.output().len()];
        for run in map.runs() {
            prop_assert!(run.from + run.len <= map.inputs()[run.input].len());
            sources[run.to..run.to + run.len].iter_mut().for_each(|n| *n += 1);
        }
        prop_assert!(sources.iter().all(|n| *n <= 1));
        prop_assert_eq!(map.has_zeros(), sources.contains(&0));
        let taken: usize = (0..map.inputs().len()).map(|input| map.taken_from(input)).sum();
        prop_assert_eq!(taken, sources.iter().sum::<usize>());
    }

    /// The constructors say what they do; element by element.
    #[test]
    fn index_maps_are_their_definitions(
        steps in 1usize..=9, channels in select(SMALL.channels), a in 0usize..=4, b in 1usize..=4, seed: u64,
    ) {
        let shape = Shape::new(steps, channels);
        let x = signal(shape, seed);
        let rows: Vec<Vec<f64>> = x.rows().into_iter().map(|row| row.to_vec()).collect();
        let zeros = |steps: usize| vec![vec![0.0; channels]; steps];
        let of = |map: IndexMap| mapped(&map, &[x.iter().copied().collect()]);
        let repeated: Vec<Vec<f64>> = rows.iter().flat_map(|row| vec![row.clone(); b]).collect();
        prop_assert_eq!(of(IndexMap::repeated(shape, b)), repeated.concat());
        prop_assert_eq!(of(IndexMap::padded(shape, a, b)), [zeros(a), rows.clone(), zeros(b)].concat().concat());
        let (first, end) = (a % steps, (a % steps + b).min(steps));
        let reversed: Vec<Vec<f64>> = rows.iter().rev().cloned().collect();
        prop_assert_eq!(of(IndexMap::reversed(shape)), reversed.concat());
        let columns = a % channels..(a % channels + b).min(channels);
        let cut: Vec<Vec<f64>> = rows[first..end].iter().map(|row| row[columns.clone()].to_vec()).collect();
        prop_assert_eq!(of(IndexMap::part(shape, first..end, columns)), cut.concat());
        let twice = [rows.concat(), rows.concat()];
        let beside: Vec<Vec<f64>> = rows.iter().map(|row| [row.clone(), row.clone()].concat()).collect();
        prop_assert_eq!(mapped(&IndexMap::joined_channels(&[shape; 2]), &twice), beside.concat());
        prop_assert_eq!(mapped(&IndexMap::joined_steps(&[shape; 2]), &twice), twice.concat());
    }
}

/// A layer that maps its input, which it gives to each input of the map.
#[derive(Debug)]
struct Mapped(IndexMap);

impl Layer for Mapped {
    fn class_name(&self) -> &'static str {
        "Mapped"
    }

    fn output_shape(&self, _: &[Shape]) -> glassbox_engine::Result<Shape> {
        Ok(self.0.output())
    }

    fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
        tape.index_map(self.0.clone(), vec![call.x(); self.0.inputs().len()])
    }
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn every_backend_maps_indices(
        map in index_maps(BOUNDARIES).prop_filter("one input", |map| map.inputs().len() == 1), seed: u64,
    ) {
        let model = one_layer(map.inputs()[0], Mapped(map.clone())).expect("a layer");
        let x = integers(seed, map.inputs()[0].len());
        prop_assert_eq!(on_every_backend(&model, &[], &x)?, mapped(&map, &[x]));
    }

    #[test]
    fn every_backend_joins_signals(steps in 1usize..=9, channels in select(BOUNDARIES.channels), n in 2usize..=4, seed: u64) {
        let shape = Shape::new(steps, channels);
        let x = integers(seed, shape.len());
        for join in [IndexMap::joined_steps, IndexMap::joined_channels] {
            let map = join(&vec![shape; n]);
            let model = one_layer(shape, Mapped(map.clone())).expect("a layer");
            prop_assert_eq!(on_every_backend(&model, &[], &x)?, mapped(&map, &vec![x.clone(); n]));
        }
    }
}

// ---------------------------------------------------------------------------------------------------------
// Layers on every backend, against their definitions

/// What a model of one layer predicts for one sample of whole numbers, on every backend, which must all
/// agree.
fn on_every_backend(model: &Network, weights: &[f64], x: &[f64]) -> Result<Vec<f64>, TestCaseError> {
    let narrow = |values: &[f64]| values.iter().map(|v| *v as f32).collect::<Vec<f32>>();
    let x = narrow(x);
    let mut outputs = backends().into_iter().map(|backend| {
        let mut session = Setup::new(model).session(&*backend, narrow(weights));
        let y = predict(&mut *session, &Samples::dense(&x, model.input_shape()).expect("a sample"));
        (backend.name(), y.into_iter().map(f64::from).collect::<Vec<f64>>())
    });
    let (_, first) = outputs.next().expect("a backend");
    for (name, other) in outputs {
        prop_assert_eq!(&other, &first, "{}", name);
    }
    Ok(first)
}

fn one_layer(input: Shape, layer: impl glassbox_engine::layers::Layer + 'static) -> Option<Sequential> {
    let mut model = Sequential::new(input);
    model.add(layer).is_ok().then_some(model)
}

fn inputs(sizes: Sizes) -> impl Strategy<Value = Shape> {
    (1..=sizes.steps, select(sizes.channels)).prop_map(|(steps, channels)| Shape::new(steps, channels))
}

/// Conv1D as one would explain it: write the zeros down, put the kernel at every place where it fits.
fn conv1d_by_hand(layer: &Conv1D, x: &Signal, k: &Kernel, bias: &[f64]) -> Vec<f64> {
    let (n, channels) = x.dim();
    let span = (layer.kernel_size - 1) * layer.dilation_rate + 1;
    let (before, after) = match layer.padding {
        Padding::Valid => (0, 0),
        Padding::Causal => (span - 1, 0),
        // As few zeros as give ceil(n / strides) places; the odd one comes last.
        Padding::Same => {
            let zeros = ((n.div_ceil(layer.strides) - 1) * layer.strides + span).saturating_sub(n);
            (zeros / 2, zeros - zeros / 2)
        }
    };
    let mut padded = vec![vec![0.0; channels]; before];
    padded.extend(x.rows().into_iter().map(|row| row.to_vec()));
    padded.resize(before + n + after, vec![0.0; channels]);
    let mut y = vec![];
    for window in padded.windows(span).step_by(layer.strides) {
        for o in 0..layer.filters {
            let mut sum = bias.get(o).copied().unwrap_or(0.0);
            for (tap, row) in window.iter().step_by(layer.dilation_rate).enumerate() {
                sum += row.iter().enumerate().map(|(c, x)| x * k[[tap, c, o]]).sum::<f64>();
            }
            y.push(if layer.activation == Activation::Relu { sum.max(0.0) } else { sum });
        }
    }
    y
}

/// Conv1DTranspose as one would explain it: every input step paints the kernel, a stride further each time;
/// "same" cuts the overhang off, the smaller half of it at the start.
fn conv1d_transpose_by_hand(layer: &Conv1DTranspose, x: &Signal, k: &Kernel, bias: &[f64]) -> Vec<f64> {
    let (n, channels) = x.dim();
    let painted = (n - 1) * layer.strides + layer.kernel_size.max(layer.strides);
    let mut canvas = vec![vec![0.0; layer.filters]; painted];
    for t in 0..n {
        for tap in 0..layer.kernel_size {
            for o in 0..layer.filters {
                canvas[t * layer.strides + tap][o] +=
                    (0..channels).map(|c| x[[t, c]] * k[[tap, o, c]]).sum::<f64>();
            }
        }
    }
    let rows = match layer.padding {
        Padding::Same => {
            let start = layer.kernel_size.saturating_sub(layer.strides) / 2;
            start..start + n * layer.strides
        }
        _ => 0..painted,
    };
    let finish = |(o, v): (usize, &f64)| {
        let v = v + bias.get(o).copied().unwrap_or(0.0);
        if layer.activation == Activation::Relu { v.max(0.0) } else { v }
    };
    canvas[rows].iter().flat_map(|row| row.iter().enumerate().map(finish)).collect()
}

proptest! {
    #![proptest_config(cases(250))]

    #[test]
    fn conv1d_is_its_definition(input in inputs(BOUNDARIES), layer in conv1d(BOUNDARIES).prop_map(|layer| layer.clone().activation(straight(layer.activation))), seed: u64) {
        let span = (layer.kernel_size - 1) * layer.dilation_rate + 1;
        let fits = layer.padding != Padding::Valid || span <= input.steps;
        let model = one_layer(input, layer.clone());
        prop_assert_eq!(model.is_some(), fits);
        let Some(model) = model else { return Ok(()) };
        let x = signal(input, seed);
        let weights = integers(!seed, model.layout().len());
        let shape = (layer.kernel_size, input.channels, layer.filters);
        let (k, bias) = weights.split_at(shape.0 * shape.1 * shape.2);
        let k = Array3::from_shape_vec(shape, k.to_vec()).expect("a kernel");
        let expected = conv1d_by_hand(&layer, &x, &k, bias);
        let y = on_every_backend(&model, &weights, x.as_slice().expect("row by row"))?;
        prop_assert_eq!(y, expected);
    }

    #[test]
    fn conv1d_transpose_is_its_definition(
        input in inputs(BOUNDARIES), layer in conv1d_transpose(BOUNDARIES).prop_map(|layer| layer.clone().activation(straight(layer.activation))), seed: u64,
    ) {
        let model = one_layer(input, layer.clone()).expect("any input fits");
        let x = signal(input, seed);
        let weights = integers(!seed, model.layout().len());
        let shape = (layer.kernel_size, layer.filters, input.channels);
        let (k, bias) = weights.split_at(shape.0 * shape.1 * shape.2);
        let k = Array3::from_shape_vec(shape, k.to_vec()).expect("a kernel");
        let expected = conv1d_transpose_by_hand(&layer, &x, &k, bias);
        let y = on_every_backend(&model, &weights, x.as_slice().expect("row by row"))?;
        prop_assert_eq!(y, expected);
    }

    /// A kernel that is the unit matrix at one tap moves the signal, and at the right tap leaves it where it
    /// is.
    #[test]
    fn an_identity_kernel_is_the_identity(input in inputs(BOUNDARIES), taps in 1usize..=9, seed: u64) {
        let c = input.channels;
        let x = signal(input, seed);
        let x = x.as_slice().expect("row by row");
        let unit_at = |at: usize| {
            let mut kernel = Array3::zeros((taps, c, c));
            (0..c).for_each(|i| kernel[[at, i, i]] = 1.0);
            kernel.into_raw_vec_and_offset().0
        };
        let layer = Conv1D::new(c, taps).use_bias(false);
        // The tap that meets its own step is the one that the zeros before reach up to.
        let same = one_layer(input, layer.clone().padding(Padding::Same)).expect("a layer");
        prop_assert_eq!(on_every_backend(&same, &unit_at((taps - 1) / 2), x)?, x);
        let causal = one_layer(input, layer.padding(Padding::Causal)).expect("a layer");
        prop_assert_eq!(on_every_backend(&causal, &unit_at(taps - 1), x)?, x);
        let transposed = Conv1DTranspose::new(c, taps).use_bias(false).padding(Padding::Same);
        let transposed = one_layer(input, transposed).expect("a layer");
        prop_assert_eq!(on_every_backend(&transposed, &unit_at((taps - 1) / 2), x)?, x);
    }

    /// What comes a stride later comes out a step later; and through the transpose, a step a stride.
    #[test]
    fn a_shift_goes_through(
        channels in select(BOUNDARIES.channels), filters in select(BOUNDARIES.channels), taps in 1usize..=9,
        stride in 1usize..=4, n in 2usize..=20, seed: u64,
    ) {
        let steps = (n - 1) * stride + taps;
        let x = signal(Shape::new(steps + stride, channels), seed);
        let x = x.as_slice().expect("row by row");
        let layer = Conv1D::new(filters, taps).strides(stride).use_bias(false);
        let conv = one_layer(Shape::new(steps, channels), layer).expect("a layer");
        let weights = integers(!seed, conv.layout().len());
        let here = on_every_backend(&conv, &weights, &x[..steps * channels])?;
        let later = on_every_backend(&conv, &weights, &x[stride * channels..])?;
        prop_assert_eq!(&here[filters..], &later[..later.len() - filters]);

        // A sample that starts, or ends, with a step of zeros.
        let padded: Vec<f64> = vec![0.0; channels].into_iter().chain(x[..n * channels].to_vec()).collect();
        let ended: Vec<f64> = x[..n * channels].iter().copied().chain(vec![0.0; channels]).collect();
        let layer = Conv1DTranspose::new(filters, taps).strides(stride).use_bias(false);
        let transposed = one_layer(Shape::new(n + 1, channels), layer).expect("a layer");
        let weights = integers(!seed, transposed.layout().len());
        let late = on_every_backend(&transposed, &weights, &padded)?;
        let early = on_every_backend(&transposed, &weights, &ended)?;
        prop_assert_eq!(&late[stride * filters..], &early[..early.len() - stride * filters]);
        prop_assert!(late[..stride * filters].iter().all(|v| *v == 0.0));
    }
}
