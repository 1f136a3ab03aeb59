//! Planted anomalies: no kind is missed, at no place and in no profile, and few rows elsewhere are said to be anomalous. `docs/detection.md` has the numbers over several seeds.

use glassbox::Device;
use glassbox_pipeline::planted::{DAY, Found, Kind, Place, Profile, train};
use glassbox_pipeline::rows::{ThresholdRule, Verdict};
use glassbox_pipeline::series::{BadRows, Columns, Series, WarningKind, parse_rows, write_csv};

#[test]
fn no_kind_of_anomaly_is_missed() {
    let device = Device::best().unwrap();
    let mut small_shifts_missed = 0;
    for profile in Profile::ALL {
        let detector = train(&device, profile, 1).unwrap();
        for (kind, place) in Kind::ALL.into_iter().flat_map(|kind| Place::ALL.map(|place| (kind, place))) {
            let found =
                Found::measure(&detector, &device, profile, Some((kind, place)), 1, ThresholdRule::Max)
                    .unwrap();
            let shown = format!("{profile:?}, {kind:?}, {place:?}: {found:?}");
            let least = match kind {
                Kind::Spike | Kind::FlatLine => found.planted,
                Kind::LargeShift | Kind::Shape | Kind::Noise => found.planted / 2,
                // Within the range of the training values, so what is seen of it is its edges.
                Kind::SmallShift => {
                    small_shifts_missed += usize::from(found.hits == 0);
                    0
                }
            };
            assert!(found.hits >= least, "{shown}");
            assert!(100 * found.elsewhere <= found.normal, "{shown}");
        }
        let none = Found::measure(&detector, &device, profile, None, 1, ThresholdRule::Max).unwrap();
        assert_eq!((none.planted, none.hits, none.near, none.normal), (0, 0, 0, 14 * DAY));
        assert!(100 * none.elsewhere <= none.normal, "{profile:?}: {none:?}");
    }
    assert!(small_shifts_missed <= 3, "{small_shifts_missed} of 12");
}

#[test]
fn a_missing_day_is_reported_and_the_rows_around_it_are_judged() {
    let device = Device::best().unwrap();
    let detector = train(&device, Profile::Daily, 1).unwrap();
    let normal = Profile::Daily.series(14, 2);
    for start in [DAY, 6 * DAY + DAY / 2, 12 * DAY] {
        let kept = || (0..normal.len()).filter(|row| !(start..start + DAY).contains(row));
        // The first row after the gap is a spike.
        let value = |row: usize| normal.values()[row] + if row == start + DAY { 80.0 } else { 0.0 };
        let times = kept().map(|row| normal.timestamps()[row]).collect();
        let series = Series::new("gap", normal.clock(), times, kept().map(value).collect()).unwrap();
        let mut csv = vec![];
        write_csv(&series, &Columns::default(), &mut csv).unwrap();
        let loaded = parse_rows(&csv, "gap.csv", &Columns::default(), BadRows::Skip).unwrap();
        assert_eq!(loaded.warnings.len(), 1);
        assert!(
            matches!(&loaded.warnings[0].kind, WarningKind::Gaps { found, .. } if found.missing_rows == 96)
        );
        let found = detector.judge(&device, &loaded.series, ThresholdRule::Max).unwrap();
        assert!(!found.rows.iter().any(|row| matches!(row.verdict, Verdict::Unjudged(_))));
        assert!(matches!(found.rows[start].verdict, Verdict::Anomalous(_)), "{:?}", found.rows[start]);
        assert_eq!(found.rows.iter().filter(|row| row.live.is_none()).count(), 2 * (DAY - 1));
    }
}
