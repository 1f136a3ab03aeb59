//! What share of the machine's ceiling is reached, as tables: by each contraction, at the tutorial's layers and
//! at odd shapes, and by the training step and scoring as a whole.
//!
//! No statistics of criterion here, but one thing that it cannot do: the ceiling and what is compared with it
//! are measured in turns, many times over, so that a clock that changes meets both. A share is that of the best
//! time within the best ceiling, which is what an undisturbed machine gives; where neighbours take turns on its
//! cores, the median of a whole step, which stands beside it, says more of them than of the code. With
//! `--test` everything runs once; `whole`, `layers` and `odd` name single tables.
//!
//! `check` measures each contraction at the tutorial's layers and at the odd shapes, and fails if one has fallen below
//! half of its share in `recorded_shares.json`, which `record` writes. Those shares are of the ceiling of AVX2 whatever
//! the path, so that they hold on processors of twice the width too, and for the portable path, which has no ceiling.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use glassbox_benches::{
    BATCH, FORWARD_MULTIPLY_ADDS, Operands, TRAINING_MULTIPLY_ADDS, WINDOW, ceiling, ceiling_of, layers,
    odd_shapes, plan, series,
};
use glassbox_cpu::{Cpu, Operation, Simd};
use glassbox_engine::backend::{Backend, Dataset};
use glassbox_engine::geometry::{Geometry, GeometrySpec};
use glassbox_engine::samples::Samples;

fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Who computes a contraction.
#[derive(Debug, Clone, Copy)]
enum Who {
    Path(Simd),
    /// The crate, as a yardstick.
    Gemm,
}

impl Who {
    fn name(self) -> &'static str {
        match self {
            Self::Path(simd) => simd.name(),
            Self::Gemm => "the crate gemm",
        }
    }

    /// The path whose ceiling is to be compared with: of those that choose their instructions themselves, the best.
    fn ceiling_path(self) -> Simd {
        match self {
            Self::Path(simd) if ceiling(simd).is_some() => simd,
            _ => Simd::available()[0],
        }
    }
}

/// Seconds that a contraction takes, and the ceiling of a path, measured in turns.
fn measure(
    who: Who,
    operation: Operation,
    operands: &Operands,
    ceiling_path: Simd,
    rounds: usize,
) -> (f64, f64) {
    match who {
        Who::Path(simd) => {
            let mut contraction = operands.contraction(simd, operation);
            in_turns(&mut || contraction.run(), operands, ceiling_path, rounds)
        }
        Who::Gemm => {
            let mut yardstick = operands.yardstick(operation);
            in_turns(&mut || yardstick.run(), operands, ceiling_path, rounds)
        }
    }
}

fn in_turns(run: &mut dyn FnMut(), operands: &Operands, ceiling_path: Simd, rounds: usize) -> (f64, f64) {
    // About a tenth of a millisecond at a time.
    let repeats = (5e6 / operations(operands)).ceil() as usize;
    let (mut ceilings, mut times) = (vec![], vec![]);
    for _ in 0..rounds {
        let mut done = 0.0;
        let time = seconds(|| done = ceiling(ceiling_path).unwrap_or(0.0));
        ceilings.push(done / time);
        for _ in 0..5 {
            times.push(seconds(|| (0..repeats).for_each(|_| run())) / repeats as f64);
        }
    }
    (least(&times), most(&ceilings))
}

fn operations(operands: &Operands) -> f64 {
    2.0 * operands.geometry.multiply_adds() as f64
}

/// Microseconds of a contraction, and its share of the ceiling in percent.
fn share(who: Who, operation: Operation, operands: &Operands, rounds: usize) -> (f64, f64) {
    let (time, ceiling) = measure(who, operation, operands, who.ceiling_path(), rounds);
    (1e6 * time, 100.0 * operations(operands) / time / ceiling)
}

fn table(title: &str, shapes: &[(String, Geometry)], rounds: usize, everyone: &[Who]) {
    for who in everyone {
        println!("\n{title}, {}: microseconds and share of the ceiling\n", who.name());
        println!("| shape | multiply-adds | apply | apply transposed | correlate |\n|---|---|---|---|---|");
        for (name, geometry) in shapes {
            let operands = Operands::new(*geometry);
            let cells = Operation::ALL.map(|operation| {
                let (time, share) = share(*who, operation, &operands, rounds);
                format!("{time:.2} / {share:.0} %")
            });
            println!("| {name} | {} | {} |", geometry.multiply_adds(), cells.join(" | "));
        }
    }
}

/// The training step and scoring.
fn whole(rounds: usize, paths: &[Simd]) {
    println!("\nThe tutorial as a whole, batch {BATCH}: milliseconds and share of the ceiling\n");
    println!(
        "| path | threads | ceiling, GFLOP/s | training step | its median | scoring of all windows |\n|---|---|---|---|---|---|"
    );
    let series = series();
    let samples = Samples::windows(&series, WINDOW, 1).expect("windows");
    let data = Dataset::autoencoder(samples);
    let batch: Vec<u32> = (0..BATCH as u32).map(|i| i * 28).collect();
    let mut predictions = vec![0.0; samples.len() * WINDOW];
    for simd in paths {
        for threads in [1, 2] {
            let (plan, state) = plan();
            let cpu = Cpu::with_simd(Some(threads), *simd).expect("an available path");
            let mut session = cpu.session(plan).expect("a session");
            session.set_state(&state).expect("the plan's state");
            let (mut ceilings, mut steps, mut scorings) = (vec![], vec![], vec![]);
            for _ in 0..rounds {
                ceilings.push(ceiling_of(*simd, threads));
                for _ in 0..4 {
                    steps.push(seconds(|| {
                        session.compute_gradient(&data, &batch).expect("a gradient");
                        session.update().expect("an update");
                    }));
                }
                let score = || session.predict(&samples, &mut predictions).expect("predictions");
                scorings.push(seconds(score));
            }
            let (ceiling, step, scoring) = (most(&ceilings), least(&steps), least(&scorings));
            let share = |multiply_adds: usize, time: f64| match ceiling {
                0.0 => String::new(),
                ceiling => format!(" / {:.0} %", 200.0 * multiply_adds as f64 / time / ceiling),
            };
            println!(
                "| {simd} | {threads} | {:.0} | {:.2}{} | {:.2} | {:.1}{} |",
                ceiling / 1e9,
                1e3 * step,
                share(BATCH * TRAINING_MULTIPLY_ADDS, step),
                1e3 * median(steps),
                1e3 * scoring,
                share(samples.len() * FORWARD_MULTIPLY_ADDS, scoring),
            );
        }
    }
}

/// The shapes of a table, by their names.
fn shapes(odd: bool) -> Vec<(String, Geometry)> {
    if !odd {
        return layers().map(|(name, geometry)| (name.to_string(), geometry)).into();
    }
    let name = |g: &Geometry| {
        let GeometrySpec { in_steps, in_channels, out_channels, taps, stride, .. } = **g;
        format!("{in_channels}-{out_channels}, {taps} taps, stride {stride}, {in_steps} steps")
    };
    odd_shapes().into_iter().map(|g| (name(&g), g)).collect()
}

/// Shares of the ceiling of AVX2, in percent: by path, shape and contraction.
type Shares = BTreeMap<String, BTreeMap<String, BTreeMap<String, f64>>>;

fn shares(paths: &[Simd], rounds: usize) -> Shares {
    let mut shares = Shares::new();
    for (name, geometry) in [false, true].into_iter().flat_map(shapes) {
        let operands = Operands::new(geometry);
        for simd in paths {
            for operation in Operation::ALL {
                let (time, ceiling) = measure(Who::Path(*simd), operation, &operands, Simd::Avx2, rounds);
                let share = 100.0 * self::operations(&operands) / time / ceiling;
                let of_path = shares.entry(simd.name().into()).or_default();
                of_path.entry(name.clone()).or_default().insert(operation.name().into(), share.round());
            }
        }
    }
    shares
}

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/recorded_shares.json");

/// Names what has fallen below half of its recorded share.
fn check(paths: &[Simd]) -> Result<(), String> {
    let text = std::fs::read_to_string(RECORDED).map_err(|error| format!("{RECORDED}: {error}"))?;
    let recorded: Shares = serde_json::from_str(&text).map_err(|error| format!("{RECORDED}: {error}"))?;
    let mut found = shares(paths, 5);
    let (mut fallen, mut compared) = (vec![], 0);
    for (path, shapes) in recorded.iter().filter(|(path, _)| paths.iter().any(|simd| simd.name() == **path)) {
        for (shape, operations) in shapes {
            for (operation, recorded) in operations {
                let share = found.get_mut(path).and_then(|shapes| shapes.get_mut(shape)?.remove(operation));
                let share =
                    share.ok_or(format!("{path}, {shape}, {operation} is recorded but not measured"))?;
                compared += 1;
                if share < 0.5 * recorded {
                    fallen.push(format!("{path}, {shape}, {operation}: {share} %, recorded {recorded} %"));
                }
            }
        }
    }
    println!("{compared} shares compared with {RECORDED}");
    match (compared, fallen.is_empty()) {
        (0, _) => Err("no path of this machine is recorded".into()),
        (_, true) => Ok(()),
        (_, false) => Err(format!("below half of what was recorded:\n{}", fallen.join("\n"))),
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let asked = |word: &str| arguments.iter().any(|argument| argument == word);
    let rounds = if asked("--test") { 1 } else { 20 };
    let named = ["whole", "layers", "odd"].into_iter().any(asked);
    let wanted = |table: &str| !named || asked(table);

    let paths = Simd::under_test().expect("a path that this machine has");
    let with_ceiling: Vec<Simd> = paths.iter().copied().filter(|simd| ceiling(*simd).is_some()).collect();
    if asked("check") || asked("record") {
        // On a machine without AVX2 there is no ceiling that would be the same as the recorded one.
        if !Simd::Avx2.is_available() {
            println!(
                "shares are recorded for processors with AVX2, which this one lacks: nothing to compare"
            );
            return ExitCode::SUCCESS;
        }
        let ours: Vec<Simd> = paths.into_iter().filter(|simd| *simd != Simd::MatrixMultiply).collect();
        let outcome = if asked("check") {
            check(&ours)
        } else {
            let text = serde_json::to_string_pretty(&shares(&ours, rounds)).expect("numbers by name");
            std::fs::write(RECORDED, text + "\n").map_err(|error| format!("{RECORDED}: {error}"))
        };
        if let Err(error) = outcome {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
        return ExitCode::SUCCESS;
    }
    if wanted("whole") {
        whole(rounds, &paths);
    }
    let ours: Vec<Who> = with_ceiling.into_iter().map(Who::Path).collect();
    if wanted("layers") {
        let yardsticks = [Who::Path(Simd::MatrixMultiply), Who::Gemm];
        table("The tutorial's layers", &shapes(false), rounds, &[&ours[..], &yardsticks].concat());
    }
    if wanted("odd") {
        table("Odd shapes", &shapes(true), rounds, &ours);
    }
    ExitCode::SUCCESS
}
