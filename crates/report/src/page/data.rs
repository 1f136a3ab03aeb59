//! The data of the page's script: every plot, and the outputs of every layer for the observed windows.

use glassbox_pipeline::inside::Inside;
use glassbox_pipeline::synthetic::Subset;
use serde::Serialize;

use super::inside::shown_layers;
use crate::figures::mean_error;
use crate::folder::Folder;
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
    /// The value of the byte 255.
    full: f32,
}

#[derive(Serialize)]
struct WindowData<'a> {
    series: &'static str,
    window: usize,
    from: String,
    to: String,
    error: f64,
    input: &'a [f32],
    output: &'a [f32],
    /// The output of each layer in base64: a byte for each value, `(steps, channels)` row by row.
    maps: Vec<String>,
}

/// The data as text for a `<script>`, which must not contain `<`.
pub(super) fn json(folder: &Folder, drawn: &[(&Figure, String)]) -> serde_json::Result<String> {
    let data = Data {
        figures: drawn.iter().map(|(figure, _)| *figure).collect(),
        inside: folder.inside.as_ref().map(|inside| of(folder, inside)),
    };
    Ok(serde_json::to_string(&data)?.replace('<', "\\u003c"))
}

fn of<'a>(folder: &'a Folder, inside: &'a Inside) -> InsideData<'a> {
    let model = &folder.detector.model;
    let layers: Vec<(usize, LayerData<'_>)> = shown_layers(folder, inside)
        .into_iter()
        .map(|(index, full)| {
            let layer = &model.layers()[index];
            let (steps, channels) = (layer.output.steps, layer.output.channels);
            (index, LayerData { name: &layer.name, steps, channels, full })
        })
        .collect();
    let windows = inside.windows.iter().map(|window| {
        let series = if window.id.series == Subset::Train { &folder.train } else { &folder.test };
        let first = window.id.window;
        WindowData {
            series: if window.id.series == Subset::Train { "train" } else { "test" },
            window: first,
            from: series.timestamp_text(first),
            to: series.timestamp_text(first + window.input.len() - 1),
            error: mean_error(window),
            input: &window.input,
            output: window.outputs.last().map_or(&[], Vec::as_slice),
            maps: layers
                .iter()
                .map(|(index, layer)| heatmap::bytes(&window.outputs[*index], layer.full))
                .collect(),
        }
    });
    let windows = windows.collect();
    let program = model.inference_program();
    let field = |step| program.receptive_field(program.output, step);
    let fields = (0..model.output_shape().steps).map(|step| [field(step).start, field(step).end]).collect();
    let layers = layers.into_iter().map(|(_, layer)| layer).collect();
    InsideData { threshold: folder.result.threshold, layers, windows, fields }
}
