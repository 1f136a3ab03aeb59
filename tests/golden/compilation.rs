//! How a model is trained, as `compile_config` says it.

use glassbox_engine::losses::Loss;
use glassbox_engine::model::Network;
use glassbox_engine::optimizers::{Adam, Hyperparameter, LearningRate, Optimizer};
use glassbox_tests::compare::{Tolerance, assert_close};
use glassbox_tests::fixtures::{array, json, number, numbers, optimizer, string, text};
use serde_json::{Value as Json, json};

#[test]
fn compiled_models_are_trained_as_keras_trains_them() {
    let table = json("compilations.json");
    let [y_true, y_pred] = ["y_true", "y_pred"].map(|key| numbers(&table[key]));
    for case in array(&table["cases"]).iter().filter(|case| case["word"].is_null()) {
        let name = string(&case["name"]);
        let model = Network::from_json(&case["architecture"].to_string()).expect(name);
        assert!(model.is_compiled(), "{name}");
        let found = model.compilation(None, None).expect(name);
        // Keras keeps the learning rate in float32; ours is the shortest decimal of that.
        let mut expected = optimizer(&case["optimizer"]);
        let rate = found.optimizer.learning_rate();
        if let LearningRate::Constant(rate) = rate {
            assert_eq!(rate as f32, expected.learning_rate().at::<f32>(1), "{name}");
            assert!(rate.to_string().len() <= 7, "{name}: {rate}");
            expected.set("learning_rate", Hyperparameter::Number(rate)).expect("every optimiser has one");
        }
        assert_eq!(found.optimizer, expected, "{name}");
        let again = Network::from_json(&model.to_json()).expect(name).compilation(None, None).expect(name);
        assert_eq!(again.optimizer, expected, "{name}: written and read again");
        assert_eq!(Some(found.metrics), case["metrics"].as_bool(), "{name}");
        // Keras computes it in f32.
        let loss = found.loss.sample(&y_pred, &y_true);
        assert_close(name, &[loss], &[number(&case["value"])], Tolerance::new(0.0, 1e-6));
    }
}

/// Keras 3.15 writes no delta, and reads its default back; whoever writes one gets it.
#[test]
fn the_delta_of_a_huber_loss_is_read() {
    let table = json("compilations.json");
    let case = array(&table["cases"]).iter().find(|case| case["name"] == "huber_delta").expect("the case");
    let mut document = case["architecture"].clone();
    let read = |document: &Json| {
        let model = Network::from_json(&document.to_string()).expect("a model");
        let again = Network::from_json(&model.to_json()).expect("a model");
        let loss = model.compilation(None, None).map(|compilation| compilation.loss);
        if let Ok(loss) = loss {
            assert_eq!(again.compilation(None, None).expect("as read").loss, loss, "written and read again");
        }
        loss
    };
    assert_eq!(read(&document).expect("a loss"), Loss::huber(1.0).expect("a delta"));
    let config = "/compile_config/loss/config";
    document.pointer_mut(config).expect("its config")["delta"] = 0.25.into();
    assert_eq!(read(&document).expect("a loss"), Loss::huber(0.25).expect("a delta"));
    document.pointer_mut(config).expect("its config")["delta"] = 0.into();
    assert!(read(&document).expect_err("no delta").to_string().contains("delta is 0"));
    document.pointer_mut(config).expect("its config")["delta"] = "1".into();
    assert!(read(&document).expect_err("no number").to_string().contains("delta"));
}

/// A model that was compiled with what is not supported can be looked at and computed with; only who trains it hears
/// of it, and may say otherwise.
#[test]
fn what_a_model_was_compiled_with_and_is_not_supported_is_refused_by_name() {
    let table = json("compilations.json");
    let adam = Optimizer::Adam(Adam::new(0.25));
    for case in array(&table["cases"]) {
        let (name, Some(word)) = (string(&case["name"]), case["word"].as_str()) else { continue };
        let model = Network::from_json(&case["architecture"].to_string()).expect(name);
        let error = model.compilation(None, None).expect_err(name).to_string();
        assert!(error.contains(word) && error.contains("compile_config"), "{name}: {error}");

        let given = model.compilation(Some(adam.clone()), Some(Loss::MeanAbsoluteError)).expect(name);
        assert_eq!((given.optimizer, given.loss), (adam.clone(), Loss::MeanAbsoluteError), "{name}");
        let by_optimizer = model.compilation(Some(adam.clone()), None).is_ok();
        let by_loss = model.compilation(None, Some(Loss::default())).is_ok();
        assert!(by_optimizer != by_loss, "{name}: one of the two is the reason");
    }
}

#[test]
fn a_model_that_was_not_compiled_is_trained_with_adam_and_mse() {
    let model = Network::from_json(&text("architectures/tutorial.json")).expect("the tutorial's");
    assert!(!model.is_compiled());
    let compilation = model.compilation(None, None).expect("the defaults");
    assert_eq!(compilation.optimizer, Optimizer::default());
    assert_eq!(compilation.loss, Loss::MeanSquaredError);
}

/// An entry that nobody has heard of may change what is trained.
#[test]
fn an_unknown_entry_of_the_compilation_is_refused() {
    let table = json("compilations.json");
    for (place, word) in [("compile_config", "unknown 1"), ("compile_config/optimizer/config", "unknown 1")] {
        let mut document = array(&table["cases"])[0]["architecture"].clone();
        document.pointer_mut(&format!("/{place}")).expect(place)["unknown"] = 1.into();
        let model = Network::from_json(&document.to_string()).expect("a model");
        let error = model.compilation(None, None).expect_err(place).to_string();
        assert!(error.contains(word), "{error}");
    }
}

/// The arguments of a schedule are checked as those of an optimiser are.
#[test]
fn a_schedule_that_is_not_supported_is_refused_by_name() {
    let table = json("compilations.json");
    let case = array(&table["cases"]).iter().find(|case| case["name"] == "warmup").expect("the case");
    let schedule = "/compile_config/optimizer/config/learning_rate";
    let refused = |place: &str, value: Json, word: &str| {
        let mut document = case["architecture"].clone();
        let object = document.pointer_mut(&format!("{schedule}{place}")).expect("an object");
        let (key, value) = (value[0].clone(), value[1].clone());
        object[string(&key)] = value;
        let model = Network::from_json(&document.to_string()).expect("a model");
        let plan = model
            .compilation(None, None)
            .and_then(|compilation| model.plan(compilation.loss, compilation.optimizer, 0, 1).map(drop));
        let error = plan.expect_err(word).to_string();
        assert!(error.contains(word), "{word}: {error}");
    };
    refused("/config", json!(["unknown", 1]), "unknown 1");
    refused("/config", json!(["decay_steps", 1.5]), "decay_steps");
    refused("/config", json!(["decay_steps", 0]), "decay_steps is 0");
    refused("/config", json!(["alpha", -1]), "alpha is -1");
    refused("/config", json!(["warmup_target", "high"]), "warmup_target");
    refused("", json!(["registered_name", "mine>CosineDecay"]), "mine>CosineDecay");
}
