//! `glassbox profile`

use glassbox_cpu::{Cpu, Simd};
use glassbox_pipeline::atomic;
use glassbox_pipeline::profile::{ProfileOptions, roofline_svg, run as profile};

use super::{note, print, print_json, start_model};
use crate::args::ProfileArgs;
use crate::failure::{Failure, Kind, OrFail as _};

pub(crate) fn run(args: &ProfileArgs) -> Result<(), Failure> {
    let (model, start) = start_model(args.model.as_deref(), args.time_steps)?;
    let backend = backend(args)?;
    let options = ProfileOptions { batch_size: args.batch_size, steps: args.steps, seed: args.seed };
    let profile = profile(&backend, &model, start.as_deref(), &options)?;
    if let Some(path) = &args.svg {
        let svg = roofline_svg(&profile).or_fail(Kind::Output)?;
        atomic::write(path, svg.as_bytes()).or_fail(Kind::Output)?;
        note(args.json, format_args!("wrote {}", path.display()));
    }
    if args.json { print_json(&profile) } else { print(&profile.to_string()) }
}

fn backend(args: &ProfileArgs) -> Result<Cpu, Failure> {
    let Some(path) = args.simd else { return args.compute.backend() };
    let simd = Simd::from(path);
    if !simd.is_available() {
        let names: Vec<&str> = Simd::available().into_iter().map(Simd::name).collect();
        let message = format!("--simd {simd}: this processor cannot take it; it has {}", names.join(", "));
        return Err(Failure::new(Kind::Input, message));
    }
    Ok(Cpu::with_simd(args.compute.threads, simd)?)
}
