//! A training session on the CPU: samples are divided among threads, and sums have a fixed order.

use std::sync::{Arc, Mutex, PoisonError};

use glassbox_engine::Result;
use glassbox_engine::backend::{self, BatchEnd, Dataset, Epoch, Plan, Session, State, check_prediction};
use glassbox_engine::losses::Loss;
use glassbox_engine::masks::MaskAt;
use glassbox_engine::profile::{Clock, NoClock, Part, StepProfile, Stopwatch};
use glassbox_engine::samples::Samples;
use rayon::ThreadPool;
use rayon::prelude::*;

use crate::executor::{Executable, LONGEST_PERIOD, Sample, Window, Workspace, group};
use crate::kernels::sums;
use crate::layout::{Aligned, padded_len};
use crate::simd::{Isa, Simd};

/// The number of samples in a chunk of a batch of `samples` samples. It decides the order of sums, so it must depend on
/// the program and nothing else: a run gives the same bits with any number of threads. A batch of 128 makes 16 chunks of
/// 8: enough to keep many cores busy, and few enough that adding up their gradients costs nothing. Smaller batches make
/// 16 chunks as long as they have that many samples; but if the program takes a `group` of samples in lockstep, at least
/// 4 of them keep the multipliers busy. No batch makes more than 128 chunks, because each has its own gradient and all
/// should stay in cache.
fn chunk_len(samples: usize, group: usize) -> usize {
    samples.div_ceil(16).clamp(group.min(4), 8).max(samples.div_ceil(MOST_CHUNKS))
}

const MOST_CHUNKS: usize = 128;

/// The least number of periods in a chunk of windows that share values. The windows of one period run by themselves.
const PERIODS: usize = 32;

/// The maximum number of chunks of a batch of up to `samples` samples.
fn most_chunks(samples: usize) -> usize {
    samples.min(16).max(samples.div_ceil(8)).min(MOST_CHUNKS)
}

pub(crate) struct CpuSession {
    plan: Plan,
    pool: Arc<ThreadPool>,
    state: State<f32>,
    gradient: Vec<f32>,
    /// The sum over chunks, in the layout of the kernels.
    sums: Vec<f32>,
    /// Room for the sums over samples that meet at a barrier.
    met: Vec<f64>,
    isa: Isa,
    training: Executable,
    inference: Executable,
    workspaces: Vec<Mutex<Workspaces>>,
    chunks: Vec<Chunk>,
    /// Tells which programs have packed the current weights.
    packed: Packed,
}

/// Flags of the programs whose packed kernels are up to date.
#[derive(Default)]
struct Packed {
    training: bool,
    inference: bool,
}

/// The workspaces of one thread.
struct Workspaces {
    training: Workspace,
    inference: Workspace,
}

/// The sums over one chunk of samples.
struct Chunk {
    gradient: Aligned,
    loss: f64,
    /// The values of the samples, if they are kept from one stretch to the next.
    windows: Vec<Window>,
}

impl CpuSession {
    pub(crate) fn new(plan: Plan, pool: Arc<ThreadPool>, simd: Simd) -> Result<Self> {
        let (threads, chunks) = (pool.current_num_threads(), most_chunks(plan.batch_size));
        // The gradient, the sum, the gradient of each chunk, and the packed kernels of both programs.
        let vectors = chunks + 4;
        // First only the values and the weights, because finding the margins takes a loop over the taps.
        let (meets, group) = (plan.training.stretches().len() > 1, group(&plan.training));
        let kept_in_chunk = if meets { chunk_len(plan.batch_size, group) } else { 0 };
        let samples = threads.saturating_mul(group).saturating_add(chunks * kept_in_chunk);
        plan.require_room(size_of::<f32>(), plan.sample_len(), samples, vectors)?;
        let padded = padded_len(&plan.training).zip(padded_len(&plan.inference));
        // Windows that share values are kept for each phase, with as much room again to slide over.
        let kept = plan.inference.overlap().map_or(1, |overlap| 2 * overlap.period.min(LONGEST_PERIOD));
        let padded =
            padded.and_then(|(training, inference)| training.checked_add(inference.checked_mul(kept)?));
        plan.require_room(size_of::<f32>(), padded, samples, vectors)?;
        let zeros = vec![0.0; plan.layout.len()];
        let training = Executable::new(&plan.training, &plan, simd);
        let inference = Executable::new(&plan.inference, &plan, simd).sharing_overlaps(&plan.layout);
        let workspaces = (0..threads)
            .map(|_| {
                Mutex::new(Workspaces { training: training.workspace(), inference: inference.workspace() })
            })
            .collect();
        let chunk = || Chunk {
            gradient: Aligned::zeros(zeros.len(), 0),
            loss: 0.0,
            windows: training.windows(kept_in_chunk),
        };
        Ok(Self {
            chunks: (0..chunks).map(|_| chunk()).collect(),
            state: State::new(zeros.clone(), &plan.optimizer),
            sums: zeros.clone(),
            met: vec![0.0; training.longest_met()],
            gradient: zeros,
            isa: Isa::new(simd).unwrap_or(Isa::PORTABLE),
            training,
            inference,
            workspaces,
            pool,
            plan,
            packed: Packed::default(),
        })
    }

    /// Computes the mean loss and the gradient of a batch, with a clock around each part.
    fn gradient_of<C: Clock>(
        &mut self,
        data: &Dataset<'_, f32>,
        batch: &[u32],
        clock: &mut C,
    ) -> Result<f64> {
        data.check(&self.plan)?;
        assert!(batch.len() <= self.plan.batch_size, "a batch of {}", batch.len());
        self.pack_training();
        clock.lap(Part::Packing);
        let Self { training, workspaces, state, pool, chunks, gradient, isa, met, .. } = self;
        let total = &mut self.sums;
        total.fill(0.0);
        let len = chunk_len(batch.len(), training.group());
        let chunks = &mut chunks[..batch.len().div_ceil(len)];
        for stretch in 0..training.stretches() {
            // One clock per chunk. Ordinary steps have none: a vector of zero-sized clocks allocates nothing.
            let mut clocks: Vec<C> = chunks.iter().map(|_| clock.fork()).collect();
            pool.install(|| {
                // Chunks are long enough to be taken one at a time, so that the threads finish at about the same time.
                let work = chunks.par_iter_mut().zip(batch.par_chunks(len)).zip(&mut clocks);
                work.enumerate().with_max_len(1).for_each(|(chunk, ((sums, samples), clock))| {
                    clock.start();
                    if stretch == 0 {
                        sums.gradient.fill(0.0);
                        sums.loss = 0.0;
                        clock.lap(Part::Clearing);
                    }
                    with_workspace(workspaces, |workspace| {
                        let Workspace { windows, scratch } = &mut workspace.training;
                        for (group, samples) in samples.chunks(training.group()).enumerate() {
                            let first = group * training.group();
                            let sample = |within: usize| {
                                let index = samples[within] as usize;
                                let position = chunk * len + first + within;
                                Sample {
                                    x: data.x.get(index),
                                    target: data.y.get(index),
                                    batch: batch.len(),
                                    at: MaskAt { mask: 0, step: state.step, position },
                                }
                            };
                            let windows = match training.stretches() {
                                1 => &mut windows[..samples.len()],
                                _ => &mut sums.windows[first..][..samples.len()],
                            };
                            let (weights, gradient) = (&state.weights, &mut sums.gradient);
                            let run = (windows, &mut *scratch);
                            sums.loss += training.run(stretch, run, sample, weights, gradient, clock);
                        }
                    });
                });
            });
            clock.join(&clocks, pool.current_num_threads());
            if let Some(barrier) = training.barrier(stretch) {
                let each = |visit: &mut dyn FnMut(&mut Window)| {
                    for (chunk, samples) in chunks.iter_mut().zip(batch.chunks(len)) {
                        chunk.windows[..samples.len()].iter_mut().for_each(&mut *visit);
                    }
                };
                training.meet(barrier, each, met, &state.weights, total);
                clock.lap(Part::Line(barrier));
            }
        }
        let mut loss = 0.0;
        for chunk in &*chunks {
            loss += chunk.loss;
            sums::add(*isa, total, &chunk.gradient);
        }
        training.finish_gradient(total, gradient);
        clock.lap(Part::Reduction);
        Ok(loss / batch.len() as f64)
    }

    fn pack_training(&mut self) {
        if !std::mem::replace(&mut self.packed.training, true) {
            self.training.pack(&self.state.weights);
        }
    }

    fn pack_inference(&mut self) {
        if !std::mem::replace(&mut self.packed.inference, true) {
            self.inference.pack(&self.state.weights);
        }
    }

    /// The period with which samples share values: overlapping windows, one step apart.
    fn period(&self, x: &Samples<'_, f32>) -> Option<usize> {
        let (_, hop) = x.raw();
        self.inference.period().filter(|_| hop == x.shape().channels)
    }

    /// The number of samples in a chunk of inference. If samples share values, those at the start of a chunk do not.
    fn inference_chunk(&self, x: &Samples<'_, f32>) -> usize {
        let len = chunk_len(x.len(), self.inference.group());
        self.period(x).map_or(len, |period| len.max(PERIODS * period))
    }

    /// Runs inference over samples, in chunks of [`inference_chunk`](CpuSession::inference_chunk) divided among threads.
    /// `each` gets the sample's index, its index within its chunk, its prediction, and the chunk's own `T`; the samples of
    /// a chunk come in any order.
    fn infer<T: Send>(
        &mut self,
        x: &Samples<'_, f32>,
        chunks: &mut [T],
        each: impl Fn(usize, usize, &[f32], &mut T) + Sync,
    ) {
        self.pack_inference();
        let (len, period) = (self.inference_chunk(x), self.period(x));
        let Self { inference, workspaces, state, pool, .. } = &*self;
        let weights = &state.weights;
        pool.install(|| {
            chunks.par_iter_mut().enumerate().with_max_len(1).for_each(|(chunk, own)| {
                with_workspace(workspaces, |Workspaces { inference: workspace, .. }| {
                    let (start, end) = (chunk * len, x.len().min((chunk + 1) * len));
                    if let Some(period) = period {
                        // Window by window of each phase, so that the one before is in cache.
                        for phase in 0..period {
                            for index in (start + phase..end).step_by(period) {
                                inference.follow(workspace, x.get(index), weights);
                                each(index, index - start, inference.prediction(workspace, 0), own);
                            }
                        }
                        return;
                    }
                    for first in (start..end).step_by(inference.group()) {
                        let samples = inference.group().min(end - first);
                        let sample = |within: usize| Sample::inference(x.get(first + within));
                        let run = (&mut workspace.windows[..samples], &mut workspace.scratch);
                        inference.run(0, run, sample, weights, &mut [], &mut NoClock);
                        for (within, index) in (first..first + samples).enumerate() {
                            each(index, index - start, inference.prediction(workspace, within), own);
                        }
                    }
                });
            });
        });
    }
}

/// Calls `work` with the workspace of the current thread of the pool.
fn with_workspace<R>(workspaces: &[Mutex<Workspaces>], work: impl FnOnce(&mut Workspaces) -> R) -> R {
    let thread = rayon::current_thread_index().expect("within the pool");
    // A panic leaves no half-written state in a workspace: every value is stored before it is read.
    work(&mut workspaces[thread].lock().unwrap_or_else(PoisonError::into_inner))
}

impl Session<f32> for CpuSession {
    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn state(&self) -> Result<State<f32>> {
        Ok(self.state.clone())
    }

    fn set_state(&mut self, state: &State<f32>) -> Result<()> {
        state.check(&self.plan)?;
        self.state.clone_from(state);
        self.packed = Packed::default();
        Ok(())
    }

    fn set_learning_rate(&mut self, rate: f64) {
        self.plan.optimizer.set_learning_rate(rate);
    }

    fn compute_gradient(&mut self, data: &Dataset<'_, f32>, batch: &[u32]) -> Result<f64> {
        self.gradient_of(data, batch, &mut NoClock)
    }

    fn profile_step(&mut self, data: &Dataset<'_, f32>, batch: &[u32]) -> Result<StepProfile> {
        // Within the pool, like the steps of an epoch.
        let pool = Arc::clone(&self.pool);
        pool.install(|| {
            let mut clock = Stopwatch::new(self.plan.training.lines.len());
            let loss = self.gradient_of(data, batch, &mut clock)?;
            self.update()?;
            clock.lap(Part::Update);
            Ok(clock.profile(loss, batch.len(), pool.current_num_threads()))
        })
    }

    fn samples_at_a_time(&self) -> usize {
        self.training.group()
    }

    fn gradient(&self) -> Result<Vec<f32>> {
        Ok(self.gradient.clone())
    }

    fn set_gradient(&mut self, gradient: &[f32]) -> Result<()> {
        self.plan.layout.require_len(gradient.len())?;
        self.gradient.copy_from_slice(gradient);
        Ok(())
    }

    fn update(&mut self) -> Result<()> {
        let State { weights, slots, step } = &mut self.state;
        *step += 1;
        self.plan.optimizer.update(*step, &self.plan.layout, weights, &self.gradient, slots);
        self.packed = Packed::default();
        Ok(())
    }

    fn train_epoch(
        &mut self,
        data: &Dataset<'_, f32>,
        epoch: &Epoch<'_>,
        on_batch: &mut (dyn FnMut(BatchEnd) + Send),
    ) -> Result<f64> {
        // The whole epoch runs within the pool: entering it for every step would wake its threads each time.
        let pool = Arc::clone(&self.pool);
        pool.install(|| backend::train_epoch(self, data, epoch, on_batch))
    }

    fn evaluate(&mut self, data: &Dataset<'_, f32>) -> Result<f64> {
        let mut losses = vec![0.0; data.len()];
        self.sample_losses(data, self.plan.loss, &mut losses)?;
        let chunks = losses.chunks(chunk_len(data.len(), self.inference.group()));
        Ok(chunks.map(|losses| losses.iter().sum::<f64>()).sum::<f64>() / data.len() as f64)
    }

    fn sample_losses(&mut self, data: &Dataset<'_, f32>, loss: Loss, losses: &mut [f64]) -> Result<()> {
        data.check(&self.plan)?;
        assert_eq!(losses.len(), data.len(), "a loss for each sample");
        let outputs = self.plan.inference.outputs.clone();
        let mut chunks: Vec<&mut [f64]> = losses.chunks_mut(self.inference_chunk(&data.x)).collect();
        self.infer(&data.x, &mut chunks, |index, within, prediction, losses| {
            losses[within] = loss.total(&outputs, prediction, data.y.get(index));
        });
        Ok(())
    }

    fn predict(&mut self, x: &Samples<'_, f32>, y: &mut [f32]) -> Result<()> {
        check_prediction(&self.plan, x, y)?;
        if x.is_empty() {
            return Ok(());
        }
        let len = y.len() / x.len();
        let mut chunks: Vec<&mut [f32]> = y.chunks_mut(len * self.inference_chunk(x)).collect();
        self.infer(x, &mut chunks, |_, within, prediction, chunk| {
            chunk[within * len..][..len].copy_from_slice(prediction);
        });
        Ok(())
    }

    fn observe(&mut self, sample: &[f32], visit: &mut dyn FnMut(usize, &[f32])) -> Result<()> {
        self.pack_inference();
        let Self { inference, workspaces, state, .. } = &*self;
        let mut workspace = workspaces[0].lock().unwrap_or_else(PoisonError::into_inner);
        inference.observe(&mut workspace.inference, sample, &state.weights, visit)
    }
}

#[cfg(test)]
mod tests {
    use glassbox_engine::Error;
    use glassbox_engine::backend::Backend;
    use glassbox_engine::geometry::Padding;
    use glassbox_engine::layers::Conv1D;
    use glassbox_engine::losses::Loss;
    use glassbox_engine::model::Sequential;
    use glassbox_engine::optimizers::Optimizer;
    use glassbox_engine::shape::Shape;

    use super::*;
    use crate::{Cpu, MOST_THREADS};

    /// The values of a sample are few, but the zeros before them are more than any machine could hold.
    #[test]
    fn zeros_around_values_have_to_fit_too() {
        let mut model = Sequential::new(Shape::new(16, 1));
        model.add(Conv1D::new(1, 3).padding(Padding::Causal).dilation_rate(1 << 55)).unwrap();
        let plan = model.plan(Loss::default(), Optimizer::default(), 1, 4).unwrap();
        let cpu = Cpu::with_simd(Some(1), Simd::Portable).unwrap();
        let refused = cpu.session(plan).err();
        assert!(matches!(refused, Some(Error::Memory { .. })), "{refused:?}");
    }

    #[test]
    fn threads_have_a_most() {
        for threads in [0, MOST_THREADS + 1, usize::MAX] {
            let error = Cpu::with_simd(Some(threads), Simd::Portable).unwrap_err().to_string();
            assert!(error.contains(&format!("threads is {threads}, expected 1 to 1024")), "{error}");
        }
    }

    #[test]
    fn no_batch_needs_more_chunks_than_there_are() {
        for batch_size in (1..=300).chain([1000, 1024, 1025, 1500, 5000]) {
            let used = (1..=batch_size).map(|batch: usize| batch.div_ceil(chunk_len(batch, 1))).max();
            assert_eq!(used, Some(most_chunks(batch_size)), "up to {batch_size} samples");
        }
        // The tutorial's batch, the last batch of its epoch, and a single sample.
        assert_eq!([128, 42, 1].map(|samples| chunk_len(samples, 1)), [8, 3, 1]);
        assert_eq!([256, 128, 42, 1].map(|samples| chunk_len(samples, 8)), [8, 8, 4, 4]);
    }
}
