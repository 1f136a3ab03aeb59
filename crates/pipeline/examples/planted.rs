//! Plants anomalies of every kind, at every place, in four kinds of series, and prints what a detector finds: the tables
//! of `docs/detection.md`.
//!
//! ```sh
//! cargo run --release -p glassbox-pipeline --example planted          # three seeds
//! cargo run --release -p glassbox-pipeline --example planted -- 10    # ten
//! ```

use glassbox::Device;
use glassbox_pipeline::planted::{DAY, Found, Kind, Place, Profile, train};
use glassbox_pipeline::rows::{Adaptive, ThresholdRule, Verdict};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seeds: u64 = std::env::args().nth(1).map_or(Ok(3), |seeds| seeds.parse())?;
    let device = Device::best()?;
    let mut detectors = vec![];
    for profile in Profile::ALL {
        for seed in 1..=seeds {
            detectors.push((profile, seed, train(&device, profile, seed)?));
        }
    }
    let measure = |anomaly: Option<(Kind, Place)>, only: Option<Profile>, rule: ThresholdRule| {
        let cases = detectors.iter().filter(|(profile, ..)| only.is_none_or(|only| only == *profile));
        cases
            .map(|(profile, seed, detector)| {
                Found::measure(detector, &device, *profile, anomaly, *seed, rule)
            })
            .collect::<Result<Vec<_>, _>>()
    };
    let sum = |found: &[Found], of: fn(&Found) -> usize| found.iter().map(of).sum::<usize>();

    println!("| anomaly | place | found | rows found | rows near it | false alarms in 1000 rows |");
    println!("|---|---|---|---|---|---|");
    for kind in Kind::ALL {
        for place in Place::ALL {
            let found = measure(Some((kind, place)), None, ThresholdRule::Max)?;
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
        let found = measure(None, Some(profile), ThresholdRule::Max)?;
        let rate =
            1000.0 * sum(&found, |found| found.elsewhere) as f64 / sum(&found, |found| found.normal) as f64;
        println!("| {profile:?} | {rate:.2} |");
    }

    println!(
        "\n| threshold | found | false alarms in 1000 rows | with 1.5 times the noise |\n|---|---|---|---|"
    );
    for (name, rule) in [
        ("`max`", ThresholdRule::Max),
        ("`peaks:1e-4`", ThresholdRule::Peaks(1e-4)),
        ("`adaptive-peaks:1e-4`", Adaptive::Peaks { rate: 1e-4 }.into()),
        ("`adaptive-drift:1e-4:192`", Adaptive::Drift { rate: 1e-4, rows: 2 * DAY }.into()),
        ("`adaptive-quantile:0.998:960`", Adaptive::Quantile { quantile: 0.998, rows: 10 * DAY }.into()),
        ("`adaptive-robust-z:12:960`", Adaptive::RobustZ { z: 12.0, rows: 10 * DAY }.into()),
    ] {
        let (mut cases, mut hits, mut elsewhere, mut normal) = (0, 0, 0, 0);
        for anomaly in Kind::ALL.into_iter().flat_map(|kind| Place::ALL.map(|place| (kind, place))) {
            let found = measure(Some(anomaly), None, rule)?;
            cases += found.len();
            hits += found.iter().filter(|found| found.hits > 0).count();
            elsewhere += sum(&found, |found| found.elsewhere);
            normal += sum(&found, |found| found.normal);
        }
        let (mut alarms, mut rows) = (0, 0);
        for (profile, seed, detector) in &detectors {
            // By the second half, a threshold has had time to follow.
            let judged = detector.judge(&device, &profile.noisier(56, !seed, 1.5), rule)?.rows;
            let late = &judged[judged.len() / 2..];
            alarms += late.iter().filter(|row| matches!(row.verdict, Verdict::Anomalous(_))).count();
            rows += late.len();
        }
        let rate = |alarms: usize, rows: usize| 1000.0 * alarms as f64 / rows as f64;
        println!(
            "| {name} | {hits} of {cases} | {:.2} | {:.2} |",
            rate(elsewhere, normal),
            rate(alarms, rows)
        );
    }
    Ok(())
}
