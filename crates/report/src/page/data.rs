//! The data of the page's script: every plot, and the outputs of every layer for the observed windows.

use glassbox_pipeline::inside::Inside;
use glassbox_pipeline::synthetic::Subset;
use serde::Serialize;

use crate::Results;
use crate::figures::mean_error;
use glassbox_figures::Figure;
use glassbox_figures::heatmap;

#[derive(Serialize)]
struct Data<'a> {
    figures: Vec<&'a Figure>,
    inside: Option<InsideData<'a>>,
}

/// The windows, for the slider.
#[derive(Serialize)]
struct InsideData<'a> {
    threshold: f64,
    layers: Vec<LayerData<'a>>,
    windows: Vec<WindowData<'a>>,
    /// The receptive field of each step of the output: its first step of the input, and one past its last.
    fields: Vec<[usize; 2]>,
}

#[derive(Serialize)]
struct LayerData<'a> {
    name: &'a str,
    steps: usize,
    channels: usize,
    /// The value of the byte 127.
    full: f32,
}

#[derive(Serialize)]
struct WindowData<'a> {
    series: Subset,
    window: usize,
    from: String,
    to: String,
    error: f64,
    input: &'a [f32],
    output: &'a [f32],
    /// The output of each layer in base64: a signed byte for each value, `(steps, channels)` row by row.
    maps: Vec<String>,
}

/// The data as text for a `<script>`, which must not contain `<`.
pub(super) fn json(results: &Results, drawn: &[(&Figure, String)]) -> String {
    let data = Data {
        figures: drawn.iter().map(|(figure, _)| *figure).collect(),
        inside: results.inside.as_ref().map(|inside| of(results, inside)),
    };
    serde_json::to_string(&data).expect("numbers and texts").replace('<', "\\u003c")
}

fn of<'a>(results: &'a Results, inside: &'a Inside) -> InsideData<'a> {
    let shown = results.shown_layers(inside);
    let windows = inside.windows.iter().map(|window| {
        let series = results.series(window.id.series);
        let first = window.id.window;
        WindowData {
            series: window.id.series,
            window: first,
            from: series.timestamp_text(first),
            to: series.timestamp_text(first + window.input.len() - 1),
            error: mean_error(window),
            input: &window.input,
            output: window.outputs.last().map_or(&[], Vec::as_slice),
            maps: shown
                .iter()
                .map(|(index, _, full)| heatmap::bytes(&window.outputs[*index], *full))
                .collect(),
        }
    });
    let windows = windows.collect();
    let model = &results.detector.model;
    let program = model.inference_program();
    let field = |step| program.receptive_field(program.output, step);
    let fields = (0..model.output_shape().steps).map(|step| [field(step).start, field(step).end]).collect();
    let layers = shown.into_iter().map(|(_, layer, full)| {
        let (steps, channels) = (layer.output.steps, layer.output.channels);
        LayerData { name: &layer.name, steps, channels, full }
    });
    let layers = layers.collect();
    InsideData { threshold: results.result.threshold, layers, windows, fields }
}
