//! `glassbox data`

use std::path::Path;
use std::time::Duration;

use glassbox_formats::atomic;
use glassbox_formats::hash::Sha256;
use glassbox_pipeline::nab::{self, FetchOptions, Places, Source};
use glassbox_pipeline::series::{Columns, write_csv};
use glassbox_pipeline::synthetic::{self, Subset};
use serde_json::json;

use super::{print, print_json, warn};
use crate::args::DataCommand;
use crate::failure::{Failure, Kind, OrFail as _};

pub(crate) fn run(command: &DataCommand) -> Result<(), Failure> {
    match command {
        DataCommand::Fetch { force, base_url, timeout } => fetch(*force, base_url.clone(), *timeout),
        DataCommand::Show { data, seed, json } => {
            show(&Source::choose(&Places::from_env(data.clone()), *seed), *json)
        }
        DataCommand::Twin { out, seed } => twin(out, *seed),
    }
}

fn fetch(force: bool, base_url: Option<String>, timeout: f64) -> Result<(), Failure> {
    let Some(cache) = Places::from_env(None).cache else {
        return Err(Failure::new(
            Kind::Output,
            format!("no cache folder is known for this user; set {} to a folder", glassbox::cache::VARIABLE),
        ));
    };
    let options = FetchOptions {
        base_url: base_url.or_else(nab::base_url_from_env).unwrap_or_else(|| nab::BASE_URL.into()),
        force,
        overall_timeout: Duration::from_secs_f64(timeout),
        ..FetchOptions::default()
    };
    for file in nab::fetch(&cache, &options)? {
        let how = if file.downloaded { "downloaded and verified" } else { "already there, verified" };
        print(&format!("{}: {how}\n", file.path.display()))?;
    }
    Ok(())
}

fn show(source: &Source, as_json: bool) -> Result<(), Failure> {
    let data = nab::load(source)?;
    for warning in data.train.warnings.iter().chain(&data.test.warnings) {
        warn(false, warning);
    }
    let parts = [("train", &data.train), ("test", &data.test)];
    if as_json {
        let part = |(name, part): (&str, &nab::LoadedPart)| {
            let entry = json!({"rows": part.series.len(), "sha256": part.sha256.to_string()});
            (name.to_string(), entry)
        };
        let parts: serde_json::Map<_, _> = parts.into_iter().map(part).collect();
        return print_json(&json!({"source": data.source.to_string(), "series": parts}));
    }
    print(&format!("{}\n", data.source))?;
    for (name, part) in parts {
        print(&format!("{name:5}  {} rows  sha256 {}\n", part.series.len(), part.sha256))?;
    }
    Ok(())
}

fn twin(out: &Path, seed: u64) -> Result<(), Failure> {
    for file in [nab::TRAIN, nab::TEST] {
        let path = out.join(file.path);
        if std::fs::read(&path).is_ok_and(|bytes| Sha256::of(&bytes) == file.sha256) {
            let path = path.display();
            let message = format!(
                "{path} is the published file and would be overwritten by the synthetic copy; choose another folder"
            );
            return Err(Failure::new(Kind::Input, message));
        }
    }
    for (part, file) in [(Subset::Train, nab::TRAIN), (Subset::Test, nab::TEST)] {
        let series = synthetic::series(part, seed);
        let path = out.join(file.path);
        atomic::write_with(&path, |out| write_csv(&series, &Columns::default(), out))
            .or_fail(Kind::Output)?;
        print(&format!("{}\n", path.display()))?;
    }
    Ok(())
}
