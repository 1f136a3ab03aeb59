use glassbox_engine::losses::Loss;
use glassbox_engine::model::Network;
use glassbox_engine::program::Instruction;
use glassbox_engine::random::Draws;
use glassbox_formats::hash::Sha256;
use glassbox_tests::backends::Setup;
use glassbox_tests::cases::{BOUNDARIES, SMALL, models};
use glassbox_tests::conformance::{TrainedBatch, prediction_conforms};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value as Json, json};

use super::PATHS;
use crate::{Outcome, mutate, refused};

/// Values of a signal, and products of a pass, in a model that is computed here. Larger ones would take too long.
const MOST_VALUES: usize = 1 << 13;
const MOST_PRODUCTS: usize = 1 << 20;
const MOST_LAYERS: usize = 24;

pub(super) fn read(input: &[u8]) -> Result<Outcome, String> {
    let Ok(text) = std::str::from_utf8(input) else { return refused("not UTF-8") };
    let model = match Network::from_json(text) {
        Ok(model) => model,
        Err(error) => return refused(error),
    };
    if !is_small(&model) {
        return Ok(Outcome::Accepted);
    }
    let apart = with_activations_apart(&model);
    let digits: String = Sha256::of(input).to_string().chars().take(16).collect();
    let seed = u64::from_str_radix(&digits, 16).expect("hexadecimal digits");
    let loss = Loss::ALL[(seed / 8 % 4) as usize];
    let samples = [1, 2, 3, 9][(seed / 2 % 4) as usize];
    PATHS.with(|paths| {
        // A kernel of any reach takes room for what it reaches, and may be refused for that.
        let setup = Setup::new(&model);
        for path in &**paths {
            let plan = model.plan(loss, setup.optimizer.clone(), setup.seed, setup.batch_size);
            if let Err(error) = plan.and_then(|plan| path.session(plan)) {
                return refused(error);
            }
        }
        if compared_elsewhere(&model) {
            return Ok(Outcome::Accepted);
        }
        prediction_conforms(&model, &apart, seed, samples, paths)?;
        let batch = TrainedBatch { model: &model, apart: &apart, seed, loss, samples };
        batch.gradient_conforms(paths, |weight| weight)?;
        Ok(Outcome::Accepted)
    })
}

/// Returns whether the model has layers and takes milliseconds to compute.
fn is_small(model: &Network) -> bool {
    let layers = model.layers();
    let products = |layer: &glassbox_engine::model::NamedLayer| {
        let steps = layer.inputs.iter().chain([&layer.output]).map(|shape| shape.steps).max().unwrap_or(0);
        model.layout().range(layer.weights.clone()).len().saturating_mul(steps)
    };
    (1..=MOST_LAYERS).contains(&layers.len())
        && layers
            .iter()
            .all(|layer| layer.inputs.iter().chain([&layer.output]).all(|shape| shape.len() <= MOST_VALUES))
        && layers.iter().map(products).fold(0, usize::saturating_add) <= MOST_PRODUCTS
}

/// Returns true if the results are not compared here: the roundings of a recurrence grow with its steps and have no bound
/// that is of use (`tests/recurrent.rs` compares them), and a batch normalisation makes samples depend on each other
/// (`tests/batch_normalization.rs`).
fn compared_elsewhere(model: &Network) -> bool {
    let elsewhere = |instruction: &Instruction| {
        matches!(instruction, Instruction::Recur { .. } | Instruction::Standardize { .. })
    };
    model.inference_program().lines.iter().any(|line| elsewhere(&line.instruction))
}

/// The same model with each activation as a layer of its own.
fn with_activations_apart(model: &Network) -> Network {
    let mut document: Json = serde_json::from_str(&model.to_json()).expect("JSON of ours");
    let layers = |document: &Json| document["config"]["layers"].as_array().map_or(0, Vec::len);
    for index in (0..layers(&document)).rev() {
        let layer = &mut document["config"]["layers"][index];
        let activation = match layer["class_name"].as_str() {
            Some("TimeDistributed") => "/config/layer/config/activation",
            Some("Activation") => continue,
            _ => "/config/activation",
        };
        let Some(activation) = layer.pointer_mut(activation) else { continue };
        let activation = std::mem::replace(activation, json!("linear"));
        let (name, apart) = (layer["config"]["name"].clone(), json!(format!("apart {index}")));
        let config = json!({ "name": apart, "dtype": "float32", "activation": activation });
        let mut after = json!({ "class_name": "Activation", "config": config });
        // In a graph, what reads a call of the layer reads the call of its activation.
        if let Some(calls) = layer["inbound_nodes"].as_array().map(Vec::len) {
            redirect(&mut document, &name, &apart);
            let call = |call: usize| {
                let config = json!({ "dtype": "float32", "keras_history": [name, call, 0] });
                json!({ "args": [{ "class_name": "__keras_tensor__", "config": config }], "kwargs": {} })
            };
            after["name"] = apart;
            after["inbound_nodes"] = (0..calls).map(call).collect();
        }
        document["config"]["layers"].as_array_mut().expect("layers").insert(index + 1, after);
    }
    Network::from_json(&document.to_string()).expect("the same model, its activations apart")
}

/// Renames the source of signals, `[layer, call, output]`, in a graph.
fn redirect(value: &mut Json, from: &Json, to: &Json) {
    match value {
        Json::Array(signal) if signal.len() == 3 && signal[0] == *from && signal[1].is_u64() => {
            signal[0] = to.clone();
        }
        Json::Array(values) => values.iter_mut().for_each(|value| redirect(value, from, to)),
        Json::Object(entries) => entries.values_mut().for_each(|value| redirect(value, from, to)),
        _ => {}
    }
}

/// Half of the models are new ones, whose sizes lie on both sides of those at which kernels change their path.
pub(super) fn mutate(draws: &mut Draws, input: &[u8], other: &[u8]) -> Vec<u8> {
    if draws.below(2) == 0 {
        return mutate::json(draws, input, other);
    }
    let seed: Vec<u8> = (0..4).flat_map(|_| draws.next_u64().to_le_bytes()).collect();
    let mut runner =
        TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let sizes = if draws.below(2) == 0 { SMALL } else { BOUNDARIES };
    let case = models(sizes).new_tree(&mut runner).expect("a model").current();
    case.build().to_json().into_bytes()
}
