//! Distribution functions as pictures: the share of all runs with a value no larger, of glassbox and of Keras.

use glassbox_figures::{Axis, DrawError, Figure, Mark, Role, sheet};

use super::schema::values;
use super::{Comparison, KerasRuns, PublishedRun, Replication};

/// All quantities in one picture, as the text of an SVG file.
///
/// # Errors
/// If the plotting library fails.
pub(super) fn overview(replication: &Replication, keras: &KerasRuns) -> Result<String, DrawError> {
    let panels: Vec<Figure> = replication.comparison.iter().map(|c| figure(replication, keras, c)).collect();
    let rows: Vec<Vec<Figure>> = panels.chunks(3).map(<[Figure]>::to_vec).collect();
    sheet("distributions", (560, 440), &rows)
}

/// One quantity, as the text of an SVG file.
///
/// # Errors
/// If the plotting library fails.
pub(super) fn single(
    replication: &Replication,
    keras: &KerasRuns,
    comparison: &Comparison,
) -> Result<String, DrawError> {
    sheet(&comparison.quantity, (680, 480), &[vec![figure(replication, keras, comparison)]])
}

fn figure(replication: &Replication, keras: &KerasRuns, comparison: &Comparison) -> Figure {
    let Comparison { quantity, distance, p, .. } = comparison;
    let (ours, theirs) = (values(quantity, &replication.runs), values(quantity, &keras.measured));
    let (name, unit) = match quantity.as_str() {
        "windows" => ("anomalous windows", "windows"),
        "points" => ("anomalous points", "points"),
        "loss" => ("last loss", "mean squared error of normalised values"),
        "val_loss" => ("last val_loss", "mean squared error of normalised values"),
        "threshold" => ("threshold", "standard deviations of the training series"),
        other => (other, other),
    };
    let indicative =
        if replication.indicative { "\nglassbox ran on other data: only indicative" } else { "" };
    let title = format!("{name}: distance {distance:.3}, p = {p:.3}{indicative}");
    let x = places(ours.iter().chain(&theirs).copied());
    let distribution = |values: &[f64]| x.iter().map(|x| Some(share(values, *x))).collect();
    let (curve, reference) = (distribution(&ours), distribution(&theirs));
    let mut figure = Figure::new(quantity, title, Axis::linear(unit), Axis::linear("share of the runs"), x)
        .curve(format!("Keras, {} seeds", theirs.len()), Role::Model, Mark::Steps, reference)
        .curve(format!("glassbox, {} seeds", ours.len()), Role::Series, Mark::Steps, curve);
    // A published run is one value; the first one explains the lines.
    let published = keras.published.iter().filter_map(|run| of_published(quantity, run));
    for (index, x) in published.enumerate() {
        figure = figure.rule(true, x, if index == 0 { "published runs of Keras" } else { "" });
    }
    figure
}

/// All values, ascending, with a margin on both sides.
fn places(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut x: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    x.sort_by(f64::total_cmp);
    if let (Some(least), Some(most)) = (x.first().copied(), x.last().copied()) {
        let margin = if most > least { 0.05 * (most - least) } else { 0.5 };
        x.insert(0, least - margin);
        x.push(most + margin);
    }
    x
}

/// The share of `values` that are no larger than `x`: the empirical distribution function.
fn share(values: &[f64], x: f64) -> f64 {
    values.iter().filter(|value| **value <= x).count() as f64 / values.len() as f64
}

fn of_published(quantity: &str, run: &PublishedRun) -> Option<f64> {
    match quantity {
        "epochs" => run.epochs.map(|epochs| epochs as f64),
        "threshold" => Some(run.threshold),
        "windows" => Some(run.windows as f64),
        "points" => Some(run.points as f64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_function_rises_at_each_value() {
        let x = places([3.0, 1.0].into_iter());
        assert_eq!(x, [0.9, 1.0, 3.0, 3.1]);
        assert_eq!(x.iter().map(|x| share(&[3.0, 1.0], *x)).collect::<Vec<_>>(), [0.0, 0.5, 1.0, 1.0]);
        assert_eq!(places([2.0, 2.0].into_iter()), [1.5, 2.0, 2.0, 2.5]);
    }
}
