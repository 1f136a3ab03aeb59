//! `glassbox profile`

use glassbox::Device;
use glassbox_cpu::{Cpu, Simd};
use glassbox_engine::optimizers::Optimizer;
use glassbox_formats::atomic;
use glassbox_lab::profile::{Profile, ProfileOptions, roofline_svg, run as profile, run_beside};

use super::{note, print, print_json, start_model};
use crate::args::ProfileArgs;
use crate::device::{Chosen, DeviceChoice, explain};
use crate::failure::{Failure, Kind, OrFail as _};
use crate::files;

pub(crate) fn run(args: &ProfileArgs) -> Result<(), Failure> {
    let inputs = args.model.as_deref().map(|path| ("--model", path));
    let outputs = args.svg.as_deref().map(|path| ("--svg", path));
    let _locks = files::claim(inputs.as_slice(), outputs.as_slice())?;
    let (model, start) = start_model(args.model.as_deref(), args.time_steps)?;
    let chosen = choose(args)?;
    let (Chosen::Cpu(device) | Chosen::Gpu(device)) = &chosen;
    explain(&args.compute, args.json, device, &model, &Optimizer::default(), args.batch_size)?;
    let options = ProfileOptions { batch_size: args.batch_size, steps: args.steps, seed: args.seed };
    if let Chosen::Gpu(_) = chosen
        && !args.no_cpu
    {
        let cpu = Cpu::new(args.compute.threads)?;
        let both = run_beside([device.backend(), &cpu], &model, start.as_deref(), &options)?;
        draw(args, &both.profile)?;
        return if args.json { print_json(&both) } else { print(&both.to_string()) };
    }
    let profile = profile(device.backend(), &model, start.as_deref(), &options)?;
    draw(args, &profile)?;
    if args.json { print_json(&profile) } else { print(&profile.to_string()) }
}

/// The picture, if it was asked for: of the device that was.
fn draw(args: &ProfileArgs, profile: &Profile) -> Result<(), Failure> {
    if let Some(path) = &args.svg {
        let svg = roofline_svg(profile).or_fail(Kind::Output)?;
        atomic::write(path, svg.as_bytes()).or_fail(Kind::Output)?;
        note(args.json, format_args!("wrote {}", path.display()));
    }
    Ok(())
}

fn choose(args: &ProfileArgs) -> Result<Chosen, Failure> {
    let Some(simd) = args.simd else { return args.compute.choose(args.json) };
    if let DeviceChoice::Cuda(_) = args.compute.device {
        let message = format!(
            "--simd selects a CPU instruction set, but --device is {}: give only one of them",
            args.compute.device
        );
        return Err(Failure::new(Kind::Input, message));
    }
    if !simd.is_available() {
        let names: Vec<&str> = Simd::available().into_iter().map(Simd::name).collect();
        let message =
            format!("--simd {simd}: not supported by this processor, which has {}", names.join(", "));
        return Err(Failure::new(Kind::Input, message));
    }
    Ok(Chosen::Cpu(Device::new(Cpu::with_simd(args.compute.threads, simd)?)))
}
