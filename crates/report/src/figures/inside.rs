//! The plots of the model's internals.

use glassbox_engine::losses::Loss;
use glassbox_pipeline::inside::{Inside, Norms, Observed};
use glassbox_pipeline::series::Series;
use glassbox_pipeline::synthetic::Subset;

use super::{times, true_span};
use crate::Results;
use glassbox_figures::{Axis, Figure, Role};

pub(super) fn figures(results: &Results, inside: &Inside) -> Vec<Figure> {
    let mut figures = vec![];
    figures.extend(worst_window(inside).map(|worst| window(&results.test, "", worst)));
    figures.extend(rows(results, inside));
    figures.extend(norms(&inside.norms));
    figures
}

/// The observed window of the test series with the largest reconstruction error.
pub(crate) fn worst_window(inside: &Inside) -> Option<&Observed> {
    let error = |window: &&Observed| mean_error(window);
    inside
        .windows
        .iter()
        .filter(|window| window.id.series == Subset::Test)
        .max_by(|a, b| error(a).total_cmp(&error(b)))
}

/// The mean absolute error of a window, as the pipeline computes it.
pub(crate) fn mean_error(window: &Observed) -> f64 {
    Loss::MeanAbsoluteError.sample(window.outputs.last().map_or(&[][..], Vec::as_slice), &window.input)
}

/// A window of `series` and its reconstruction; of several columns the one with the largest error, called `column`.
pub(super) fn window(series: &Series, column: &str, window: &Observed) -> Figure {
    let (first, channels) = (window.id.window, series.columns().len());
    let output = window.outputs.last().map_or(&[][..], Vec::as_slice);
    let channel = worst_channel(window, channels);
    let of =
        |values: &[f32]| -> Vec<f32> { values.iter().skip(channel).step_by(channels).copied().collect() };
    let (input, output) = (of(&window.input), of(output));
    let (axis, x) = times(series, first..first + input.len());
    let wide = |values: Vec<f32>| values.into_iter().map(f64::from);
    let error = input.iter().zip(&output).map(|(x, y)| (x - y).abs()).collect();
    let of_column = if column.is_empty() { String::new() } else { format!(": {column}") };
    let title = format!("The window with the largest error{of_column}");
    Figure::new("worst-window", title, axis, Axis::linear("std"), x)
        .line("window", Role::Series, wide(input))
        .line("its reconstruction", Role::Model, wide(output))
        .line("|difference|", Role::Anomaly, wide(error))
        .alt(format!(
            "Window {first} of the series{of_column}, its reconstruction, and the absolute difference, {:.3} on average.",
            mean_error(window)
        ))
}

/// The column of a window with the largest error.
pub(super) fn worst_channel(window: &Observed, channels: usize) -> usize {
    let output = window.outputs.last().map_or(&[][..], Vec::as_slice);
    let error = |channel: usize| {
        let pairs = window.input.iter().zip(output).skip(channel).step_by(channels);
        pairs.map(|(x, y)| f64::from((x - y).abs())).sum::<f64>()
    };
    (0..channels).max_by(|a, b| error(*a).total_cmp(&error(*b))).unwrap_or(0)
}

/// The reconstruction and its error for each row of the test series.
fn rows(results: &Results, inside: &Inside) -> Vec<Figure> {
    let (axis, x) = times(&results.test, 0..results.test.len());
    let span = true_span(results, &axis, &x);
    let (mean, std) = (results.result.training.mean, results.result.training.std);
    // Back in the unit of the file.
    let reconstruction = inside.rows.reconstruction.iter().map(|value| f64::from(*value) * std + mean);
    let worst = worst_row(&inside.rows.error);
    let unit = Axis::linear("|difference| (std)");
    vec![
        Figure::new("row-reconstruction", "The mean reconstruction of the test series", axis.clone(), Axis::linear("value"), x.clone())
            .line(results.test.name(), Role::Series, results.test.values().iter().copied())
            .line("mean reconstruction", Role::Model, reconstruction)
            .spans(span.clone())
            .alt("The test series and, for each row, the mean of its reconstructions over all windows that contain it."),
        Figure::new("row-error", "The mean error of each row", axis.clone(), unit, x)
            .line("mean |difference|", Role::Anomaly, inside.rows.error.iter().map(|error| f64::from(*error)))
            .spans(span)
            .alt(format!(
                "The mean absolute difference of each row of the test series; it is largest, {:.2}, at {}.",
                inside.rows.error[worst],
                results.test.timestamp_text(worst)
            )),
    ]
}

/// The row with the largest error.
pub(crate) fn worst_row(errors: &[f32]) -> usize {
    (0..errors.len()).max_by(|a, b| errors[*a].total_cmp(&errors[*b])).unwrap_or(0)
}

fn norms(norms: &Norms) -> Vec<Figure> {
    let epochs = |first: usize, count: usize| -> Vec<f64> {
        (0..count).map(|i| (norms.epochs_before + first + i) as f64).collect()
    };
    let n = norms.epochs();
    [
        ("norms-weights", "Norm of the weights", "|w|", epochs(0, n + 1), &norms.weights),
        (
            "norms-gradients",
            "Norm of the gradient of each epoch's last batch",
            "|dw|",
            epochs(1, n),
            &norms.gradients,
        ),
        (
            "norms-updates",
            "Norm of the change of the weights in each epoch",
            "|change of w|",
            epochs(1, n),
            &norms.updates,
        ),
    ]
    .into_iter()
    .map(|(id, title, unit, x, rows)| {
        let mut figure = Figure::new(id, title, Axis::linear("epoch"), Axis::log(unit), x);
        for (place, (layer, tensors)) in layers(&norms.tensors).into_iter().enumerate() {
            let norm =
                |row: &Vec<f32>| tensors.clone().map(|t| f64::from(row[t]).powi(2)).sum::<f64>().sqrt();
            figure = figure.line(layer, Role::Layer(place as u8), rows.iter().map(norm));
        }
        let alt = format!(
            "A line for each layer, over {n} epochs, on a logarithmic axis: {}.",
            title.to_lowercase()
        );
        figure.alt(alt)
    })
    .collect()
}

/// The layers of tensors named `{layer}.{tensor}`, each with the range of its tensors.
fn layers(tensors: &[String]) -> Vec<(String, std::ops::Range<usize>)> {
    let layer = |name: &String| name.rsplit_once('.').map_or(name.clone(), |(layer, _)| layer.to_string());
    let mut layers: Vec<(String, std::ops::Range<usize>)> = vec![];
    for (index, name) in tensors.iter().map(layer).enumerate() {
        match layers.last_mut() {
            Some((last, range)) if *last == name => range.end = index + 1,
            _ => layers.push((name, index..index + 1)),
        }
    }
    layers
}
