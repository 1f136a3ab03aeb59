//! Who is tested, and how a model gets onto a backend.

use std::io;
use std::sync::OnceLock;

use glassbox_cpu::{Cpu, Simd};
use glassbox_cuda::Cuda;
use glassbox_cuda::device::cache::Cache;
use glassbox_cuda::device::nvrtc::Nvrtc;
use glassbox_cuda::device::{Gpu, Properties};
use glassbox_engine::Float;
use glassbox_engine::backend::{Backend, Dataset, Session, State};
use glassbox_engine::losses::Loss;
use glassbox_engine::model::Network;
use glassbox_engine::optimizers::Optimizer;
use glassbox_engine::reference::Reference;
use glassbox_engine::samples::Samples;
use glassbox_stand_in::Settings;

/// A backend that computes in `f32`.
pub type Backend32 = Box<dyn Backend<f32>>;

/// The variable that puts a GPU under all tests, in the place of every other backend: its number.
pub const GPU_VARIABLE: &str = "GLASSBOX_TEST_GPU";

/// **Every backend that computes in `f32`.** This is the one place where a new one is put under all tests.
///
/// # Panics
/// If one cannot be had.
#[must_use]
pub fn backends() -> Vec<Backend32> {
    if let Some(gpu) = gpu() {
        // Its steps not fused: generated models are too many to be compiled for.
        return vec![Box::new(gpu.plain())];
    }
    let mut backends: Vec<Backend32> = vec![Box::new(Reference)];
    // Each path with one thread, and with more than this machine may have.
    backends.extend(paths().into_iter().flat_map(|simd| [1, 3].map(|threads| cpu(simd, threads))));
    // Who forces a path of the CPU asks about that path.
    if std::env::var_os(glassbox_cpu::VARIABLE).is_none() && can_run_kernels() {
        backends.push(Box::new(kernels_on(&Settings::default())));
    }
    backends
}

/// The same, and one more whose training steps are fused: for tests of a few models.
///
/// # Panics
/// If one cannot be had.
#[must_use]
pub fn backends_and_fused() -> Vec<Backend32> {
    let mut backends = backends();
    if backends.iter().any(|backend| launches_kernels(&**backend)) {
        backends.push(Box::new(cuda_on(&Settings::default())));
    }
    backends
}

/// The GPU that the environment asks for. It is opened once: its kernels are compiled once.
fn gpu() -> Option<Cuda> {
    static GPU: OnceLock<Option<Cuda>> = OnceLock::new();
    let open = || {
        let number = std::env::var(GPU_VARIABLE).ok().filter(|number| !number.is_empty())?;
        let number =
            number.parse().unwrap_or_else(|_| panic!("{GPU_VARIABLE} is {number}, no number of a GPU"));
        let opened = Gpu::open(number, Cache::none()).and_then(Cuda::new);
        Some(opened.unwrap_or_else(|error| panic!("{GPU_VARIABLE} is {number}: {error}")))
    };
    GPU.get_or_init(open).clone()
}

/// Returns whether a backend is CUDA's, on a GPU or on a stand-in.
#[must_use]
pub fn launches_kernels<F: Float>(backend: &dyn Backend<F>) -> bool {
    backend.name().starts_with("cuda")
}

/// Returns whether [`cuda_on`] has something to run on: the GPU that the environment asks for, or a C++ compiler.
///
/// # Panics
/// As [`can_run_kernels`].
#[must_use]
pub fn can_run_cuda() -> bool {
    gpu().is_some() || can_run_kernels()
}

/// Whether CUDA kernels can be run on the host: that takes a C++ compiler, `$CXX` or g++. If not, with a word on
/// standard error, as in [`crate::real_data()`]: the test that asked does without.
///
/// # Panics
/// In CI, where nothing may skip.
#[must_use]
pub fn can_run_kernels() -> bool {
    static THERE: OnceLock<bool> = OnceLock::new();
    let there = *THERE.get_or_init(glassbox_stand_in::has_compiler);
    if !there {
        crate::real_data::skip("install a C++ compiler, or name one in CXX,");
    }
    there
}

/// A Hopper GPU of so many multiprocessors.
#[must_use]
pub fn hopper(multiprocessors: usize) -> Settings {
    Settings { multiprocessors, ..Settings::default() }
}

/// The properties of a GPU with these settings that decide how steps are fused.
#[must_use]
pub fn properties(settings: &Settings) -> Properties {
    let Settings { capability, shared_bytes, multiprocessors, memory, .. } = *settings;
    let (name, place) = ("a GPU".into(), "cuda:0".into());
    Properties { name, place, capability, shared_bytes, multiprocessors, memory }
}

/// The CUDA backend on a GPU of these settings, none of its steps fused. There is no GPU: NVIDIA's libraries are the
/// stand-in of `kernels/driver`, which runs the kernels on the host, each access checked.
///
/// # Panics
/// If there is no C++ compiler, or a kernel does not compile.
#[must_use]
pub fn kernels_on(settings: &Settings) -> Cuda {
    stand_in(settings).plain()
}

/// The CUDA backend with training steps that are fused where they fit: on the GPU that the environment asks for, or
/// else on a stand-in of these settings. Each model is compiled for itself, which takes seconds.
///
/// # Panics
/// As [`kernels_on`].
#[must_use]
pub fn cuda_on(settings: &Settings) -> Cuda {
    gpu().unwrap_or_else(|| stand_in(settings))
}

fn stand_in(settings: &Settings) -> Cuda {
    let open = || {
        let number = glassbox_stand_in::plug(settings)?;
        let nvrtc = glassbox_stand_in::library()?;
        Ok::<_, io::Error>(
            Gpu::open_with(number, Cache::none(), |_| Nvrtc::load_from(&nvrtc)).and_then(Cuda::new),
        )
    };
    let opened = open().unwrap_or_else(|error| panic!("the stand-in: {error}"));
    opened.unwrap_or_else(|error| panic!("{settings:?}: {error}"))
}

/// One backend with several numbers of threads, for each that has threads: they must agree to the bit.
#[must_use]
pub fn backends_by_threads() -> Vec<Vec<Backend32>> {
    if gpu().is_some() {
        return vec![];
    }
    paths().into_iter().map(|simd| [1, 2, 3, 8].map(|threads| cpu(simd, threads)).into()).collect()
}

/// Every path of the CPU backend that this processor can take, or the one that `GLASSBOX_SIMD` forces.
fn paths() -> Vec<Simd> {
    Simd::under_test().unwrap_or_else(|error| panic!("{error}"))
}

fn cpu(simd: Simd, threads: usize) -> Backend32 {
    Box::new(Cpu::with_simd(Some(threads), simd).expect("a path that is available, and threads"))
}

/// A model and how it is to be trained.
#[derive(Debug, Clone)]
pub struct Setup<'a> {
    /// The model.
    pub model: &'a Network,
    /// Its loss.
    pub loss: Loss,
    /// What takes the steps.
    pub optimizer: Optimizer,
    /// The run's seed.
    pub seed: u64,
    /// The most samples in a batch.
    pub batch_size: usize,
}

impl<'a> Setup<'a> {
    /// Mean squared error, Adam, seed 0, batches of up to 32.
    #[must_use]
    pub fn new(model: &'a Network) -> Self {
        Self { model, loss: Loss::default(), optimizer: Optimizer::default(), seed: 0, batch_size: 32 }
    }

    /// A session that starts from these weights.
    ///
    /// # Panics
    /// If the engine or the backend refuses.
    #[must_use]
    pub fn session<F: Float>(&self, backend: &dyn Backend<F>, weights: Vec<F>) -> Box<dyn Session<F>> {
        let plan =
            self.model.plan(self.loss, self.optimizer.clone(), self.seed, self.batch_size).expect("a plan");
        let mut session = backend.session(plan).unwrap_or_else(|error| panic!("{}: {error}", backend.name()));
        session.set_state(&State::new(weights, &self.optimizer)).expect("a state");
        session
    }
}

/// Samples `x` and their targets, row by row.
///
/// # Panics
/// If they do not fit the model.
#[must_use]
pub fn dataset<'a, F: Float>(model: &Network, x: &'a [F], target: &'a [F]) -> Dataset<'a, F> {
    Dataset {
        x: Samples::dense(x, model.input_shape()).expect("samples of the input's shape"),
        y: Samples::dense(target, model.output_shape()).expect("targets of the output's shape"),
    }
}

/// The prediction for samples `x`, written over NaN: what is not overwritten shows.
///
/// # Panics
/// If the backend refuses.
#[must_use]
pub fn predict<F: Float>(session: &mut dyn Session<F>, x: &Samples<'_, F>) -> Vec<F> {
    let program = &session.plan().inference;
    let mut y = vec![F::nan(); x.len() * program.values[program.output.index()].len()];
    session.predict(x, &mut y).expect("a prediction");
    y
}
