//! Profiles a training step: the time of each part, compared with the ceilings of the machine.
//!
//! [`run`] takes training steps of two kinds in turn: ordinary ones, whose times are measured from outside, and
//! profiled ones, with a clock around each part ([`glassbox_engine::profile`]). The ceilings are measured
//! between them. Because they alternate, all three run under the same conditions: clock rate, other processes. Times
//! are medians, which a few disturbed steps do not change; a ceiling is the best measurement.
//!
//! Two checks are built in. The parts are timed with the clock and the step without it, so their sum equals the step's
//! time only if the estimated cost of the clock is right and no part is missing ([`StepInfo::agreement`]). A share of a
//! ceiling above 1 would show a mistake in the count of operations or in the ceiling.
//!
//! [`Profile`] is a table when it is printed, JSON when it is serialised (`docs/profile.md` has the fields), and
//! a picture with [`roofline_svg`]. [`run_beside`] profiles the same step on a second backend; [`SideBySide`] compares
//! both part by part.

mod beside;
mod beside_table;
mod roofline;
mod schema;
mod table;

use std::time::Instant;

use glassbox_engine::backend::{Backend, Dataset, Epoch, Plan, Session, State};
use glassbox_engine::losses::Loss;
use glassbox_engine::model::Network;
use glassbox_engine::optimizers::Optimizer;
use glassbox_engine::profile::{Ceilings, Part, PartTime, StepProfile, reading_cost};
use glassbox_engine::program::Value;
use glassbox_engine::program::cost::Cost;
use glassbox_engine::random::{Purpose, Stream};
use glassbox_engine::samples::Samples;
use glassbox_engine::shape::Shape;
use glassbox_engine::{Error, Result, memory};

pub use beside::{Beside, Pair, SideBySide};
pub use roofline::roofline_svg;
pub use schema::{
    Bound, BoundBy, CeilingsInfo, ClockInfo, Config, ModelInfo, PartInfo, PassInfo, Profile, ProfileOptions,
    SCHEMA, StepInfo, What,
};

use glassbox_pipeline::detector::{fit_scaler, normalise};
use glassbox_pipeline::statistics;
use glassbox_pipeline::synthetic::{self, Subset};

/// Consecutive steps of one kind.
const TURN: usize = 5;

/// Steps before the first measured one, in which memory is touched and clock rates settle.
const WARM_UP: usize = 3;

/// The least share of an epoch that lies between the reported ends of its batches (5 of 6 steps) if the backend reports
/// each batch when it ends, not all at the end of the epoch.
const TOLD_AS_TAKEN: f64 = 0.4;

/// The most measurements of the ceilings.
const CEILINGS: usize = 9;

/// The number of samples of random data. Like windows of the synthetic series they overlap.
const RANDOM_SAMPLES: usize = 2048;

/// The most samples in a batch, and the most steps; both take hours.
pub const MOST: usize = 1 << 16;

/// Floating-point operations of Adam for each weight: 3 for m, 4 for v, 5 for the step.
const ADAM: u64 = 12;

/// Profiles training steps of `model` on `backend`, starting from `weights` or, without them, from initial weights.
///
/// # Errors
/// If an option is out of range, the backend cannot profile a step, or a number is not finite.
pub fn run(
    backend: &dyn Backend<f32>,
    model: &Network,
    weights: Option<&[f32]>,
    options: &ProfileOptions,
) -> Result<Profile> {
    for (option, value) in [("steps", options.steps), ("batch_size", options.batch_size)] {
        if !(1..=MOST).contains(&value) {
            let expected = format!("1 to {MOST}");
            return Err(Error::Option { option, found: value.to_string(), expected });
        }
    }
    let optimizer = Optimizer::default();
    let plan = model.plan(Loss::MeanSquaredError, optimizer.clone(), options.seed, options.batch_size)?;
    Signals::require_room(model.input_shape(), model.output_shape())?;
    let signals = Signals::new(model.input_shape(), model.output_shape(), options.seed)?;
    let data = signals.dataset()?;
    data.check(&plan)?;
    let weights = weights.map_or_else(|| model.layout().initial(options.seed), <[f32]>::to_vec);
    let state = State::new(weights, &optimizer);
    state.check(&plan)?;
    model.layout().require_finite(&state.weights)?;

    let costs = plan.training.costs(&plan.layout, size_of::<f32>());
    let mut session = backend.session(plan)?;
    session.set_state(&state)?;
    let working_set = working_set(session.plan(), session.samples_at_a_time());
    let measured = measure(backend, &mut *session, &data, working_set, options)?;
    let plan = session.plan();
    let subject = Subject {
        backend: backend.name(),
        model: ModelInfo {
            name: model.name().into(),
            input_shape: model.input_shape().axes(),
            parameters: model.layout().len(),
        },
        config: Config { options: *options, data: signals.name },
        plan,
        costs: &costs,
        ceilings: measured.ceilings(working_set),
    };
    Ok(measured.profile(subject))
}

/// Profiles the same training steps on two backends, one after the other: the same model, weights and batches.
///
/// # Errors
/// Those of [`run`], on either backend.
pub fn run_beside(
    [backend, beside]: [&dyn Backend<f32>; 2],
    model: &Network,
    weights: Option<&[f32]>,
    options: &ProfileOptions,
) -> Result<SideBySide> {
    let profile = run(backend, model, weights, options)?;
    Ok(SideBySide::new(profile, run(beside, model, weights, options)?))
}

/// The profiled step, apart from its times.
struct Subject<'a> {
    backend: String,
    model: ModelInfo,
    config: Config,
    plan: &'a Plan,
    /// The cost of each line of the program, for one sample.
    costs: &'a [Cost],
    ceilings: Option<CeilingsInfo>,
}

/// The bytes that a thread accesses again and again: the values and masks of the samples that it takes through the program
/// at a time, the weights, and their gradients.
fn working_set(plan: &Plan, samples: usize) -> usize {
    let masks: usize = plan.training.masks.iter().map(|mask| mask.len.div_ceil(8)).sum();
    let sample = plan.training.len() * size_of::<f32>() + masks;
    samples * sample + 2 * plan.layout.len() * size_of::<f32>()
}

/// The inputs and targets of the profiled steps.
struct Signals {
    name: &'static str,
    x: (Vec<f32>, Shape),
    /// `None` if the targets are `x`.
    y: Option<(Vec<f32>, Shape)>,
}

impl Signals {
    /// Checks that the data fits into memory: samples overlap, each begins one step after the previous.
    fn require_room(input: Shape, output: Shape) -> Result<()> {
        let samples = RANDOM_SAMPLES.max(synthetic::ROWS);
        let numbers = |shape: Shape| {
            memory::product(&[shape.steps.checked_add(samples)?, shape.channels, size_of::<f32>()])
        };
        let what = format!("data of {samples} samples of shape {input}, and targets of shape {output},");
        memory::require(
            what,
            memory::sum(&[numbers(input), numbers(output)]),
            "lower the steps or the channels of a sample",
        )
    }

    fn new(input: Shape, output: Shape, seed: u64) -> Result<Self> {
        let random = |shape: Shape, samples: usize, which| {
            let mut draws = Stream::new(seed, Purpose::Check, which, 0).draws();
            let values = (samples - 1 + shape.steps) * shape.channels;
            ((0..values).map(|_| draws.normal() as f32).collect(), shape)
        };
        let (name, x, samples) = if input.channels == 1 && input.steps <= synthetic::ROWS {
            let twin = synthetic::series(Subset::Train, seed);
            let values = fit_scaler(&twin).and_then(|scaler| normalise(&scaler, &twin));
            let values = values.expect("the twin is a series like the tutorial's");
            ("twin", (values, input), synthetic::ROWS - input.steps + 1)
        } else {
            ("random", random(input, RANDOM_SAMPLES, 0), RANDOM_SAMPLES)
        };
        Ok(Self { name, x, y: (input != output).then(|| random(output, samples, 1)) })
    }

    fn dataset(&self) -> Result<Dataset<'_, f32>> {
        let x = samples(&self.x)?;
        let y = self.y.as_ref().map_or(Ok(x), samples)?;
        Ok(Dataset { x, y })
    }
}

/// Overlapping samples; one after the other if they have no steps.
fn samples((values, shape): &(Vec<f32>, Shape)) -> Result<Samples<'_, f32>> {
    match shape.rank() {
        1 => Ok(Samples::dense(values, *shape)?),
        _ => Ok(Samples::windows(values, shape.steps, shape.channels)?),
    }
}

/// The measurements, step by step.
struct Measured {
    /// Times of ordinary steps, in seconds.
    ordinary: Vec<f64>,
    profiled: Vec<StepProfile>,
    ceilings: Vec<Ceilings>,
    reading: f64,
}

fn measure(
    backend: &dyn Backend<f32>,
    session: &mut dyn Session<f32>,
    data: &Dataset<'_, f32>,
    working_set: usize,
    options: &ProfileOptions,
) -> Result<Measured> {
    let ProfileOptions { batch_size, steps, seed } = *options;
    let mut order: Vec<u32> = (0..data.len() as u32).collect();
    Stream::new(seed, Purpose::Shuffle, 0, 0).draws().shuffle(&mut order);
    let mut samples = order.iter().copied().cycle();
    let mut batches = |n: usize| -> Vec<u32> { samples.by_ref().take(n * batch_size).collect() };

    let mut measured = Measured {
        ordinary: Vec::with_capacity(steps),
        profiled: Vec::with_capacity(steps),
        ceilings: vec![],
        reading: f64::INFINITY,
    };
    train(session, data, &batches(WARM_UP), batch_size, &mut vec![])?;
    let turns = steps.div_ceil(TURN);
    for turn in 0..turns {
        if turn % turns.div_ceil(CEILINGS) == 0 {
            measured.ceilings.extend(backend.ceilings(working_set));
            measured.reading = measured.reading.min(reading_cost());
        }
        let steps = TURN.min(steps - turn * TURN);
        // The time of the first step would include the call itself: it is not counted.
        train(session, data, &batches(steps + 1), batch_size, &mut measured.ordinary)?;
        for _ in 0..steps {
            measured.profiled.push(session.profile_step(data, &batches(1))?);
        }
    }
    // `train` reports a loss that is not finite one step later.
    train(session, data, &batches(1), batch_size, &mut vec![])?;
    Ok(measured)
}

/// Takes ordinary steps, and appends the times of all but the first. A device that runs an epoch without the host
/// reports all batches at the end: then each step gets an equal share of the epoch.
fn train(
    session: &mut dyn Session<f32>,
    data: &Dataset<'_, f32>,
    order: &[u32],
    batch_size: usize,
    times: &mut Vec<f64>,
) -> Result<()> {
    let (start, mut told) = (Instant::now(), vec![]);
    session.train_epoch(data, &Epoch { epoch: 0, order, batch_size }, &mut |_| told.push(Instant::now()))?;
    let whole = start.elapsed().as_secs_f64();
    let steps: Vec<f64> = told.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
    if steps.iter().sum::<f64>() > TOLD_AS_TAKEN * whole {
        times.extend(steps);
    } else {
        times.extend(steps.iter().map(|_| whole / told.len() as f64));
    }
    Ok(())
}

impl Measured {
    fn profile(&self, subject: Subject<'_>) -> Profile {
        let threads = self.profiled[0].threads;
        let merged = merged_lines(subject.plan, &self.profiled[0]);
        let mut parts: Vec<PartInfo> = self.profiled[0]
            .parts
            .iter()
            .filter(|time| time.readings > 0 || time.part == Part::Waiting)
            .map(|time| self.part(time, &subject, &merged))
            .filter(|part| part.what != What::Waiting || part.seconds > 0.0)
            .collect();
        // The program first, then the parts outside of it, Adam last.
        parts.sort_by_key(|part| (part.pass == PassInfo::Outside, part.what == What::Adam));
        let parts_seconds: f64 = parts.iter().map(|part| part.seconds).sum();
        for part in &mut parts {
            part.share = part.seconds / parts_seconds;
        }

        let flops = parts.iter().map(|part| part.flops).sum();
        let seconds = quantile(&self.ordinary, 0.5);
        let flops_per_second = flops as f64 / seconds;
        let Subject { backend, model, config, ceilings, .. } = subject;
        let clock = |time: &PartTime| time.readings as f64 * self.reading / time.threads as f64;
        let of_first = &self.profiled[0].parts;
        Profile {
            schema: SCHEMA,
            glassbox: env!("CARGO_PKG_VERSION").into(),
            backend,
            threads,
            clock: ClockInfo {
                reading_seconds: self.reading,
                readings: of_first.iter().map(|time| time.readings).sum(),
                seconds: of_first.iter().map(clock).sum(),
            },
            step: StepInfo {
                seconds,
                fastest: quantile(&self.ordinary, 0.0),
                lower_quartile: quantile(&self.ordinary, 0.25),
                upper_quartile: quantile(&self.ordinary, 0.75),
                parts_seconds,
                agreement: parts_seconds / seconds,
                steps_per_second: 1.0 / seconds,
                samples_per_second: config.options.batch_size as f64 / seconds,
                flops,
                flops_per_second,
                share_of_peak: ceilings
                    .as_ref()
                    .map(|ceilings| flops_per_second / ceilings.rates.peaks[0].rate),
            },
            model,
            config,
            ceilings,
            parts,
        }
    }

    /// The best measurement of each ceiling, because every disturbance lowers it. The medians of parts are hardly
    /// disturbed either, because a part is short.
    fn ceilings(&self, working_set: usize) -> Option<CeilingsInfo> {
        let first = self.ceilings.first()?;
        let mut rates = first.clone();
        for other in &self.ceilings {
            let all = |ceilings: &'_ Ceilings| [ceilings.peaks.clone(), ceilings.bandwidths.clone()].concat();
            let best = rates.peaks.iter_mut().chain(&mut rates.bandwidths);
            best.zip(all(other)).for_each(|(best, other)| best.rate = best.rate.max(other.rate));
        }
        Some(CeilingsInfo { rates, working_set })
    }

    /// A part, without its share.
    fn part(&self, first: &PartTime, subject: &Subject<'_>, merged: &[Merged]) -> PartInfo {
        let Subject { plan, costs, ceilings, .. } = subject;
        let threads = self.profiled[0].threads;
        let times: Vec<f64> = self
            .profiled
            .iter()
            .map(|profile| profile.part(first.part).without_readings(self.reading))
            .collect();
        let seconds = quantile(&times, 0.5);
        let samples = self.profiled[0].samples as u64;
        // Every chunk clears its own gradients, once.
        let chunks = self.profiled[0].part(Part::Clearing).readings;
        let merged: Vec<&Merged> =
            merged.iter().filter(|merged| Part::Line(merged.into) == first.part).collect();
        let (pass, what, cost) = match first.part {
            Part::Line(line) => {
                let recorded = &plan.training.lines[line];
                let cost = merged.iter().fold(costs[line], |cost, merged| merged.cost(cost, plan, costs));
                (recorded.pass.into(), What::of_line(recorded), cost.times(samples))
            }
            Part::Fused => (PassInfo::Outside, What::WholeProgram, cost_fused(plan, costs, samples)),
            outside => {
                (PassInfo::Outside, What::of_outside(outside), cost_outside(outside, plan, samples, chunks))
            }
        };
        let line = match first.part {
            Part::Line(line) => Some(&plan.training.lines[line]),
            _ => None,
        };
        // Random bits are integer work, and waiting is none: neither ceiling is theirs.
        let has_ceiling = cost.bytes > 0 && what != What::DropoutMask;
        let part_of_threads = first.threads as f64 / threads as f64;
        let bound = |ceilings: &CeilingsInfo| {
            let (peak, bandwidth) = (ceilings.rates.peaks[0].rate, ceilings.rates.bandwidths[0].rate);
            let least = cost.least_seconds(peak * part_of_threads, bandwidth * part_of_threads);
            let by = match cost.flops() as f64 / peak >= cost.bytes as f64 / bandwidth {
                true => BoundBy::Arithmetic,
                false => BoundBy::Bandwidth,
            };
            Bound { by, seconds: least, share: least / seconds }
        };
        PartInfo {
            layer: line.and_then(|line| plan.layer_names.get(line.layer).cloned()),
            pass,
            what,
            instruction: line.map(ToString::to_string),
            merged: merged.iter().map(|merged| plan.training.lines[merged.line].to_string()).collect(),
            seconds,
            share: 0.0,
            multiply_adds: cost.multiply_adds,
            flops: cost.flops(),
            bytes: cost.bytes,
            flops_per_second: rate(cost.flops(), seconds),
            bytes_per_second: rate(cost.bytes, seconds),
            intensity: (cost.bytes > 0).then(|| cost.intensity()),
            ceiling: ceilings.as_ref().filter(|_| has_ceiling && seconds > 0.0).map(bound),
        }
    }
}

/// A line that has no time of its own, because a backend computes it step by step with a recurrence.
struct Merged {
    line: usize,
    /// The line of the recurrence.
    into: usize,
    /// The value that passes between them, which is then not stored.
    between: Value,
}

/// The lines that a backend has merged into recurrences: those that it has no time of, and that store what a recurrence
/// reads, or read what it stores.
fn merged_lines(plan: &Plan, profile: &StepProfile) -> Vec<Merged> {
    let lines = &plan.training.lines;
    let is_timed = |line: usize| profile.part(Part::Line(line)).readings > 0;
    let recurrences: Vec<usize> = (0..lines.len())
        .filter(|line| What::of_line(&lines[*line]) == What::Recurrence && is_timed(*line))
        .collect();
    let between = |from: usize, to: usize| {
        lines[from].instruction.stores().filter(|value| lines[to].instruction.reads().contains(value))
    };
    let merged = |line: usize| {
        let meets = |into: &usize| {
            let between = between(line, *into).or_else(|| between(*into, line))?;
            Some(Merged { line, into: *into, between })
        };
        recurrences.iter().find_map(meets)
    };
    (0..lines.len()).filter(|line| !is_timed(*line)).filter_map(merged).collect()
}

impl Merged {
    /// The cost of a recurrence and of this line: of both, but for what one of them would store for the other to read.
    fn cost(&self, recurrence: Cost, plan: &Plan, costs: &[Cost]) -> Cost {
        let both = recurrence + costs[self.line];
        let between = 2 * plan.training.values[self.between.index()].len() * size_of::<f32>();
        Cost { bytes: both.bytes - between as u64, ..both }
    }
}

/// Amount per second, or 0 where no time could be measured: JSON has no infinity.
fn rate(amount: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { amount as f64 / seconds } else { 0.0 }
}

/// The cost of a part outside of the program in one step: each tensor that it accesses is counted once.
fn cost_outside(part: Part, plan: &Plan, samples: u64, chunks: u64) -> Cost {
    let weights = plan.layout.len() as u64;
    let sample = plan.training.values[plan.training.input.index()].len() as u64;
    let numbers = |numbers: u64| numbers * size_of::<f32>() as u64;
    let (other, bytes) = match part {
        Part::Packing => (0, numbers(2 * weights)),
        Part::Clearing => (0, numbers(chunks * weights)),
        Part::Gather => (0, numbers(2 * sample * samples)),
        Part::Reduction => (chunks * weights, numbers((chunks + 1) * weights)),
        // Weights, gradient and two moments.
        Part::Update => (ADAM * weights, numbers(4 * weights)),
        Part::Waiting | Part::Fused | Part::Line(_) => (0, 0),
    };
    Cost { multiply_adds: 0, other, bytes }
}

/// The cost of all lines in one fused kernel: their arithmetic, and the bytes of its inputs and outputs. Intermediate
/// values never leave the processor.
fn cost_fused(plan: &Plan, costs: &[Cost], samples: u64) -> Cost {
    let work: Cost = costs.iter().copied().sum();
    let sample = plan.training.values[plan.training.input.index()].len() as u64;
    let numbers = sample * samples + 2 * plan.layout.len() as u64;
    Cost { bytes: numbers * size_of::<f32>() as u64, ..work.times(samples) }
}

/// The interpolated quantile of `values`.
fn quantile(values: &[f64], fraction: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    statistics::quantile(&sorted, fraction)
}
