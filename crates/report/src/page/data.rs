//! What the page's script reads: every plot, and what every layer makes of the observed windows.

use glassbox_pipeline::inside::{Inside, Part};
use serde::Serialize;

use super::inside::shown_layers;
use crate::figure::Figure;
use crate::figures::mean_error;
use crate::folder::Folder;
use crate::raster;

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
    /// For each step of the output the steps of the input that have a say in it: the first, and one past the last.
    fields: Vec<[usize; 2]>,
}

#[derive(Serialize)]
struct LayerData<'a> {
    name: &'a str,
    steps: usize,
    channels: usize,
    /// What the byte 255 stands for.
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
    /// For each layer a byte for each value, `(steps, channels)` row by row, in base64.
    maps: Vec<String>,
}

/// As text within a `<script>`, which must not hold a `<`.
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
        let series = if window.id.series == Part::Train { &folder.train } else { &folder.test };
        let first = window.id.window;
        WindowData {
            series: if window.id.series == Part::Train { "train" } else { "test" },
            window: first,
            from: series.timestamp_text(first),
            to: series.timestamp_text(first + window.input.len() - 1),
            error: mean_error(window),
            input: &window.input,
            output: window.outputs.last().map_or(&[], Vec::as_slice),
            maps: layers
                .iter()
                .map(|(index, layer)| raster::bytes(&window.outputs[*index], layer.full))
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
