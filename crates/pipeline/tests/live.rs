//! Live detection against detection in the whole series, to the bit; and states from which it goes on.

mod tiny;

use std::sync::LazyLock;

use glassbox::Device;
use glassbox_engine::reference::Reference;
use glassbox_engine::training::Fit;
use glassbox_pipeline::architecture::Autoencoder;
use glassbox_pipeline::detector::{Detector, train_detector};
use glassbox_pipeline::live::{Event, Kind, State, Watch};
use glassbox_pipeline::rows::{Adaptive, ThresholdRule, Verdict};
use glassbox_pipeline::series::{BadRows, Columns, Series, parse_rows};
use glassbox_pipeline::training::TrainOptions;
use glassbox_pipeline::{Error, Result};
use jiff::SignedDuration;
use proptest::prelude::*;

fn train(series: &Series) -> Detector {
    let family = Autoencoder { filters: [4, 2], dropout: 0.0, ..Autoencoder::default() };
    let model = family.model_of(8, series.columns().len()).unwrap();
    let defaults = TrainOptions::default();
    let options = TrainOptions { fit: Fit { epochs: 4, batch_size: 16, ..defaults.fit }, ..defaults };
    train_detector(&Device::new(Reference), &model, None, series, &options, vec![]).unwrap().detector
}

/// Detectors of one column, and of two.
static DETECTORS: LazyLock<[(Detector, Columns); 2]> = LazyLock::new(|| {
    let one = tiny::series(600, 0.0);
    let other = (0..600).map(|row| 50.0 + f64::from(row % 7)).collect();
    let columns = vec![one.values().to_vec(), other];
    let two = Series::of_columns("two", one.clock(), one.timestamps().to_vec(), columns).unwrap();
    let columns = Columns { values: vec!["value".into(), "other".into()], ..Columns::default() };
    [(train(&one), Columns::default()), (train(&two), columns)]
});

/// A fixed threshold, and one that follows the scores.
fn rule(columns: &Columns) -> ThresholdRule {
    match columns.values.len() {
        1 => ThresholdRule::Quantile(0.9),
        _ => Adaptive::Drift { rate: 0.01, rows: 10 }.into(),
    }
}

fn watch((detector, columns): &(Detector, Columns), bad_rows: BadRows) -> Watch<'_> {
    Watch::new(detector, &Device::new(Reference), "input", columns, rule(columns), bad_rows).unwrap()
}

/// All that a line says, as text: numbers have the digits that make out their bits.
fn told(event: &Event<'_>) -> String {
    match event {
        Event::Line(line) => {
            format!("{} {} {:?} {:?}", line.kind.name(), line.timestamp, line.values, line.judged)
        }
        Event::Notice(notice) => format!("notice {notice}"),
    }
}

/// Everything that is said of pieces of an input.
fn tell(watch: &mut Watch<'_>, pieces: &[&[u8]], end: bool) -> Result<Vec<String>> {
    let mut all = vec![];
    pieces.iter().try_for_each(|piece| watch.feed(piece, &mut |event| all.push(told(&event))))?;
    if end {
        watch.finish(&mut |event| all.push(told(&event)))?;
    }
    Ok(all)
}

/// The same of the whole series by [`Detector::judge`], in the order of its rows.
fn judged((detector, columns): &(Detector, Columns), csv: &[u8]) -> Result<Vec<String>> {
    let loaded = parse_rows(csv, "input", columns, BadRows::Skip)?;
    let found = detector.judge(&Device::new(Reference), &loaded.series, rule(columns))?;
    let rows = found.rows.iter().enumerate().map(|(row, judged)| {
        let values: Vec<Option<f64>> =
            loaded.series.columns().iter().map(|values| Some(values[row])).collect();
        format!("settled {} {values:?} {judged:?}", loaded.series.timestamps()[row])
    });
    Ok(rows.collect())
}

/// A row of a file: how it differs from the next one at five minutes.
#[derive(Debug, Clone, Copy)]
enum Odd {
    No,
    Missing,
    Repeated,
    Back,
    Gap,
    Unreadable,
}

fn csv(rows: &[Odd], columns: usize) -> String {
    let mut text = "timestamp,value,other\n".to_owned();
    let (start, mut minute) = (glassbox_pipeline::synthetic::START, 0);
    for (row, odd) in rows.iter().enumerate() {
        minute += 5;
        let at = |minute: i64| format!("{}", start + SignedDuration::from_mins(minute));
        let value = 10.0 + (row as f64 * 0.7).sin() + if row % 41 == 40 { 6.0 } else { 0.0 };
        let (time, value) = match odd {
            Odd::No => (at(minute), value.to_string()),
            Odd::Missing => (at(minute), String::new()),
            Odd::Unreadable => (at(minute), "?".into()),
            Odd::Repeated | Odd::Back => {
                minute -= 5;
                (at(if matches!(odd, Odd::Back) { minute - 7 } else { minute }), value.to_string())
            }
            Odd::Gap => {
                minute += 20;
                (at(minute), value.to_string())
            }
        };
        text += &format!("{time},{value},{}\n", 50 + (row * columns) % 9);
    }
    text
}

fn rows() -> impl Strategy<Value = Vec<Odd>> {
    let odd = prop_oneof![
        40 => Just(Odd::No),
        1 => Just(Odd::Missing),
        1 => Just(Odd::Repeated),
        1 => Just(Odd::Back),
        1 => Just(Odd::Gap),
    ];
    prop::collection::vec(odd, 20..120)
}

fn pieces<'a>(text: &'a str, cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len())).collect();
    cuts.sort_unstable();
    let starts = [0].into_iter().chain(cuts.iter().copied());
    starts
        .zip(cuts.iter().copied().chain([text.len()]))
        .map(|(from, to)| &text.as_bytes()[from..to])
        .collect()
}

proptest! {
    #[test]
    fn settled_lines_are_those_of_the_whole_series(
        rows in rows(),
        columns in 1_usize..=2,
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let (detector, text) = (&DETECTORS[columns - 1], csv(&rows, columns));
        let mut one = watch(detector, BadRows::Skip);
        let Ok(lines) = tell(&mut one, &pieces(&text, &cuts), true) else {
            // Most of a few rows are odd.
            prop_assert!(judged(detector, text.as_bytes()).is_err());
            return Ok(());
        };
        // However the rows arrive: all at once, or byte by byte.
        for pieces in [vec![text.as_bytes()], text.as_bytes().chunks(1).collect()] {
            prop_assert_eq!(&tell(&mut watch(detector, BadRows::Skip), &pieces, true).unwrap(), &lines);
        }
        // Rows that are left out are not in a series.
        let of = |kind: Kind| {
            lines.iter().filter(move |line| line.starts_with(kind.name())).filter(|line| {
                !["MissingValue", "RepeatedTime", "BackInTime"].iter().any(|reason| line.contains(reason))
            })
        };
        if let Ok(judged) = judged(detector, text.as_bytes()) {
            prop_assert_eq!(of(Kind::Settled).collect::<Vec<_>>(), judged.iter().collect::<Vec<_>>());
        }
        // A row is told of live, and later settled.
        let row = |line: &String| line.split(' ').nth(1).unwrap().to_owned();
        prop_assert_eq!(of(Kind::Live).map(row).collect::<Vec<_>>(), of(Kind::Settled).map(row).collect::<Vec<_>>());
        let tally = one.tally();
        prop_assert_eq!(tally.rows as usize, rows.len());
        prop_assert_eq!(tally.rows, tally.normal + tally.anomalous + tally.unjudged);
    }

    #[test]
    fn a_state_goes_on_with_the_next_line(
        rows in rows(),
        columns in 1_usize..=2,
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 1..5),
    ) {
        let (detector, text) = (&DETECTORS[columns - 1], csv(&rows, columns));
        let undisturbed = tell(&mut watch(detector, BadRows::Skip), &[text.as_bytes()], true);
        let Ok(undisturbed) = undisturbed else { return Ok(()) };
        let mut lines = vec![];
        let mut state: Option<State> = None;
        for end in pieces(&text, &cuts).iter().scan(0, |end, piece| { *end += piece.len(); Some(*end) }) {
            let mut next = watch(detector, BadRows::Skip);
            let run = next.fingerprint();
            if let Some(state) = state.take() {
                let saved = state.to_bytes();
                let state = State::from_bytes(&saved, "state").unwrap();
                prop_assert_eq!(&state.to_bytes(), &saved);
                next.resume(state, &run, "state").unwrap();
            }
            lines.extend(tell(&mut next, &[&text.as_bytes()[..end]], end == text.len()).unwrap());
            state = Some(next.state(&run, None));
        }
        prop_assert_eq!(lines, undisturbed);
    }
}

#[test]
fn an_input_that_goes_on_after_the_state_is_taken_as_new_rows() {
    let detector = &DETECTORS[0];
    let text = csv(&[Odd::No; 60], 1);
    let rows: Vec<&str> = text.split_inclusive('\n').collect();
    let undisturbed = tell(&mut watch(detector, BadRows::Skip), &[text.as_bytes()], true).unwrap();
    let mut first = watch(detector, BadRows::Skip);
    let run = first.fingerprint();
    let mut lines = tell(&mut first, &[rows[..31].concat().as_bytes()], false).unwrap();
    let state = first.state(&run, None);

    let mut second = watch(detector, BadRows::Skip);
    second.resume(state.clone(), &run, "state").unwrap();
    let rest = [rows[0], &rows[31..].concat()].concat();
    let more = tell(&mut second, &[rest.as_bytes()], true).unwrap();
    assert_eq!(more[0], "notice input begins after the last row of the state; all of its rows are new");
    lines.extend_from_slice(&more[1..]);
    assert_eq!(lines, undisturbed);

    // Also in two runs, of which the first has not seen a whole row.
    let head = rows[0].len() + rows[1].len();
    assert!(rows[31].len() > rows[1].len());
    let mut short = watch(detector, BadRows::Skip);
    short.resume(state.clone(), &run, "state").unwrap();
    assert_eq!(tell(&mut short, &[&rest.as_bytes()[..head]], false).unwrap(), more[..1]);
    let mut second = watch(detector, BadRows::Skip);
    second.resume(short.state(&run, None), &run, "state").unwrap();
    assert_eq!(tell(&mut second, &[rest.as_bytes()], true).unwrap(), more);

    // Not rows of before, unless all of them; nor other rows in their place.
    let refusal = |input: &str| {
        let mut other = watch(detector, BadRows::Skip);
        other.resume(state.clone(), &run, "state").unwrap();
        tell(&mut other, &[input.as_bytes()], true).unwrap_err().to_string()
    };
    let changed = text.replacen("10.6", "10.7", 1);
    assert_ne!(changed, text);
    for input in [[rows[0], &rows[20..].concat()].concat(), changed, rows[..20].concat()] {
        let error = refusal(&input);
        assert!(error.contains("input is not the input that was read before"), "{error}");
    }
}

#[test]
fn an_input_that_grew_after_its_end_is_refused() {
    let detector = &DETECTORS[0];
    let text = csv(&[Odd::No; 30], 1);
    let mut first = watch(detector, BadRows::Skip);
    let run = first.fingerprint();
    tell(&mut first, &[text.as_bytes()], true).unwrap();
    let state = first.state(&run, Some(7));
    assert_eq!(state.output(), Some(7));
    let again = |input: &str| {
        let mut again = watch(detector, BadRows::Skip);
        again.resume(state.clone(), &run, "state").unwrap();
        tell(&mut again, &[input.as_bytes()], true)
    };
    assert_eq!(again(&text).unwrap(), [""; 0]);
    let error = again(&csv(&[Odd::No; 31], 1)).unwrap_err().to_string();
    assert!(error.contains("input has grown since its end was reached"), "{error}");
}

#[test]
fn a_state_of_another_run_is_refused_by_what_differs() {
    let detector = &DETECTORS[0];
    let mut first = watch(detector, BadRows::Skip);
    tell(&mut first, &[csv(&[Odd::No; 30], 1).as_bytes()], false).unwrap();
    let state = first.state(&first.fingerprint(), None);
    let other = |detector: &(Detector, Columns), rule, bad_rows| {
        let (detector, columns) = detector;
        let mut other =
            Watch::new(detector, &Device::new(Reference), "input", columns, rule, bad_rows).unwrap();
        let run = other.fingerprint();
        other.resume(state.clone(), &run, "s.json").unwrap_err().to_string()
    };
    for (error, part) in [
        (other(&DETECTORS[1], rule(&DETECTORS[0].1), BadRows::Skip), "the model is sha256"),
        (
            other(detector, ThresholdRule::Max, BadRows::Skip),
            "the threshold is the training maximum here and the quantile 0.9",
        ),
        (other(detector, rule(&detector.1), BadRows::Refuse), "bad rows is refused here and left out there"),
    ] {
        assert!(error.contains("s.json is of another run") && error.contains(part), "{error}");
    }
}

#[test]
fn a_damaged_state_is_refused() {
    let detector = &DETECTORS[0];
    let mut first = watch(detector, BadRows::Skip);
    let run = first.fingerprint();
    tell(&mut first, &[csv(&[Odd::No; 30], 1).as_bytes()], false).unwrap();
    let good = String::from_utf8(first.state(&run, None).to_bytes()).unwrap();
    for (bad, part) in [
        (String::new(), "damaged"),
        (good[..good.len() / 2].into(), "damaged"),
        (good.replacen("\"used\":30", "\"used\":31", 1), "checksum"),
        (good.replacen("\"glassbox.watch\":1", "\"glassbox.watch\":2", 1), "has version 2"),
        ("{}".into(), "no `glassbox.watch`"),
    ] {
        assert_ne!(bad, good);
        let error = State::from_bytes(bad.as_bytes(), "s.json").unwrap_err().to_string();
        assert!(error.contains("s.json") && error.contains(part) && error.contains("start anew"), "{error}");
    }
}

#[test]
fn rows_that_cannot_be_used_are_left_out_with_a_notice_or_refused() {
    let detector = &DETECTORS[0];
    let mut rows = [Odd::No; 40];
    rows[20] = Odd::Unreadable;
    rows[30] = Odd::Missing;
    let text = csv(&rows, 1);
    let third = text.lines().nth(3).unwrap();
    let text = text.replace(third, &format!("{},1e300,1", third.split_once(',').unwrap().0));
    let mut skips = watch(detector, BadRows::Skip);
    let lines = tell(&mut skips, &[text.as_bytes()], true).unwrap();
    let notices: Vec<&String> = lines.iter().filter(|line| line.starts_with("notice")).collect();
    let parts = [
        "1e300, exceeds the range of 32-bit numbers",
        "line 5: a step of 10m at a sampling step of 5m",
        "line 22: `?` in column `value` is not a number",
        "line 23: a step of 10m",
        "line 32: missing value; row left out",
        "line 33: a step of 10m",
    ];
    assert!(notices.len() == parts.len(), "{notices:?}");
    assert!(notices.iter().zip(parts).all(|(notice, part)| notice.contains(part)), "{notices:?}");
    assert_eq!((skips.tally().unreadable, skips.tally().rows), (2, 38));

    let mut refuses = watch(detector, BadRows::Refuse);
    let mut lines = vec![];
    let error = refuses.feed(csv(&rows, 1).as_bytes(), &mut |event| lines.push(told(&event))).unwrap_err();
    assert!(error.to_string().contains("line 22"), "{error}");
    // 20 live lines, and a settled one for each of 13 windows.
    assert_eq!(lines.len(), 20 + 13);
}

#[test]
fn another_sampling_step_is_refused_at_first_and_reported_later() {
    let detector = &DETECTORS[0];
    let every = |minutes: &[i64]| {
        let (mut text, mut at) = ("timestamp,value\n".to_owned(), glassbox_pipeline::synthetic::START);
        for minutes in minutes {
            at += SignedDuration::from_mins(*minutes);
            text += &format!("{at},10\n");
        }
        text
    };
    // From the first 32 steps, and at the end from fewer.
    for rows in [3, 33, 500] {
        for step in [1, 4, 60] {
            let mut lines = vec![];
            let mut watch = watch(detector, BadRows::Skip);
            let input = every(&vec![step; rows]);
            let fed = watch.feed(input.as_bytes(), &mut |event| lines.push(told(&event)));
            let done = fed.and_then(|()| watch.finish(&mut |_| ()));
            let error = done.unwrap_err();
            assert!(matches!(error, Error::OtherStep { .. }), "{error}");
            assert!(lines.iter().filter(|line| line.starts_with("live")).count() <= 32, "{step}");
        }
    }
    let lines =
        tell(&mut watch(detector, BadRows::Skip), &[every(&[[5; 33], [4; 33]].concat()).as_bytes()], true);
    let notices: Vec<String> = lines.unwrap().into_iter().filter(|line| line.starts_with("notice")).collect();
    assert_eq!(notices.len(), 1);
    assert!(notices[0].contains("has a row every 4m, but the detector was trained"), "{notices:?}");
}

#[test]
fn rows_in_another_order_are_refused_at_the_end() {
    let text = "timestamp,value\n2014-04-03 00:00:00,1\n2014-04-02 00:00:00,2\n2014-04-01 00:00:00,3\n";
    let error =
        tell(&mut watch(&DETECTORS[0], BadRows::Skip), &[text.as_bytes()], true).unwrap_err().to_string();
    assert!(error.contains("2 of 3 rows go back in time"), "{error}");
}

#[test]
fn live_verdicts_are_by_the_threshold_of_live_scores() {
    let (mut anomalous, text) = (0, csv(&[Odd::No; 100], 1));
    let mut watch = watch(&DETECTORS[0], BadRows::Skip);
    let threshold = watch.alarm().live;
    assert!(threshold < 1.0);
    watch
        .feed(text.as_bytes(), &mut |event| {
            let Event::Line(line) = event else { return };
            if line.kind == Kind::Live {
                let is = matches!(line.judged.verdict, Verdict::Anomalous(_));
                assert_eq!(is, line.judged.live.is_some_and(|score| score > 1.0));
                anomalous += u64::from(is);
            }
        })
        .unwrap();
    assert!(anomalous > 0);
    assert_eq!(watch.tally().live_anomalous, anomalous);
}
