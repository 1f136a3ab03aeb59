//! The page of a series of one's own: the verdicts, whatever the series is like.

use std::sync::OnceLock;

use glassbox::Device;
use glassbox_engine::reference::Reference;
use glassbox_engine::training::{Fit, Fitted};
use glassbox_pipeline::architecture::Autoencoder;
use glassbox_pipeline::detector::{Detector, train_detector};
use glassbox_pipeline::inside::SeriesInside;
use glassbox_pipeline::rows::{Cause, Judged, RowDetection, ThresholdRule, Verdict};
use glassbox_pipeline::series::{BadRows, Columns, Loaded, parse_rows};
use glassbox_pipeline::training::TrainOptions;
use glassbox_report::{Findings, Training, own_page};
use serde_json::Value as Json;

use crate::kit::data_of;

const STEPS: usize = 12;
/// Names that would break out of HTML, SVG, JSON or a script if they were not escaped.
const HOSTILE: [&str; 2] = ["</script><img src=x onerror=alert(1)>", "a & \"b\" <c> 'd' \u{202e}"];

fn device() -> Device {
    Device::new(Reference)
}

fn columns() -> Columns {
    Columns { timestamp: "timestamp".into(), values: HOSTILE.map(String::from).to_vec() }
}

/// A series of two columns with a row a minute; `values` gives a row's, or no row at all.
fn series(name: &str, rows: usize, values: impl Fn(usize, [f64; 2]) -> Option<[String; 2]>) -> Loaded {
    let mut csv = csv::Writer::from_writer(vec![]);
    csv.write_record(["timestamp", HOSTILE[0], HOSTILE[1]]).unwrap();
    for row in 0..rows {
        let turn = std::f64::consts::TAU * row as f64 / STEPS as f64;
        let noise = ((row * 7919) % 101) as f64 / 101.0;
        let Some([a, b]) = values(row, [10.0 * turn.sin() + noise, 100.0 * turn.cos() - 5.0 * noise]) else {
            continue;
        };
        let time = format!("2026-03-{:02} {:02}:{:02}", 1 + row / 1440, row / 60 % 24, row % 60);
        csv.write_record([time, a, b]).unwrap();
    }
    parse_rows(&csv.into_inner().unwrap(), name, &columns(), BadRows::Skip).unwrap()
}

fn normal() -> Loaded {
    series("normal.csv", 300, |_, [a, b]| Some([a.to_string(), b.to_string()]))
}

/// Rows of which 60 are much too high in the second column, after a gap of 40, with a missing value before both.
fn odd() -> Loaded {
    series("</title><script>alert(2)</script>.csv", 400, |row, [a, b]| match row {
        50 => Some([String::new(), b.to_string()]),
        100..140 => None,
        200..260 => Some([a.to_string(), (b + 2000.0).to_string()]),
        _ => Some([a.to_string(), b.to_string()]),
    })
}

fn options() -> TrainOptions {
    let defaults = TrainOptions::default();
    TrainOptions { fit: Fit { epochs: 3, batch_size: 32, ..defaults.fit }, ..defaults }
}

/// A detector, how its training went, and the errors of its training windows.
fn trained() -> &'static (Detector, Fitted, Vec<f64>) {
    static TRAINED: OnceLock<(Detector, Fitted, Vec<f64>)> = OnceLock::new();
    TRAINED.get_or_init(|| {
        let family = Autoencoder { filters: [4, 2], ..Autoencoder::default() };
        let model = family.model_of(STEPS, 2).unwrap();
        let trained = train_detector(&device(), &model, None, &normal().series, &options(), vec![]).unwrap();
        let detector = Detector { units: vec!["kPa".into(), String::new()], ..trained.detector };
        (detector, trained.trained.fitted, trained.training_errors)
    })
}

/// The verdicts on a series, and its page.
fn page(loaded: &Loaded, training: Option<Training<'_>>) -> (RowDetection, String) {
    let (detector, columns) = (&trained().0, &columns());
    let detection = detector.judge(&device(), &loaded.series, ThresholdRule::Max).unwrap();
    let inside = SeriesInside::capture(detector, &device(), &loaded.series, &detection.peaks(4)).unwrap();
    let findings = Findings { detector, loaded, columns, detection: &detection, inside: &inside, training };
    let page = own_page(&findings).unwrap();
    assert_eq!(own_page(&findings).unwrap(), page, "the same findings give the same bytes");
    (detection, page)
}

fn figure<'a>(data: &'a Json, id: &str) -> &'a Json {
    let figures = data["figures"].as_array().unwrap();
    figures.iter().find(|figure| figure["id"] == id).unwrap_or_else(|| panic!("no plot {id}"))
}

fn anomalous(detection: &RowDetection) -> Vec<usize> {
    let is_anomalous = |row: &usize| matches!(detection.rows[*row].verdict, Verdict::Anomalous(_));
    (0..detection.rows.len()).filter(is_anomalous).collect()
}

#[test]
fn the_page_shows_each_verdict_and_each_reason() {
    let loaded = odd();
    let (detection, page) = page(&loaded, None);
    let data = data_of(&page);
    let rows = anomalous(&detection);
    assert!(rows.len() >= 60, "{rows:?}");

    // The red parts of both columns are the anomalous rows, at their times.
    for column in 0..2 {
        let plot = figure(&data, &format!("column-{column}"));
        let (x, red) = (plot["x"].as_array().unwrap(), plot["curves"][2]["y"].as_array().unwrap());
        let times: Vec<f64> =
            x.iter().zip(red).filter(|(_, y)| !y.is_null()).map(|(x, _)| x.as_f64().unwrap()).collect();
        let expected = rows.iter().map(|row| {
            let at = loaded.series.timestamps()[*row];
            at.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_second() as f64
        });
        assert_eq!(times, expected.collect::<Vec<_>>());
        // Nothing is drawn across a gap: after the missing value, and after the missing rows.
        let breaks = plot["curves"][0]["y"].as_array().unwrap().iter().filter(|y| y.is_null()).count();
        assert_eq!(breaks, 2);
        let labels: Vec<&str> =
            plot["spans"].as_array().unwrap().iter().map(|span| span["label"].as_str().unwrap()).collect();
        assert_eq!(labels, ["gap", "gap", "missing value"]);
    }
    // With the unit of each column, if it has one.
    for (column, title) in [("column-0", "kPa"), ("column-1", "value")] {
        assert_eq!(figure(&data, column)["y_axis"]["title"], title);
    }
    let scores = &figure(&data, "scores")["curves"];
    let settled: Vec<f64> = scores[1]["y"].as_array().unwrap().iter().filter_map(Json::as_f64).collect();
    let expected: Vec<f64> = detection.rows.iter().filter_map(|row| row.score).collect();
    assert_eq!(settled, expected);
    assert_eq!(data["linked"], serde_json::json!(["column-0", "column-1", "scores"]));

    // The list: each run, with a link to its part of the plots and to a window that holds its peak.
    let runs = detection.runs();
    assert_eq!(page.matches("data-from=").count(), runs.len());
    let worst = runs.iter().max_by(|a, b| a.score.total_cmp(&b.score)).unwrap();
    let peak = loaded.series.timestamp_text(worst.peak);
    assert!(page.contains(&format!(
        "<strong>{:.2}</strong> times the threshold, is at <strong>{peak}</strong>",
        worst.score
    )));
    assert!(worst.shares[1] > 0.8, "{worst:?}");
    let counts = format!("<dd>{} <small>of 360 rows</small>", rows.len());
    assert!(page.contains(&counts), "no {counts}");
    assert!(page.contains("<th scope=\"row\">missing value</th><td>1</td><td>2026-03-01 00:50:00</td>"));
    assert!(data["inside"]["windows"].as_array().unwrap().iter().any(|window| window["verdict"] != "normal"));
}

#[test]
fn no_name_breaks_out_of_the_page() {
    let (_, page) = page(&odd(), None);
    for broken in ["<img src=x", "alert(2)</script>", "<c>", "\u{202e}"] {
        assert!(!page.contains(broken), "{broken}");
    }
    assert_eq!(page.matches("<script").count(), 2);
    assert_eq!(page.matches("<title>").count(), 1);
    assert_eq!(figure(&data_of(&page), "column-0")["title"], HOSTILE[0]);
    for loads in
        ["src=\"http", "src=\"//", "url(http", "@import", "<link rel=\"stylesheet", "srcset", "<iframe"]
    {
        assert!(!page.contains(loads), "{loads}");
    }
}

#[test]
fn the_page_of_a_training_shows_how_it_went() {
    let (loaded, (detector, fitted, errors), options) = (normal(), trained(), options());
    let training = Training { options: &options, fitted, errors, period: loaded.series.period() };
    let (_, page) = page(&loaded, Some(training));
    let data = data_of(&page);
    let losses = figure(&data, "losses")["curves"][0]["y"].as_array().unwrap();
    let history = &fitted.history.loss;
    assert_eq!(losses.iter().map(|loss| loss.as_f64().unwrap()).collect::<Vec<_>>(), *history);
    assert_eq!(figure(&data, "train-mae")["rules"][0]["at"].as_f64(), Some(detector.threshold.value()));
    for text in [
        "repeats after <b class=\"number\">12</b> rows",
        "as long as that, and is",
        "training windows, about 25 of which",
    ] {
        assert!(page.contains(text), "no {text:?}");
    }
    assert!(!page.contains("id=\"anomalies\""), "no training row is anomalous");
}

/// Of a long series a bounded part is drawn, and the page says that it is not all.
#[test]
fn the_page_of_a_long_series_is_small() {
    let loaded = series("long.csv", 40_000, |_, [a, b]| Some([a.to_string(), b.to_string()]));
    let detector = &trained().0;
    let judged = |row: usize| {
        let (score, verdict) = match row.is_multiple_of(1000) {
            true => (2.0, Verdict::Anomalous(Cause::Steps)),
            false => (0.5, Verdict::Normal),
        };
        Judged { score: Some(score), live: Some(score), shares: vec![0.5; 2], verdict }
    };
    let (small, _) = page(&normal(), None);
    let detection = RowDetection { rows: (0..40_000).map(judged).collect(), windows: 39_989, ..small };
    let inside = SeriesInside { windows: vec![], reconstruction: vec![vec![None; 40_000]; 2] };
    let columns = columns();
    let findings = Findings {
        detector,
        loaded: &loaded,
        columns: &columns,
        detection: &detection,
        inside: &inside,
        training: None,
    };
    let page = own_page(&findings).unwrap();
    assert!(page.len() < 3_000_000, "{}", page.len());
    assert!(page.contains("It is too long to draw every row"));
    let data = data_of(&page);
    let x = figure(&data, "column-0")["x"].as_array().unwrap();
    assert!(x.len() < 10_000, "{}", x.len());
    // Of the 40 anomalies each is there, with the rows around it.
    let red = figure(&data, "column-0")["curves"][2]["y"].as_array().unwrap();
    assert_eq!(red.iter().filter(|y| !y.is_null()).count(), 40);
    // Nothing was observed: the section says nothing about windows.
    assert!(data["inside"].is_null());
}
