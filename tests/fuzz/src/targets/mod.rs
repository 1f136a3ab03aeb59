//! The targets, one file each.

mod architecture;
mod arrays;
mod checkpoint;
mod contraction;
mod keras;
mod model;
mod nab;
mod network;
mod results;
mod runs;
mod series;
mod watch;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use glassbox_cpu::{Cpu, Simd};
use glassbox_engine::training::Fit;
use glassbox_formats::hash::Sha256;
use glassbox_pipeline::nab::{LoadedPart, Source, TutorialData};
use glassbox_pipeline::series::Series;
use glassbox_pipeline::synthetic::{self, Subset};
use glassbox_pipeline::training::TrainOptions;
use glassbox_pipeline::tutorial::TutorialOptions;
use glassbox_tests::backends::Backend32;

use crate::Target;
use crate::mutate;

/// All of them.
pub const TARGETS: [Target; 14] = [
    Target { name: "series", read: series::read, mutate: mutate::csv },
    Target { name: "arrays", read: arrays::read, mutate: mutate::npy },
    Target { name: "architecture", read: architecture::read, mutate: mutate::json },
    Target { name: "network", read: network::read, mutate: network::mutate },
    Target { name: "model", read: model::read, mutate: model::mutate },
    Target { name: "keras", read: keras::model, mutate: mutate::archive },
    Target { name: "hdf5", read: keras::weights, mutate: mutate::hdf5 },
    Target { name: "checkpoint", read: checkpoint::read, mutate: checkpoint::mutate },
    Target { name: "watch_state", read: watch::read, mutate: watch::mutate },
    Target { name: "results", read: results::read, mutate: results::mutate },
    Target { name: "runs", read: runs::read, mutate: mutate::csv },
    Target { name: "nab_labels", read: nab::labels, mutate: mutate::json },
    Target { name: "nab_results", read: nab::results, mutate: mutate::csv },
    Target { name: "contraction", read: contraction::read, mutate: mutate::json },
];

pub(crate) use checkpoint::checkpoint;
pub(crate) use results::FILES;
pub(crate) use watch::state;

/// The portable path, whose numbers are the same on every processor of a kind.
fn portable() -> Cpu {
    Cpu::with_simd(Some(1), Simd::Portable).expect("the portable path, and a thread")
}

/// Every path of the CPU backend, on one thread.
fn paths() -> Vec<Backend32> {
    let paths = Simd::under_test().expect("a path that there is");
    let backend = |simd| -> Backend32 { Box::new(Cpu::with_simd(Some(1), simd).expect("a thread")) };
    paths.into_iter().map(backend).collect()
}

/// The tutorial on some hours of the twin: a run of milliseconds.
fn small_tutorial() -> (TutorialData, TutorialOptions) {
    let part = |part, rows: std::ops::Range<usize>| {
        let twin = synthetic::series(part, 1);
        let (times, values) = (twin.timestamps()[rows.clone()].to_vec(), twin.values()[rows].to_vec());
        let series = Series::new(twin.name(), twin.clock(), times, values).expect("rows of a series");
        LoadedPart { series, sha256: Sha256::of(b"a part of the twin"), warnings: vec![] }
    };
    let data = TutorialData {
        train: part(Subset::Train, 0..96),
        test: part(Subset::Test, 10 * 288 + 96..10 * 288 + 192),
        source: Source::Twin { seed: 1 },
    };
    let defaults = TrainOptions::default();
    let fit = Fit { epochs: 2, batch_size: 32, ..defaults.fit };
    let train = TrainOptions { fit, seed: 1, ..defaults };
    (data, TutorialOptions { time_steps: 8, train, inside: true, ..TutorialOptions::default() })
}

/// The files below a folder, by their paths within it.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inner) = folders.pop() {
        for entry in std::fs::read_dir(&inner).expect("a folder of ours") {
            let path = entry.expect("a folder of ours").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below it").to_string_lossy().into_owned();
                files.insert(name, std::fs::read(&path).expect("a file of ours"));
            }
        }
    }
    files
}

thread_local! {
    static PATHS: LazyLock<Vec<Backend32>> = const { LazyLock::new(paths) };
}
