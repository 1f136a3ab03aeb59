//! From a new process to the first step: without the cache of kernels, with an empty one, with a full one.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use glassbox_benches::network;
use glassbox_cuda::Cuda;
use glassbox_cuda::device::Gpu;
use glassbox_cuda::device::cache::Cache;
use glassbox_engine::backend::Dataset;
use glassbox_engine::samples::Samples;
use glassbox_engine::{Error, Result};

use super::{FULL, Options, Scale, series, session};

/// Where there is no cache.
const NONE: &str = "none";

/// Prints the time of each, in a process of its own: the driver, too, starts but once in a process.
pub(super) fn measure(options: &Options<'_>) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("glassbox-kernels-{}", std::process::id()));
    println!();
    for (what, cache) in
        [("no cache", Path::new(NONE)), ("an empty cache", &folder), ("a full cache", &folder)]
    {
        let failed = |problem: String| Error::Device { backend: "cuda".into(), problem };
        let this = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
        let began = Instant::now();
        let mut command = Command::new(this);
        command.args(["--gpu", &options.gpu.to_string()]).arg("--cold-start").arg(cache);
        if options.scale.window != FULL.window {
            command.arg("--test");
        }
        let output = command.output();
        let output = output.map_err(|error| failed(error.to_string()))?;
        if !output.status.success() {
            return Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        println!(
            "To the first step with {what}: {}; the whole process {:.3} s",
            String::from_utf8_lossy(&output.stdout).trim(),
            began.elapsed().as_secs_f64()
        );
    }
    // It is ours alone, and small.
    let _ = std::fs::remove_dir_all(&folder);
    Ok(())
}

/// What such a process does, and prints.
pub(super) fn run(began: Instant, gpu: usize, folder: &str, scale: &Scale) {
    let step = || -> Result<f64> {
        let cache = if folder == NONE { Cache::none() } else { Cache::in_folder(folder) };
        let gpu = Cuda::new(Gpu::open(gpu, cache)?)?;
        let opened = began.elapsed().as_secs_f64();
        let model = network(scale.window, 1);
        let series = series(scale.series);
        let data = Dataset::autoencoder(Samples::windows(&series, scale.window, 1)?);
        let batch: Vec<u32> = (0..scale.batch as u32).collect();
        let mut session = session(&gpu, &model, scale.batch)?;
        session.compute_gradient(&data, &batch)?;
        session.update()?;
        session.state()?;
        Ok(opened)
    };
    match step() {
        Ok(opened) => {
            let all = began.elapsed().as_secs_f64();
            println!("{all:.3} s, {opened:.3} s of it until the plain kernels were loaded");
        }
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    }
}
