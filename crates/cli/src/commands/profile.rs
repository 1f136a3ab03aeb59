//! `glassbox profile`

use glassbox_cpu::{Cpu, Simd};
use glassbox_engine::backend::Backend;
use glassbox_pipeline::atomic;
use glassbox_pipeline::profile::{ProfileOptions, roofline_svg, run as profile};

use super::{note, print, print_json, start_model};
use crate::args::ProfileArgs;
use crate::device::{DeviceChoice, explain};
use crate::failure::{Failure, Kind, OrFail as _};

pub(crate) fn run(args: &ProfileArgs) -> Result<(), Failure> {
    let (model, start) = start_model(args.model.as_deref(), args.time_steps)?;
    let backend = backend(args)?;
    explain(&args.compute, args.json, &*backend, &model, args.batch_size)?;
    let options = ProfileOptions { batch_size: args.batch_size, steps: args.steps, seed: args.seed };
    let profile = profile(&*backend, &model, start.as_deref(), &options)?;
    if let Some(path) = &args.svg {
        let svg = roofline_svg(&profile).or_fail(Kind::Output)?;
        atomic::write(path, svg.as_bytes()).or_fail(Kind::Output)?;
        note(args.json, format_args!("wrote {}", path.display()));
    }
    if args.json { print_json(&profile) } else { print(&profile.to_string()) }
}

fn backend(args: &ProfileArgs) -> Result<Box<dyn Backend<f32>>, Failure> {
    let Some(path) = args.simd else { return args.compute.backend(args.json) };
    if let DeviceChoice::Cuda(_) = args.compute.device {
        let message =
            format!("--simd is for the CPU, and --device is {}: leave one of them out", args.compute.device);
        return Err(Failure::new(Kind::Input, message));
    }
    let simd = Simd::from(path);
    if !simd.is_available() {
        let names: Vec<&str> = Simd::available().into_iter().map(Simd::name).collect();
        let message = format!("--simd {simd}: this processor cannot take it; it has {}", names.join(", "));
        return Err(Failure::new(Kind::Input, message));
    }
    Ok(Box::new(Cpu::with_simd(args.compute.threads, simd)?))
}
