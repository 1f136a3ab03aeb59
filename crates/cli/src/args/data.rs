//! `glassbox data`

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Download the two published files into the cache and verify them
    ///
    /// They come from the Numenta Anomaly Benchmark (MIT licence), 280 KB in all. Afterwards
    /// `glassbox tutorial` uses them. Nothing is written unless both files have their known SHA-256.
    Fetch {
        /// Download also what the cache already has
        #[arg(long)]
        force: bool,

        /// Where the files are published
        #[arg(long, value_name = "URL", env = "GLASSBOX_BASE_URL", default_value = glassbox_pipeline::nab::BASE_URL)]
        base_url: String,

        /// Seconds after which a whole download is given up
        #[arg(long, value_name = "SECONDS", default_value_t = 120.0, value_parser = seconds)]
        timeout: f64,
    },

    /// Say which data `glassbox tutorial` would use, and its SHA-256
    Show {
        /// The `data` folder of a checkout of numenta/NAB
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,

        /// Decides the twin's noise
        #[arg(long, default_value_t = 1)]
        seed: u64,

        /// Print a JSON object instead
        #[arg(long)]
        json: bool,
    },

    /// Write the built-in twin of the two files as CSV
    Twin {
        /// Where to: gets NAB's own folders and file names
        #[arg(value_name = "DIR")]
        out: PathBuf,

        /// Decides the noise
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value <= 86_400.0 => Ok(value),
        _ => Err("expected seconds above 0, and a day at most".into()),
    }
}
