//! The real files of the Numenta Anomaly Benchmark: each of the 58 loads, with the irregularities that it is
//! known to have.

use std::path::Path;

use glassbox_pipeline::scaler::Scaler;
use glassbox_pipeline::series::{Columns, Loaded, WarningKind, read_csv};

mod common;

fn load(nab: &Path, file: &str) -> Loaded {
    read_csv(&nab.join(file), &Columns::default()).unwrap()
}

/// Rows, commonest step in minutes, share of steps equal to it in tenths of a percent, gaps, rows that they
/// lack, rows that repeat a timestamp: counted independently of this code when the files were described.
#[rustfmt::skip]
const KNOWN: [(&str, usize, i64, u32, usize, u64, usize); 58] = [
    ("artificialNoAnomaly/art_daily_no_noise.csv", 4_032, 5, 1_000, 0, 0, 0),
    ("artificialNoAnomaly/art_daily_perfect_square_wave.csv", 4_032, 5, 1_000, 0, 0, 0),
    ("artificialNoAnomaly/art_daily_small_noise.csv", 4_032, 5, 1_000, 0, 0, 0),
    ("artificialNoAnomaly/art_flatline.csv", 4_032, 5, 1_000, 0, 0, 0),
    ("artificialNoAnomaly/art_noisy.csv", 4_032, 5, 1_000, 0, 0, 0),
    ("artificialWithAnomaly/art_daily_flatmiddle.csv", 4_032, 5, 1_000, 0, 0, 0),
    ("artificialWithAnomaly/art_daily_jumpsdown.csv", 4_032, 5, 1_000, 0, 0, 0),
    ("artificialWithAnomaly/art_daily_jumpsup.csv", 4_032, 5, 1_000, 0, 0, 0),
    ("artificialWithAnomaly/art_daily_nojump.csv", 4_032, 5, 1_000, 0, 0, 0),
    ("artificialWithAnomaly/art_increase_spike_density.csv", 4_032, 5, 1_000, 0, 0, 0),
    ("artificialWithAnomaly/art_load_balancer_spikes.csv", 4_032, 5, 1_000, 0, 0, 0),
    ("realAWSCloudwatch/ec2_cpu_utilization_24ae8d.csv", 4_032, 5, 1_000, 0, 0, 0),
    ("realAWSCloudwatch/ec2_cpu_utilization_53ea38.csv", 4_032, 5, 1_000, 0, 0, 0),
    ("realAWSCloudwatch/ec2_cpu_utilization_5f5533.csv", 4_032, 5, 1_000, 0, 0, 0),
    ("realAWSCloudwatch/ec2_cpu_utilization_77c1ca.csv", 4_032, 5, 1_000, 0, 0, 0),
    ("realAWSCloudwatch/ec2_cpu_utilization_825cc2.csv", 4_032, 5, 1_000, 2, 2, 0),
    ("realAWSCloudwatch/ec2_cpu_utilization_ac20cd.csv", 4_032, 5, 1_000, 2, 5, 0),
    ("realAWSCloudwatch/ec2_cpu_utilization_c6585a.csv", 4_032, 5, 1_000, 0, 0, 0),
    ("realAWSCloudwatch/ec2_cpu_utilization_fe7f93.csv", 4_032, 5, 1_000, 0, 0, 0),
    ("realAWSCloudwatch/ec2_disk_write_bytes_1ef3de.csv", 4_730, 5, 997, 1, 11, 11),
    ("realAWSCloudwatch/ec2_disk_write_bytes_c0d644.csv", 4_032, 5, 1_000, 0, 0, 0),
    ("realAWSCloudwatch/ec2_network_in_257a54.csv", 4_032, 5, 1_000, 2, 2, 0),
    ("realAWSCloudwatch/ec2_network_in_5abac7.csv", 4_730, 5, 997, 1, 12, 11),
    ("realAWSCloudwatch/elb_request_count_8c0756.csv", 4_032, 5, 998, 8, 8, 0),
    ("realAWSCloudwatch/grok_asg_anomaly.csv", 4_621, 5, 1_000, 0, 0, 0),
    ("realAWSCloudwatch/iio_us-east-1_i-a2eb1cd9_NetworkIn.csv", 1_243, 5, 1_000, 0, 0, 0),
    ("realAWSCloudwatch/rds_cpu_utilization_cc0c53.csv", 4_032, 5, 1_000, 1, 1, 0),
    ("realAWSCloudwatch/rds_cpu_utilization_e47b3b.csv", 4_032, 5, 1_000, 0, 0, 0),
    ("realAdExchange/exchange-2_cpc_results.csv", 1_624, 60, 996, 5, 25, 1),
    ("realAdExchange/exchange-2_cpm_results.csv", 1_624, 60, 996, 5, 25, 1),
    ("realAdExchange/exchange-3_cpc_results.csv", 1_538, 60, 958, 64, 109, 0),
    ("realAdExchange/exchange-3_cpm_results.csv", 1_538, 60, 958, 64, 109, 0),
    ("realAdExchange/exchange-4_cpc_results.csv", 1_643, 60, 998, 4, 4, 0),
    ("realAdExchange/exchange-4_cpm_results.csv", 1_643, 60, 998, 4, 4, 0),
    ("realKnownCause/ambient_temperature_system_failure.csv", 7_267, 60, 999, 10, 621, 0),
    ("realKnownCause/cpu_utilization_asg_misconfiguration.csv", 18_050, 5, 1_000, 0, 0, 0),
    ("realKnownCause/ec2_request_latency_system_failure.csv", 4_032, 5, 997, 2, 13, 11),
    ("realKnownCause/machine_temperature_system_failure.csv", 22_695, 5, 1_000, 0, 0, 12),
    ("realKnownCause/nyc_taxi.csv", 10_320, 30, 1_000, 0, 0, 0),
    ("realKnownCause/rogue_agent_key_hold.csv", 1_882, 5, 952, 91, 3_456, 0),
    ("realKnownCause/rogue_agent_key_updown.csv", 5_315, 5, 998, 10, 23, 0),
    ("realTraffic/TravelTime_387.csv", 2_500, 10, 636, 821, 7_470, 0),
    ("realTraffic/TravelTime_451.csv", 2_162, 10, 365, 735, 5_226, 0),
    ("realTraffic/occupancy_6005.csv", 2_380, 5, 737, 570, 2_263, 0),
    ("realTraffic/occupancy_t4013.csv", 2_500, 5, 764, 544, 2_175, 1),
    ("realTraffic/speed_6005.csv", 2_500, 5, 729, 620, 2_376, 0),
    ("realTraffic/speed_7578.csv", 1_127, 5, 653, 381, 1_498, 0),
    ("realTraffic/speed_t4013.csv", 2_495, 5, 763, 545, 2_180, 1),
    ("realTweets/Twitter_volume_AAPL.csv", 15_902, 5, 1_000, 0, 0, 0),
    ("realTweets/Twitter_volume_AMZN.csv", 15_831, 5, 1_000, 0, 0, 0),
    ("realTweets/Twitter_volume_CRM.csv", 15_902, 5, 1_000, 0, 0, 0),
    ("realTweets/Twitter_volume_CVS.csv", 15_853, 5, 1_000, 0, 0, 0),
    ("realTweets/Twitter_volume_FB.csv", 15_833, 5, 1_000, 0, 0, 0),
    ("realTweets/Twitter_volume_GOOG.csv", 15_842, 5, 1_000, 0, 0, 0),
    ("realTweets/Twitter_volume_IBM.csv", 15_893, 5, 1_000, 0, 0, 0),
    ("realTweets/Twitter_volume_KO.csv", 15_851, 5, 1_000, 0, 0, 0),
    ("realTweets/Twitter_volume_PFE.csv", 15_858, 5, 1_000, 0, 0, 0),
    ("realTweets/Twitter_volume_UPS.csv", 15_866, 5, 1_000, 0, 0, 0),
];

/// The files in which one value makes up more than a quarter of the variance; counted by a script of a few lines.
const EXTREME: [&str; 5] = [
    "realAWSCloudwatch/ec2_network_in_257a54.csv",
    "realAdExchange/exchange-4_cpc_results.csv",
    "realAdExchange/exchange-4_cpm_results.csv",
    "realKnownCause/rogue_agent_key_updown.csv",
    "realTweets/Twitter_volume_KO.csv",
];

#[test]
fn every_file_loads_and_is_described_as_known() {
    let Some(nab) = common::nab_data() else { return };
    for (file, rows, minutes, tenths, gaps, missing, repeats) in KNOWN {
        let Loaded { series, warnings, extreme, .. } = load(&nab, file);
        assert_eq!(extreme.is_some(), EXTREME.contains(&file), "{file}: {extreme:?}");
        let sampling = series.sampling();
        assert_eq!(series.len(), rows, "{file}");
        assert_eq!(sampling.step.unwrap().as_secs(), 60 * minutes, "{file}");
        assert_eq!((1000.0 * sampling.regular_share()).round() as u32, tenths, "{file}");
        let found = sampling.gaps.map_or((0, 0), |found| (found.gaps, found.missing_rows));
        assert_eq!(found, (gaps, missing), "{file}");
        assert_eq!(sampling.repeats.map_or(0, |found| found.rows), repeats, "{file}");
        // One warning at most for each of the four kinds, and none for an even file.
        assert!(warnings.len() <= 4 && warnings.is_empty() == (sampling.regular == rows - 1), "{file}");
    }
    let total: usize = KNOWN.iter().map(|(_, rows, ..)| rows).sum();
    assert_eq!(total, 365_558);
    // What the documentation of `series` says of them.
    assert_eq!(KNOWN.iter().filter(|known| known.4 + known.6 > 0).count(), 25);
}

#[test]
fn warnings_name_the_lines_of_the_real_irregularities() {
    let Some(nab) = common::nab_data() else { return };
    let shown = |file: &str| {
        let lines = load(&nab, file).warnings;
        lines
            .iter()
            .map(|warning| warning.to_string().replace(&*nab.to_string_lossy(), ""))
            .collect::<Vec<_>>()
    };
    // The only file whose clock goes back: line 10151 is where it repeats the hour before.
    let machine = shown("realKnownCause/machine_temperature_system_failure.csv");
    assert_eq!(machine.len(), 2);
    assert!(machine[0].contains("12 rows repeat") && machine[0].contains("line 10151"), "{machine:?}");
    assert!(machine[1].contains("1 row goes back") && machine[1].contains("by 55m"), "{machine:?}");
    // CRLF line ends: the lines are right all the same.
    let hold = shown("realKnownCause/rogue_agent_key_hold.csv");
    assert!(hold[0].contains("91 gaps of 3456 rows") && hold[0].contains("longest (45h 35m)"), "{hold:?}");
    let loaded = load(&nab, "realKnownCause/rogue_agent_key_hold.csv");
    let WarningKind::Gaps { found, longest_line, .. } = loaded.warnings[0].kind else { panic!("{hold:?}") };
    let text = std::fs::read_to_string(nab.join("realKnownCause/rogue_agent_key_hold.csv")).unwrap();
    let line = text.lines().nth(longest_line as usize - 1).unwrap();
    assert!(line.starts_with(&loaded.series.timestamp_text(found.longest_before)), "{line}");
}

#[test]
fn the_training_file_has_the_tutorials_moments_and_head() {
    let Some(nab) = common::nab_data() else { return };
    let train = load(&nab, "artificialNoAnomaly/art_daily_small_noise.csv").series;
    let scaler = Scaler::fit(train.values()).unwrap();
    // Published with sixteen digits; 1e-12 leaves room for another order of summation.
    assert!((scaler.mean() / 42.438_353_335_806_57 - 1.0).abs() <= 1e-12, "{:?}", scaler.mean());
    assert!((scaler.std() / 28.077_122_281_262_52 - 1.0).abs() <= 1e-12, "{:?}", scaler.std());
    assert_eq!(
        train.head(5),
        "                         value
timestamp                     
2014-04-01 00:00:00  18.324919
2014-04-01 00:05:00  21.970327
2014-04-01 00:10:00  18.624806
2014-04-01 00:15:00  21.953684
2014-04-01 00:20:00  21.909120
"
    );
}

#[test]
fn a_flat_line_cannot_be_normalised_and_says_so() {
    let Some(nab) = common::nab_data() else { return };
    let flat = load(&nab, "artificialNoAnomaly/art_flatline.csv").series;
    let message = Scaler::fit(flat.values()).unwrap_err().to_string();
    assert!(message.contains("constant: all 4032 values are 45"), "{message}");
}
