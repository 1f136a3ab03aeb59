//! The internals of a model: heat maps of windows, receptive fields, kernels, units.

use std::borrow::Cow;
use std::ops::Range;

use glassbox_engine::model::{Network, WeightInfo};
use glassbox_engine::recurrent::Kind;
use glassbox_engine::shape::Shape;
use glassbox_figures::heatmap::Grid;
use glassbox_pipeline::detector::Detector;
use glassbox_pipeline::inside::{Inside, Observed, Recurrence};
use jiff::SignedDuration;

use super::span_text;

/// A heat map that each window has.
pub(super) struct Map {
    /// The layer, and what of it is shown if that is not its output: `lstm, input gate`.
    pub(super) name: String,
    pub(super) shape: Shape,
    /// The largest absolute value over all windows, which has the strongest colour.
    pub(super) full: f32,
    shows: Shows,
}

enum Shows {
    /// The output of the layer of this index.
    Output(usize),
    /// Some channels of the trace of the recurrence of index `index`.
    Trace { index: usize, recurrence: Recurrence, channels: Range<usize> },
}

impl Map {
    fn new(name: String, shape: Shape, shows: Shows, windows: &[Observed]) -> Self {
        let map = Self { name, shape, full: 0.0, shows };
        let largest =
            |full: f32, window: &Observed| map.values(window).iter().fold(full, |full, v| full.max(v.abs()));
        Self { full: windows.iter().fold(0.0, largest), ..map }
    }

    /// The values for a window, row by row, in the order of the input's steps.
    pub(super) fn values<'a>(&self, window: &'a Observed) -> Cow<'a, [f32]> {
        match &self.shows {
            Shows::Output(layer) => Cow::Borrowed(&window.outputs[*layer]),
            Shows::Trace { index, recurrence, channels } => {
                let steps = window.traces[*index].chunks_exact(recurrence.trace.channels);
                let mut steps: Vec<&[f32]> = steps.map(|step| &step[channels.clone()]).collect();
                if recurrence.backwards {
                    steps.reverse();
                }
                Cow::Owned(steps.concat())
            }
        }
    }

    /// The picture for a window.
    pub(super) fn picture(&self, window: &Observed) -> String {
        Grid::signal(&self.values(window), self.shape.channels).to_address(self.full)
    }
}

/// The kernel of a layer, as a heat map.
pub(super) struct Kernel<'a> {
    pub(super) layer: &'a str,
    pub(super) shape: String,
    pub(super) arrangement: String,
    pub(super) grid: Grid,
}

/// A window that is shown without JavaScript.
pub(super) struct Still<'a> {
    pub(super) title: &'static str,
    /// The plot of its input and reconstruction, if no other section has it.
    pub(super) plot: Option<&'static str>,
    pub(super) window: &'a Observed,
}

/// A model, and windows that went through it.
pub(super) struct Look<'a> {
    pub(super) model: &'a Network,
    weights: &'a [f32],
    pub(super) windows: &'a [Observed],
    pub(super) maps: Vec<Map>,
    pub(super) stills: Vec<Still<'a>>,
    /// The time from a row to the next.
    step: Option<SignedDuration>,
}

impl<'a> Look<'a> {
    pub(super) fn new(
        detector: &'a Detector,
        windows: &'a [Observed],
        stills: Vec<Still<'a>>,
        step: Option<SignedDuration>,
    ) -> Self {
        let Detector { model, weights, .. } = detector;
        Self { model, weights, windows, maps: maps(model, windows), stills, step }
    }

    /// Steps of a window.
    pub(super) fn steps(&self) -> usize {
        self.model.output_shape().steps
    }

    /// The index of the window that is shown first: the first of the stills.
    pub(super) fn chosen(&self) -> usize {
        let still = self.stills.first();
        still
            .and_then(|still| self.windows.iter().position(|window| window.id == still.window.id))
            .unwrap_or(0)
    }

    /// Returns if the model has LSTM cells, and if it has GRU cells.
    pub(super) fn cells(&self) -> (bool, bool) {
        let recurrences = Recurrence::all(self.model);
        let is_lstm = |recurrence: &Recurrence| recurrence.cell.kind == Kind::Lstm;
        (recurrences.iter().any(is_lstm), !recurrences.iter().all(is_lstm))
    }

    pub(super) fn kernels(&self) -> Vec<Kernel<'_>> {
        let (model, weights) = (self.model, self.weights);
        let is_kernel = |tensor: &&WeightInfo| match tensor.shape.len() {
            2 => tensor.name.ends_with("kernel"),
            rank => rank == 3,
        };
        let kernels = model.layout().tensors().iter().filter(is_kernel);
        kernels
            .map(|tensor| {
                let kernel = &weights[tensor.range.clone()];
                let layer = tensor.name.trim_end_matches(".kernel");
                if let [inputs, outputs] = tensor.shape[..] {
                    return Kernel {
                        layer,
                        shape: format!("{inputs} in, {outputs} out"),
                        arrangement: format!("a row for each of {inputs} inputs, a column for each of {outputs} outputs"),
                        grid: Grid {
                            width: outputs,
                            height: inputs,
                            values: kernel.iter().copied().map(Some).collect(),
                        },
                    };
                }
                // Keras's shape of a transposed convolution is (taps, out, in).
                let transposed =
                    model.layers().iter().any(|l| l.name == layer && l.layer.class_name() == "Conv1DTranspose");
                let [taps, a, b] = [tensor.shape[0], tensor.shape[1], tensor.shape[2]];
                let (inputs, outputs) = if transposed { (b, a) } else { (a, b) };
                let value = |tap: usize, input: usize, output: usize| {
                    let (row, column) = if transposed { (output, input) } else { (input, output) };
                    kernel[(tap * a + row) * b + column]
                };
                // With a single channel a block would be a thin strip, so filters become columns.
                let (grid, arrangement) = if inputs == 1 || outputs == 1 {
                    let width = inputs * outputs;
                    let columns = if inputs == 1 { "filters" } else { "input channels" };
                    let place = |tap| (0..width).map(move |column| (tap, column / outputs, column % outputs));
                    let values = (0..taps).flat_map(place).map(|(tap, i, o)| Some(value(tap, i, o))).collect();
                    (
                        Grid { width, height: taps, values },
                        format!("a column for each of {width} {columns}, a row for each tap"),
                    )
                } else {
                    let text = format!(
                        "a block for each of {outputs} filters, with a column for each of {taps} taps and a row for each of \
                         {inputs} input channels"
                    );
                    (Grid::blocks(taps, inputs, outputs, value), text)
                };
                Kernel { layer, shape: format!("{taps} taps, {inputs} in, {outputs} out"), arrangement, grid }
            })
            .collect()
    }

    /// The receptive field of a step of a layer's output.
    pub(super) fn field(&self, layer: usize, step: usize) -> Range<usize> {
        let program = self.model.inference_program();
        let value = program.layer_outputs[layer].expect("inference keeps the output of every layer");
        program.receptive_field(value, step)
    }

    /// The receptive field of a step of the model's output.
    pub(super) fn output_field(&self, step: usize) -> Range<usize> {
        self.field(self.model.layers().len() - 1, step)
    }

    /// The time of so many rows.
    pub(super) fn time(&self, rows: usize) -> String {
        let time = self.step.zip(i32::try_from(rows).ok()).and_then(|(step, rows)| step.checked_mul(rows));
        time.map_or("–".into(), span_text)
    }
}

/// The heat maps of a window: the output of each layer and, if it is recurrent, its gates and states. The output of
/// the last layer, which is the reconstruction, and of dropout, which does nothing in inference, are left out.
fn maps(model: &Network, windows: &[Observed]) -> Vec<Map> {
    let layers = model.layers();
    let recurrences = Recurrence::all(model);
    let mut maps = vec![];
    for (index, layer) in layers.iter().enumerate() {
        if index + 1 < layers.len() && layer.layer.class_name() != "Dropout" {
            maps.push(Map::new(layer.name.clone(), layer.output, Shows::Output(index), windows));
        }
        for (place, recurrence) in recurrences.iter().enumerate().filter(|(_, r)| r.layer == index) {
            let shape = Shape::new(recurrence.trace.steps, recurrence.cell.units);
            let is_output = recurrence.name == layer.name && layer.output == shape;
            for (part, channels) in recurrence.parts() {
                if is_output && channels == recurrence.cell.hidden() {
                    continue;
                }
                let backwards = if recurrence.backwards { " (backwards)" } else { "" };
                let name = format!("{}{backwards}, {part}", recurrence.name);
                let shows = Shows::Trace { index: place, recurrence: recurrence.clone(), channels };
                maps.push(Map::new(name, shape, shows, windows));
            }
        }
    }
    maps
}

/// The numbers of dead units and of all units with a ReLU.
pub(super) fn units(inside: &Inside) -> (usize, usize) {
    let activities = || inside.activity.iter().map(|(_, activity)| activity);
    (activities().map(|a| a.dead().len()).sum(), activities().map(|a| a.active.len()).sum())
}

/// The norm of all tensors together, from their norms.
pub(super) fn norm(tensors: &[f32]) -> f64 {
    tensors.iter().map(|norm| f64::from(*norm).powi(2)).sum::<f64>().sqrt()
}
