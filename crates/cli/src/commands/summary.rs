//! `glassbox summary`

use glassbox_engine::model::Sequential;
use glassbox_engine::optimizers::Optimizer;
use serde::Serialize;

use super::{TIME_STEPS, print, print_json};
use crate::args::SummaryArgs;
use crate::failure::Failure;

#[derive(Serialize)]
struct Model<'a> {
    name: &'a str,
    input_shape: [usize; 2],
    output_shape: [usize; 2],
    parameters: usize,
    layers: Vec<Layer<'a>>,
}

#[derive(Serialize)]
struct Layer<'a> {
    name: &'a str,
    class_name: &'a str,
    output_shape: [usize; 2],
    parameters: usize,
}

pub(crate) fn run(args: &SummaryArgs) -> Result<(), Failure> {
    let model = args.model.model(TIME_STEPS)?;
    if args.json {
        return print_json(&describe(&model));
    }
    print(&format!("{}\n", model.summary().columns(args.columns.into())))?;
    if args.program {
        let loss = model.compilation(Some(Optimizer::default()), None)?.loss;
        let program = model.training_program(loss).fused();
        let weights = model.layout().tensors().iter().enumerate();
        let names: String = weights.map(|(i, w)| format!("w{i} = {} {:?}\n", w.name, w.shape)).collect();
        print(&format!("\nA training step, for each sample:\n\n{names}\n{program}\n"))?;
    }
    Ok(())
}

fn describe(model: &Sequential) -> Model<'_> {
    let shape = |shape: glassbox_engine::shape::Shape| [shape.steps, shape.channels];
    let layers = model.layers().iter().map(|layer| Layer {
        name: &layer.name,
        class_name: layer.layer.class_name(),
        output_shape: shape(layer.output),
        parameters: model.layout().range(layer.weights.clone()).len(),
    });
    Model {
        name: model.name(),
        input_shape: shape(model.input_shape()),
        output_shape: shape(model.output_shape()),
        parameters: model.layout().len(),
        layers: layers.collect(),
    }
}
