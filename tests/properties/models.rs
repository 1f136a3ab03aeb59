//! Facts on models as text, and on models that cannot be.

use std::sync::Arc;

use glassbox_engine::geometry::Padding;
use glassbox_engine::layers::{
    Concatenate, Conv1D, Conv1DTranspose, Cropping1D, Dense, Dropout, Flatten, Layer, ReLU, RepeatVector,
    Reshape, TimeDistributed, UpSampling1D, ZeroPadding1D,
};
use glassbox_engine::losses::Loss;
use glassbox_engine::model::{Network, Sequential};
use glassbox_engine::shape::Shape;
use glassbox_tests::cases::{BOUNDARIES, cases, models};
use proptest::prelude::*;

proptest! {
    #![proptest_config(cases(100))]

    /// Written and read again, a model is the same: it computes the same, to every bit of a dropout's rate.
    #[test]
    fn a_model_survives_its_json(mut case in models(BOUNDARIES), rate in 0.0f64..1.0) {
        case.layers.push(glassbox_tests::cases::LayerCase::Dropout(Dropout::new(rate)));
        let model = case.build();
        let again = Network::from_json(&model.to_json()).expect("what we write we read");
        prop_assert_eq!(again.to_json(), model.to_json());
        prop_assert_eq!(again.layout(), model.layout());
        prop_assert_eq!(again.summary().to_string(), model.summary().to_string());
        let program = |model: &Network| {
            let program = model.training_program(Loss::MeanSquaredError);
            (format!("{program:?}"), program.masks)
        };
        prop_assert_eq!(program(&again), program(&model));
    }

    #[test]
    fn text_that_is_no_model_is_an_error(text in "\\PC{0,40}", cut in 0usize..10_000) {
        prop_assert!(Network::from_json(&text).is_err());
        let tutorial = glassbox_tests::fixtures::text("architectures/tutorial.json");
        let part = &tutorial[..cut % (tutorial.trim_end().len())];
        prop_assert!(Network::from_json(part).is_err());
    }

    #[test]
    fn a_model_with_one_value_replaced_causes_no_panic(cut in 0usize..10_000, steps: usize) {
        let tutorial = glassbox_tests::fixtures::text("architectures/tutorial.json");
        let mut document: serde_json::Value = serde_json::from_str(&tutorial).expect("JSON");
        let mut places = vec![];
        leaves("", &document, &mut places);
        let place = &places[cut % places.len()];
        *document.pointer_mut(place).expect("a leaf") = serde_json::Value::from(steps as u64);
        if let Ok(model) = Network::from_json(&document.to_string()) {
            let _ = model.summary().to_string();
        }
    }
}

/// Numbers that no memory has room for are refused, before the arithmetic of lengths wraps.
#[test]
fn models_larger_than_any_memory_are_refused() {
    let (large, wide) = (usize::MAX / 2, u32::MAX as usize);
    let refused = |input: Shape, layer: Arc<dyn Layer>| {
        let mut model = Sequential::new(input);
        let error = model.add_named("layer", layer.clone()).expect_err("no memory").to_string();
        assert!(
            error.contains("larger than any memory") || error.contains("spans more"),
            "{layer:?}: {error}"
        );
    };
    refused(Shape::new(large, 3), Arc::new(ReLU));
    refused(Shape::new(wide, wide), Arc::new(Dropout::new(0.5)));
    refused(Shape::new(9, 1), Arc::new(Conv1D::new(large, 1)));
    refused(Shape::new(9, wide), Arc::new(Conv1D::new(wide, 3)));
    refused(Shape::new(9, 1), Arc::new(Conv1D::new(1, large).padding(Padding::Same)));
    refused(Shape::new(9, 1), Arc::new(Conv1D::new(1, 3).dilation_rate(large).padding(Padding::Causal)));
    refused(Shape::new(9, 1), Arc::new(Conv1DTranspose::new(3, 3).strides(large / 9)));
    refused(Shape::new(9, 1), Arc::new(Conv1DTranspose::new(1, large)));
    refused(Shape::new(9, 1), Arc::new(Dense::new(large)));
    refused(Shape::new(9, 1), Arc::new(TimeDistributed::new(Dense::new(large))));
    refused(Shape::units(9), Arc::new(RepeatVector::new(large)));
    refused(Shape::new(wide, 9), Arc::new(UpSampling1D::new(large)));
    refused(Shape::new(9, 3), Arc::new(ZeroPadding1D::new(large, large)));
    refused(Shape::new(wide, wide), Arc::new(Flatten));
    refused(Shape::new(wide, wide), Arc::new(Reshape::new(4)));
    let joined = Concatenate::new(1).output_shape(&[Shape::new(large, 1); 3]).expect_err("no memory");
    assert!(joined.to_string().contains("larger than any memory"), "{joined}");
}

/// A layer that does not fit its input says what it was given, and what it can take.
#[test]
fn what_does_not_fit_is_refused_by_name() {
    let refusal = |input: Shape, layer: Arc<dyn Layer>| {
        let mut model = Sequential::new(input);
        model.add_named("layer", layer).expect_err("it does not fit").to_string()
    };
    let (series, code) = (Shape::new(9, 2), Shape::units(18));
    let no_steps = "cannot take an input of shape (batch, 18): it has no steps, expected (batch, steps, channels); \
                    put a RepeatVector or a Reshape before it";
    let of_steps: [Arc<dyn Layer>; 6] = [
        Arc::new(Conv1D::new(1, 3)),
        Arc::new(Conv1DTranspose::new(1, 3)),
        Arc::new(UpSampling1D::new(2)),
        Arc::new(ZeroPadding1D::new(1, 1)),
        Arc::new(Cropping1D::new(1, 1)),
        Arc::new(TimeDistributed::new(Dense::new(1))),
    ];
    for layer in of_steps {
        let class = layer.class_name();
        assert_eq!(refusal(code, layer), format!("layer ({class}): {no_steps}"));
    }
    let of_code: Arc<dyn Layer> = Arc::new(RepeatVector::new(3));
    let expected = "layer (RepeatVector): cannot take an input of shape (batch, 9, 2): it repeats a signal without steps, \
                    (batch, units)";
    assert_eq!(refusal(series, of_code), expected);
    for (layer, expected) in [
        (Arc::new(RepeatVector::new(0)) as Arc<dyn Layer>, "n is 0, expected at least 1"),
        (Arc::new(UpSampling1D::new(0)), "size is 0, expected at least 1"),
        (Arc::new(Dense::new(0)), "units is 0, expected at least 1"),
        (Arc::new(TimeDistributed::new(Dense::new(0))), "units is 0, expected at least 1"),
        (
            Arc::new(Cropping1D::new(4, 5)),
            "cropping is [4, 5], expected fewer than the 9 steps of the input in total",
        ),
        (Arc::new(Reshape::new((4, 4))), "its 18 values do not fit target_shape [4,4]"),
        (
            Arc::new(Reshape { target_shape: vec![None, None] }),
            "target_shape is [-1,-1], expected [units] or",
        ),
        (
            Arc::new(Reshape { target_shape: vec![None, Some(0)] }),
            "its 18 values do not fit target_shape [-1,0]",
        ),
        (
            Arc::new(TimeDistributed::new(Flatten)),
            "layer is Flatten, expected a layer that treats each step by itself",
        ),
        (Arc::new(Concatenate::default()), "the number of inputs is 1, expected at least 2"),
    ] {
        let error = refusal(series, layer);
        assert!(error.contains(expected), "{error}");
    }
    let join = |axis: i64, inputs: &[Shape]| Concatenate::new(axis).output_shape(inputs);
    assert_eq!(join(-1, &[series, Shape::new(9, 3)]).unwrap(), Shape::new(9, 5));
    assert_eq!(join(2, &[series, Shape::new(9, 3)]).unwrap(), Shape::new(9, 5));
    assert_eq!(join(1, &[series, Shape::new(4, 2)]).unwrap(), Shape::new(13, 2));
    assert_eq!(join(-2, &[series, Shape::new(4, 2)]).unwrap(), Shape::new(13, 2));
    assert_eq!(join(1, &[code, code, code]).unwrap(), Shape::units(54));
    for (axis, inputs, expected) in [
        (0, [series, series], "axis is 0, expected 1 to 2, or -2 to -1, for inputs of rank 2"),
        (2, [code, code], "axis is 2, expected 1 to 1"),
        (-1, [series, Shape::new(8, 2)], "cannot be joined to (batch, 9, 2) along axis 2"),
        (1, [series, Shape::new(8, 1)], "cannot be joined to (batch, 9, 2) along axis 1"),
        (-1, [series, Shape::units(2)], "cannot be joined to (batch, 9, 2) along axis 2"),
    ] {
        let error = join(axis, &inputs).expect_err("it does not fit").to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// The pointers to all values that hold no others.
fn leaves(place: &str, value: &serde_json::Value, places: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(entries) => {
            entries.iter().for_each(|(key, value)| leaves(&format!("{place}/{key}"), value, places));
        }
        serde_json::Value::Array(values) => {
            values.iter().enumerate().for_each(|(i, value)| leaves(&format!("{place}/{i}"), value, places));
        }
        _ => places.push(place.to_string()),
    }
}
