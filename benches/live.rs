//! Live detection with the tutorial's network: the time from a row to its lines, and rows a second from a file.
//!
//! ```sh
//! cargo bench -p glassbox-benches --bench live
//! ```
//!
//! The lines are compared with those of detection in the whole series first. With `--test` a few rows are timed.

use std::time::Instant;

use glassbox::Device;
use glassbox_benches::WINDOW;
use glassbox_cpu::{Cpu, Simd};
use glassbox_pipeline::architecture::tutorial_model;
use glassbox_pipeline::detector::{Detector, train_detector};
use glassbox_pipeline::live::{Event, Format, LineWriter, Lines, Watch};
use glassbox_pipeline::rows::ThresholdRule;
use glassbox_pipeline::series::{BadRows, Columns, parse_csv, write_csv};
use glassbox_pipeline::synthetic::{self, Subset};
use glassbox_pipeline::training::TrainOptions;

/// Bytes that the command reads at a time from a file.
const PIECE: usize = 1 << 16;

fn device(threads: usize) -> Device {
    let simd = Simd::choose().expect("a path that this machine has");
    Device::new(Cpu::with_simd(Some(threads), simd).expect("threads"))
}

fn writer() -> LineWriter {
    let (format, lines, columns) = (Format::Csv, Lines::Both, Columns::default());
    LineWriter { format, lines, only_anomalies: false, columns }
}

fn watch(detector: &Detector, threads: usize) -> Watch<'_> {
    let (columns, rule) = (Columns::default(), ThresholdRule::Max);
    Watch::new(detector, &device(threads), "twin", &columns, rule, BadRows::Skip)
        .expect("a calibrated detector")
}

/// Takes a piece of the input, and writes its lines.
fn feed(watch: &mut Watch<'_>, writer: &LineWriter, piece: &[u8], out: &mut Vec<u8>) {
    let fed = watch.feed(piece, &mut |event| {
        if let Event::Line(line) = event {
            writer.write(&line, out);
        }
    });
    fed.expect("finite errors");
}

/// Live scores are those of the whole series.
fn check(detector: &Detector, csv: &[u8]) {
    let series = parse_csv(csv, "twin", &Columns::default()).expect("the twin").series;
    let whole = detector.judge(&device(1), &series, ThresholdRule::Max).expect("a calibrated detector");
    let (mut row, mut watch) = (0, watch(detector, 1));
    let fed = watch.feed(csv, &mut |event| {
        if let Event::Line(line) = event
            && line.judged.score.is_some()
        {
            assert_eq!(*line.judged, whole.rows[row]);
            row += 1;
        }
    });
    fed.expect("finite errors");
    assert_eq!(row, series.len() + 1 - WINDOW);
}

fn main() {
    let test = std::env::args().any(|word| word == "--test");
    let train = synthetic::series(Subset::Train, 1);
    let model = tutorial_model(WINDOW).expect("the tutorial's own length");
    let mut options = TrainOptions::default();
    options.fit.epochs = 1;
    let detector =
        train_detector(&device(2), &model, None, &train, &options, vec![]).expect("a run").detector;
    let mut csv = vec![];
    write_csv(&synthetic::series(Subset::Test, 1), &Columns::default(), &mut csv).expect("memory");
    check(&detector, &csv);

    let (header, rows) = csv.split_at(csv.iter().position(|byte| *byte == b'\n').expect("a header") + 1);
    let rows: Vec<&[u8]> =
        rows.split_inclusive(|byte| *byte == b'\n').take(if test { 400 } else { 4032 }).collect();
    let writer = writer();
    println!("| rows | threads | from a row to its lines, us: median | 99 % | 99.9 % | rows a second |");
    println!("|---|---|---|---|---|---|");
    let mut out = vec![];
    // The same rows several times over, each time in a new watch.
    let mut took: Vec<Vec<f64>> = vec![vec![]; rows.len()];
    for _ in 0..if test { 1 } else { 9 } {
        let mut watch = watch(&detector, 1);
        feed(&mut watch, &writer, header, &mut out);
        for (row, took) in rows.iter().zip(&mut took) {
            let started = Instant::now();
            feed(&mut watch, &writer, row, &mut out);
            took.push(started.elapsed().as_secs_f64());
            out.clear();
        }
    }
    // The first rows have no window.
    let took = &took[WINDOW..];
    let all: Vec<f64> = took.iter().flatten().copied().collect();
    // On a busy machine, what others do is in the times of some repetitions, and a row's own work in all of them.
    let fastest: Vec<f64> =
        took.iter().map(|took| took.iter().copied().fold(f64::INFINITY, f64::min)).collect();
    for (name, mut took) in [("one by one", all), ("the fastest of 9 times of each", fastest)] {
        took.sort_unstable_by(f64::total_cmp);
        let [median, most, nearly_all] =
            [0.5, 0.99, 0.999].map(|part| 1e6 * took[((took.len() - 1) as f64 * part) as usize]);
        let rate = took.len() as f64 / took.iter().sum::<f64>();
        println!("| {name} | 1 | {median:.0} | {most:.0} | {nearly_all:.0} | {rate:.0} |");
    }

    // Rows of one file, however long: the times need not go on for that.
    let text: Vec<u8> = [header, &rows.concat()].concat();
    for threads in [1, 2] {
        let mut fastest = f64::INFINITY;
        for _ in 0..if test { 1 } else { 10 } {
            let mut watch = watch(&detector, threads);
            let started = Instant::now();
            for piece in text.chunks(PIECE) {
                feed(&mut watch, &writer, piece, &mut out);
                out.clear();
            }
            fastest = fastest.min(started.elapsed().as_secs_f64());
        }
        println!("| from a file | {threads} | | | | {:.0} |", rows.len() as f64 / fastest);
    }
}
