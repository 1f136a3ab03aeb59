//! Plants anomalies of every kind, at every place, in four kinds of series, and prints what a detector finds: the table
//! of `docs/detection.md`.
//!
//! ```sh
//! cargo run --release -p glassbox-pipeline --example planted          # three seeds
//! cargo run --release -p glassbox-pipeline --example planted -- 10    # ten
//! ```

use glassbox::Device;
use glassbox_pipeline::planted::{Found, Kind, Place, Profile, train};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seeds: u64 = std::env::args().nth(1).map_or(Ok(3), |seeds| seeds.parse())?;
    let device = Device::best()?;
    let mut detectors = vec![];
    for profile in Profile::ALL {
        for seed in 1..=seeds {
            detectors.push((profile, seed, train(&device, profile, seed)?));
        }
    }
    let measure = |anomaly: Option<(Kind, Place)>, only: Option<Profile>| {
        let cases = detectors.iter().filter(|(profile, ..)| only.is_none_or(|only| only == *profile));
        cases
            .map(|(profile, seed, detector)| Found::measure(detector, &device, *profile, anomaly, *seed))
            .collect::<Result<Vec<_>, _>>()
    };
    let sum = |found: &[Found], of: fn(&Found) -> usize| found.iter().map(of).sum::<usize>();

    println!("| anomaly | place | found | rows found | rows near it | false alarms in 1000 rows |");
    println!("|---|---|---|---|---|---|");
    for kind in Kind::ALL {
        for place in Place::ALL {
            let found = measure(Some((kind, place)), None)?;
            println!(
                "| {kind:?} | {place:?} | {} of {} | {:.0} % | {:.1} | {:.2} |",
                found.iter().filter(|found| found.hits > 0).count(),
                found.len(),
                100.0 * sum(&found, |found| found.hits) as f64 / sum(&found, |found| found.planted) as f64,
                sum(&found, |found| found.near) as f64 / found.len() as f64,
                1000.0 * sum(&found, |found| found.elsewhere) as f64
                    / sum(&found, |found| found.normal) as f64,
            );
        }
    }
    println!("\n| series without an anomaly | false alarms in 1000 rows |\n|---|---|");
    for profile in Profile::ALL {
        let found = measure(None, Some(profile))?;
        let rate =
            1000.0 * sum(&found, |found| found.elsewhere) as f64 / sum(&found, |found| found.normal) as f64;
        println!("| {profile:?} | {rate:.2} |");
    }
    Ok(())
}
