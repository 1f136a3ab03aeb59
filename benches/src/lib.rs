//! What the benches share: the shapes they run at, the operands, and the check that comes before the clock.

pub mod growth;
pub mod limits;
pub mod variants;
pub mod yardstick;

use std::time::Instant;

use glassbox_cpu::{Contraction, Operation, Simd, peak};
use glassbox_engine::backend::{Plan, State};
use glassbox_engine::geometry::{Geometry, GeometrySpec, Padding};
use glassbox_engine::layers::{Activation, Conv1D, Conv1DTranspose, Dropout};
use glassbox_engine::losses::Loss;
use glassbox_engine::model::{Network, Sequential};
use glassbox_engine::optimizers::Optimizer;
use glassbox_engine::random::{Purpose, Stream};
use glassbox_engine::reference;
use glassbox_engine::shape::Shape;
use glassbox_pipeline::architecture::tutorial_model;
use glassbox_pipeline::scaler::Scaler;
use glassbox_pipeline::synthetic::{self, Subset};
use ndarray::{ArrayView2, ArrayView3, ArrayViewMut2, ArrayViewMut3};
use yardstick::Yardstick;

/// Samples in a batch of the tutorial.
pub const BATCH: usize = 128;

/// Steps in a window of the tutorial.
pub const WINDOW: usize = 288;

/// Multiply-adds of a training step for one window, those on padding left out.
pub const TRAINING_MULTIPLY_ADDS: usize = 2_942_976;

/// Multiply-adds of a prediction for one window, those on padding left out.
pub const FORWARD_MULTIPLY_ADDS: usize = 991_680;

/// A convolution with padding "same": steps in, channels in and out, taps, stride.
#[must_use]
pub fn same(
    in_steps: usize,
    in_channels: usize,
    out_channels: usize,
    taps: usize,
    stride: usize,
) -> Geometry {
    let (out_steps, pad_left) = Padding::Same.resolve(in_steps, taps, stride).expect("same always fits");
    let spec =
        GeometrySpec { in_steps, in_channels, out_steps, out_channels, taps, stride, dilation: 1, pad_left };
    Geometry::new(spec).expect("a geometry of moderate size")
}

/// The maps of the tutorial's five layers. The last three run backwards there, as transposed convolutions.
#[must_use]
pub fn layers() -> [(&'static str, Geometry); 5] {
    [
        ("conv 1-32", same(288, 1, 32, 7, 2)),
        ("conv 32-16", same(144, 32, 16, 7, 2)),
        ("transpose 16-16", same(144, 16, 16, 7, 2)),
        ("transpose 16-32", same(288, 32, 16, 7, 2)),
        ("transpose 32-1", same(288, 1, 32, 7, 1)),
    ]
}

/// Shapes that fit no vector and no tile: those of the conformance tests, and some around their corners.
#[must_use]
pub fn odd_shapes() -> Vec<Geometry> {
    vec![
        same(100, 3, 24, 5, 3),
        same(100, 24, 3, 5, 3),
        same(100, 20, 20, 5, 2),
        same(288, 17, 33, 7, 2),
        same(288, 8, 8, 7, 2),
        same(288, 64, 64, 3, 1),
        same(100, 128, 128, 3, 1),
        same(288, 5, 7, 15, 1),
        same(288, 3, 64, 3, 1),
        same(288, 64, 3, 3, 1),
        same(288, 3, 128, 3, 4),
        same(288, 128, 3, 3, 4),
        same(96, 128, 128, 15, 4),
        same(288, 33, 33, 3, 1),
        same(288, 31, 31, 5, 3),
        same(288, 12, 40, 9, 4),
        same(288, 40, 12, 9, 4),
        same(288, 9, 9, 9, 1),
        same(1000, 4, 4, 15, 2),
        same(1000, 3, 3, 7, 1),
    ]
}

/// Operands of the three contractions, and what the reference makes of them.
#[derive(Debug, Clone)]
pub struct Operands {
    /// A.
    pub geometry: Geometry,
    x: Vec<f32>,
    y: Vec<f32>,
    kernel: Vec<f32>,
}

impl Operands {
    /// Uniform in (-1, 1), always the same for the same geometry.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        let mut draws = Stream::new(1, Purpose::Check, 0, 0).draws();
        let mut values = |n: usize| (0..n).map(|_| draws.uniform_in(-1.0, 1.0) as f32).collect();
        let (x, y) = (values(geometry.input().len()), values(geometry.output().len()));
        Self { geometry, x, y, kernel: values(geometry.kernel_len()) }
    }

    /// Values in the result.
    #[must_use]
    pub fn result_len(&self, operation: Operation) -> usize {
        match operation {
            Operation::Apply => self.y.len(),
            Operation::ApplyTransposed => self.x.len(),
            Operation::Correlate => self.kernel.len(),
        }
    }

    /// The reference, in `f32`.
    ///
    /// # Panics
    /// If `result` has the wrong length.
    pub fn reference(&self, operation: Operation, result: &mut [f32]) {
        let Self { geometry: g, x, y, kernel } = self;
        let (input, output) = ((g.in_steps, g.in_channels), (g.out_steps, g.out_channels));
        let fits = "operands have the shapes of the geometry";
        let x = ArrayView2::from_shape(input, x).expect(fits);
        let y = ArrayView2::from_shape(output, y).expect(fits);
        let kernel = ArrayView3::from_shape(g.kernel(), kernel).expect(fits);
        match operation {
            Operation::Apply => {
                reference::apply(g, x, kernel, ArrayViewMut2::from_shape(output, result).expect(fits));
            }
            Operation::ApplyTransposed => {
                let result = ArrayViewMut2::from_shape(input, result).expect(fits);
                reference::apply_transposed(g, y, kernel, result);
            }
            Operation::Correlate => {
                let result = ArrayViewMut3::from_shape(g.kernel(), result).expect(fits);
                reference::correlate(g, x, y, result);
            }
        }
    }

    /// A contraction of these operands, **checked against the reference**.
    ///
    /// # Panics
    /// If its result is not that of the reference.
    #[must_use]
    pub fn contraction(&self, simd: Simd, operation: Operation) -> Contraction {
        let mut contraction = Contraction::new(simd, operation, &self.geometry).expect("an available path");
        contraction.set_kernel(&self.kernel);
        match operation {
            Operation::Apply => contraction.set_x(&self.x),
            Operation::ApplyTransposed => contraction.set_x(&self.y),
            Operation::Correlate => {
                contraction.set_x(&self.x);
                contraction.set_y(&self.y);
            }
        }
        contraction.run();
        self.check(simd.name(), operation, &contraction.result());
        contraction
    }

    /// The same through the crate `gemm`, **checked against the reference**.
    ///
    /// # Panics
    /// If its result is not that of the reference.
    #[must_use]
    pub fn yardstick(&self, operation: Operation) -> Yardstick {
        let (signal, other) = match operation {
            Operation::Apply => (&self.x, &self.kernel),
            Operation::ApplyTransposed => (&self.y, &self.kernel),
            Operation::Correlate => (&self.x, &self.y),
        };
        let mut yardstick = Yardstick::new(operation, &self.geometry, signal, other);
        yardstick.run();
        self.check("gemm", operation, yardstick.result());
        yardstick
    }

    fn check(&self, who: &str, operation: Operation, found: &[f32]) {
        let mut expected = vec![0.0; self.result_len(operation)];
        self.reference(operation, &mut expected);
        for (found, expected) in found.iter().zip(&expected) {
            // Both are rounded some hundred times at a size of about ten.
            let good = (found - expected).abs() <= 2e-4;
            assert!(good, "{who}, {}, {:?}: {found}, {expected}", operation.name(), self.geometry);
        }
    }
}

/// The tutorial's network on windows of so many steps, with so many times its channels.
///
/// # Panics
/// If the window is no multiple of four steps.
#[must_use]
pub fn network(window: usize, channels: usize) -> Network {
    let mut model = Sequential::new(Shape::new(window, 1));
    let (same, relu) = (Padding::Same, Activation::Relu);
    let encode = |filters| Conv1D::new(filters * channels, 7).padding(same).strides(2).activation(relu);
    let decode =
        |filters| Conv1DTranspose::new(filters * channels, 7).padding(same).strides(2).activation(relu);
    let mut build = || {
        model.add(encode(32))?.add(Dropout::new(0.2))?.add(encode(16))?;
        model.add(decode(16))?.add(Dropout::new(0.2))?.add(decode(32))?;
        model.add(Conv1DTranspose::new(1, 7).padding(same)).map(|_| ())
    };
    build().expect("windows are multiples of four");
    model.into()
}

/// How the tutorial trains, and the state it starts from.
///
/// # Panics
/// Never: the tutorial's model can be trained.
#[must_use]
pub fn plan() -> (Plan, State<f32>) {
    let model = tutorial_model(WINDOW).expect("the tutorial's own length");
    let optimizer = Optimizer::default();
    let state = State::new(model.layout().initial(1), &optimizer);
    let plan = model.plan(Loss::MeanSquaredError, optimizer, 1, BATCH);
    (plan.expect("the tutorial can be trained"), state)
}

/// The tutorial's training series, normalised: the built-in twin of it, so that no file is needed.
///
/// # Panics
/// Never: the twin varies and stays in range.
#[must_use]
pub fn series() -> Vec<f32> {
    let twin = synthetic::series(Subset::Train, 1);
    let scaler = Scaler::fit(twin.values()).expect("the twin varies");
    scaler.normalise(twin.values()).expect("the twin stays in range")
}

/// Multiply-adds in registers for about half a millisecond; gives the operations, or `None` on a path without
/// a ceiling.
#[must_use]
pub fn ceiling(simd: Simd) -> Option<f64> {
    peak::multiply_adds(simd, 150_000).map(|(operations, value)| {
        std::hint::black_box(value);
        operations
    })
}

/// Operations a second in registers, on so many threads at a time: the best that each reaches while all run.
///
/// # Panics
/// Never: the threads do not.
#[must_use]
pub fn ceiling_of(simd: Simd, threads: usize) -> f64 {
    let once = || {
        let start = Instant::now();
        let done = ceiling(simd).unwrap_or(0.0);
        done / start.elapsed().as_secs_f64()
    };
    std::thread::scope(|scope| {
        let work = || (0..10).map(|_| once()).fold(0.0, f64::max);
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    })
}
