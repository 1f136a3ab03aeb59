//! The plots of the tutorial.

use std::collections::BTreeSet;

use glassbox_engine::losses::Loss;
use glassbox_engine::training::History;
use glassbox_pipeline::series::Series;
use glassbox_pipeline::statistics::Summary;

use super::{times, true_span};
use crate::Results;
use glassbox_figures::{Axis, Figure, Mark, Role};

pub(super) fn figures(results: &Results) -> Vec<Figure> {
    let result = &results.result;
    // Only of the tutorial's own series is it known what they contain.
    let titles = match results.of_the_tutorial() {
        true => ["Training series: normal", "Test series: with an anomaly"],
        false => ["Training series", "Test series"],
    };
    let mut figures = vec![
        series("series-train", titles[0], &results.train),
        series("series-test", titles[1], &results.test),
        losses(&result.training.history, result.config.train.loss),
    ];
    figures.extend(histogram(
        "train-mae",
        "Errors of the training windows",
        result.errors.train.as_ref(),
        result.threshold,
    ));
    figures.push(first_window(results));
    figures.push(normalised(results));
    figures.extend(histogram(
        "test-mae",
        "Errors of the test windows",
        result.errors.test.as_ref(),
        result.threshold,
    ));
    figures.push(window_errors(results));
    figures.push(anomalies(results));
    figures
}

fn series(id: &str, title: &str, series: &Series) -> Figure {
    let (axis, x) = times(series, 0..series.len());
    let values = series.values();
    let (low, high) =
        values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
    let alt = format!(
        "Line of {} values of {} over time, from {} to {}, between {low:.1} and {high:.1}.",
        series.len(),
        series.name(),
        series.timestamp_text(0),
        series.timestamp_text(series.len() - 1)
    );
    Figure::new(id, title, axis, Axis::linear("value"), x)
        .line(series.name(), Role::Series, values.iter().copied())
        .alt(alt)
}

/// The losses of each epoch.
pub(super) fn losses(history: &History, loss: Loss) -> Figure {
    let x = (1..=history.loss.len()).map(|epoch| epoch as f64).collect();
    let mut figure = Figure::new(
        "losses",
        "Loss after each epoch",
        Axis::linear("epoch"),
        Axis::log(loss.to_string().replace('_', " ")),
        x,
    )
    .line("Training loss", Role::Series, history.loss.iter().copied());
    if !history.val_loss.is_empty() {
        figure = figure.line("Validation loss", Role::Model, history.val_loss.iter().copied());
    }
    let last = |values: &[f64]| values.last().map_or("none".into(), |value| format!("{value:.4}"));
    let alt = format!(
        "Two lines that fall over {} epochs, on a logarithmic axis: the training loss to {}, the validation loss to {}.",
        history.loss.len(),
        last(&history.loss),
        last(&history.val_loss)
    );
    figure.alt(alt)
}

/// The errors of windows, with the threshold.
pub(super) fn histogram(id: &str, title: &str, summary: Option<&Summary>, threshold: f64) -> Option<Figure> {
    let summary = summary?;
    let histogram = &summary.histogram;
    let (last, edges) = histogram.edges.split_last()?;
    let counts = histogram.counts.iter().map(|count| Some(*count as f64)).collect();
    let error = Axis::linear("mean absolute error of a window (std)");
    let mut figure = Figure::new(id, title, error, Axis::linear("windows"), edges.to_vec())
        .curve("windows", Role::Series, Mark::Bars, counts)
        .rule(true, threshold, format!("threshold {threshold:.4}"))
        .alt(format!(
            "Histogram of the errors of {} windows in {} bins from {:.4} to {:.4}; the threshold is at {:.4}.",
            summary.count,
            histogram.counts.len(),
            summary.min,
            summary.max,
            threshold
        ));
    figure.x_end = Some(*last);
    Some(figure)
}

fn first_window(results: &Results) -> Figure {
    let window = &results.first_window;
    let (axis, x) = times(&results.train, 0..window.len());
    let mae = results.first_error();
    Figure::new("first-window", "The first training window", axis, Axis::linear("std"), x)
        .line("window", Role::Series, window.iter().map(|step| step.value))
        .line("its reconstruction", Role::Model, window.iter().map(|step| step.reconstruction))
        .alt(format!("The values of a window and their reconstruction; the mean absolute error is {mae:.3}."))
}

fn normalised(results: &Results) -> Figure {
    let (axis, x) = times(&results.test, 0..results.test.len());
    let (mean, std) = (results.result.training.mean, results.result.training.std);
    let values: Vec<f64> = results.test.values().iter().map(|value| (value - mean) / std).collect();
    let high = values.iter().copied().fold(f64::MIN, f64::max);
    Figure::new("test-normalised", "Test series, normalised", axis, Axis::linear("std"), x)
        .line(results.test.name(), Role::Series, values)
        .alt(format!(
            "The test series, normalised by the mean and standard deviation of the training series; its maximum is {high:.2}."
        ))
}

/// The error of each window, plotted at the window's start.
fn window_errors(results: &Results) -> Figure {
    let (axis, x) = times(&results.test, 0..results.errors.len());
    let (threshold, windows) = (results.result.threshold, &results.result.anomalies.windows);
    let above = results.errors.iter().map(|error| (*error > threshold).then_some(*error)).collect();
    let error = Axis::linear("error (std)");
    Figure::new("window-errors", "Error of the window that starts at each time", axis, error, x)
        .line("mean absolute error", Role::Series, results.errors.iter().copied())
        .curve(format!("{} anomalous windows", windows.count), Role::Anomaly, Mark::Line, above)
        .rule(false, threshold, format!("threshold {threshold:.4}"))
        .alt(format!(
            "The error of each of {} windows over time; {} of them are above the threshold of {threshold:.4}.",
            results.errors.len(),
            windows.count
        ))
}

fn anomalies(results: &Results) -> Figure {
    let (axis, x) = times(&results.test, 0..results.test.len());
    let span = true_span(results, &axis, &x);
    let points = &results.result.anomalies.points;
    let anomalous = BTreeSet::from_iter(&points.indices);
    let values = results.test.values().iter().enumerate();
    let red = values.map(|(row, value)| anomalous.contains(&row).then_some(*value)).collect();
    let found = match (&points.first, &points.last) {
        (Some(first), Some(last)) => format!(
            "The test series over time, with {} points in red, between {} and {}.",
            points.count, first.timestamp, last.timestamp
        ),
        _ => "The test series over time; no point of it is anomalous.".into(),
    };
    let truly = span.as_ref().map_or("", |_| " The ground truth is shaded: 2014-04-11, from 09:00 to 18:00.");
    Figure::new("anomalies", "Anomalous points of the test series", axis, Axis::linear("value"), x)
        .line(results.test.name(), Role::Series, results.test.values().iter().copied())
        .curve(format!("{} anomalous points", points.count), Role::Anomaly, Mark::Line, red)
        .spans(span)
        .alt(found + truly)
}
