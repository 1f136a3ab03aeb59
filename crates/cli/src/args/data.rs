//! `glassbox data`

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Download the two published files into the cache and verify them
    ///
    /// The files are part of the Numenta Anomaly Benchmark (MIT licence), 280 KB in total. `glassbox tutorial` then uses
    /// them. Nothing is written unless both files have the expected SHA-256.
    Fetch {
        /// Download files that are already in the cache again
        #[arg(long)]
        force: bool,

        /// URL of the `data` folder that contains the files [default: $GLASSBOX_BASE_URL, or the published one on
        /// GitHub]
        #[arg(long, value_name = "URL")]
        base_url: Option<String>,

        /// Time limit of a download, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 120.0, value_parser = seconds)]
        timeout: f64,
    },

    /// Show which data `glassbox tutorial` would use, and its SHA-256
    Show {
        /// `data` folder of a checkout of numenta/NAB
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,

        /// Seed of the noise in the synthetic copy
        #[arg(long, default_value_t = 1)]
        seed: u64,

        /// Print a JSON object instead of text
        #[arg(long)]
        json: bool,
    },

    /// Write the synthetic copy of the two files as CSV
    Twin {
        /// Output folder; files and subfolders are named as in NAB
        #[arg(value_name = "DIR")]
        out: PathBuf,

        /// Seed of the noise
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value <= 86_400.0 => Ok(value),
        _ => Err("expected a number above 0 and at most 86400 (one day)".into()),
    }
}
