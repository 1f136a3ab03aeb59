//! `glassbox convert`

use std::path::Path;

use glassbox_formats::convert::convert;
use glassbox_formats::model_file::ModelFile;
use serde_json::{Value as Json, json};

use super::{architecture_of, note, print, print_json};
use crate::args::ConvertArgs;
use crate::failure::{Failure, Kind, OrFail as _};
use crate::files::{self, Named};

pub(crate) fn run(args: &ConvertArgs) -> Result<(), Failure> {
    let weights = args.weights.as_deref().map(|weights| ("--weights", weights));
    let inputs: Vec<Named<'_>> = [("IN", &*args.input)].into_iter().chain(weights).collect();
    let _locks = files::claim(&inputs, &[("OUT", &args.out)])?;
    let read = |path: &Path| {
        ModelFile::read_with(path, args.max_unpacked.saturating_mul(1 << 20)).or_fail(Kind::Input)
    };
    let file = read(&args.input)?;
    let model = architecture_of(&file, args.time_steps)?;
    let saved = match &args.weights {
        Some(weights) => read(weights)?.weights_of(model),
        None => file.into_model_of(model),
    };
    let converted = convert(&saved.or_fail(Kind::Input)?, &args.out).or_fail(Kind::Input)?;
    files::write([(&*args.out, converted.bytes)])?;
    if args.json {
        let parts = converted.parts.iter();
        let parts = parts.map(|part| json!({"name": part.name, "content": part.content, "kept": part.kept}));
        return print_json(
            &json!({"out": args.out.to_string_lossy(), "parts": parts.collect::<Vec<Json>>()}),
        );
    }
    let outcome = |kept| if kept { "kept" } else { "left out" };
    let lines = converted
        .parts
        .iter()
        .map(|part| format!("{:8}  {}: {}\n", outcome(part.kept), part.name, part.content));
    if !args.quiet {
        print(&lines.collect::<String>())?;
    }
    note(args.quiet, format_args!("wrote {}", args.out.display()));
    Ok(())
}
