//! Model files: what is saved is loaded to the bit, and what is damaged is refused by name.

mod tiny;

use std::collections::{BTreeMap, HashMap};

use glassbox_engine::model::Network;
use glassbox_formats::model_file::{ModelFileError, SavedModel};
use glassbox_formats::tensor_file::{TensorFile, TensorFileError};
use glassbox_pipeline::Error;
use glassbox_pipeline::detection::Threshold;
use glassbox_pipeline::detector::Detector;
use glassbox_pipeline::scaler::Scaler;
use proptest::prelude::*;
use safetensors::tensor::{Dtype, TensorView};

fn detector(weights: Vec<f32>, mean: f64, std: f64, threshold: f64) -> SavedModel {
    let (scaler, threshold) = (Scaler::new(mean, std).unwrap(), Threshold::new(threshold).unwrap());
    Detector {
        model: tiny::model().into(),
        weights,
        units: vec![],
        columns: vec![],
        scalers: vec![scaler],
        threshold,
        calibration: None,
        sampling_step: None,
    }
    .to_saved_model()
}

fn example() -> SavedModel {
    let model = tiny::model();
    let weights = model.layout().initial(1);
    detector(weights, 42.438_353_335_806_57, 28.077_122_281_262_52, 0.1)
}

/// The example's file after `change`.
fn changed(change: impl FnOnce(&mut TensorFile)) -> Result<SavedModel, ModelFileError> {
    let mut file = TensorFile::from_bytes(&example().to_bytes(), "m").unwrap();
    change(&mut file);
    SavedModel::from_bytes(&file.to_bytes(), "m.safetensors")
}

/// Why the example's file is refused after `change`, its checksum removed.
fn refusal(change: impl FnOnce(&mut TensorFile)) -> String {
    let saved = changed(|file| {
        file.metadata.remove("glassbox.sha256");
        change(file);
    });
    let detector =
        saved.map_err(Error::from).and_then(|saved| Detector::from_saved_model(saved, "m.safetensors"));
    detector.unwrap_err().to_string()
}

#[test]
fn a_file_has_the_tensors_and_texts_that_others_read() {
    let saved = example();
    let bytes = saved.to_bytes();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let texts = header.metadata().clone().unwrap();
    assert_eq!(Network::from_json(&texts["keras_json"]).unwrap().to_json(), saved.model.to_json());
    for (key, text) in [
        ("glassbox.version", "1"),
        ("glassbox.mean", "42.43835333580657"),
        ("glassbox.std", "28.07712228126252"),
        ("glassbox.time_steps", "8"),
        ("glassbox.threshold", "0.1"),
    ] {
        assert_eq!(texts[key], text);
    }
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let kernel = tensors.tensor("conv1d_transpose.kernel").unwrap();
    assert_eq!((kernel.dtype(), kernel.shape()), (Dtype::F32, [3, 1, 2].as_slice()));
    let bits: Vec<u8> = saved.weights[8..14].iter().flat_map(|w| w.to_le_bytes()).collect();
    assert_eq!(kernel.data(), bits);
    assert_eq!(tensors.len(), 4);
}

#[test]
fn saving_and_loading_through_files() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, json) = (folder.path().join("a/model.safetensors"), folder.path().join("model.json"));
    let saved = example();
    saved.save(&whole).unwrap();
    let loaded = SavedModel::load(&whole).unwrap();
    assert_eq!((&loaded.weights, &loaded.metadata), (&saved.weights, &saved.metadata));

    std::fs::write(&json, saved.model.to_json()).unwrap();
    let parts = SavedModel::load_parts(&json, Some(8), &whole).unwrap();
    assert_eq!(parts.weights, saved.weights);
    assert!(matches!(
        SavedModel::load_parts(&json, Some(12), &whole),
        Err(ModelFileError::Architecture { .. })
    ));
    // No architecture beside the weights, and none in them.
    let bare = TensorFile { metadata: Default::default(), ..TensorFile::read(&whole).unwrap() };
    let weights = folder.path().join("weights.safetensors");
    std::fs::write(&weights, bare.to_bytes()).unwrap();
    assert_eq!(SavedModel::load_parts(&json, None, &weights).unwrap().metadata, BTreeMap::new());
    let error = SavedModel::load(&weights).unwrap_err().to_string();
    assert!(error.contains("lacks `keras_json`") && error.contains("weights.safetensors"), "{error}");
    let error = SavedModel::load(&folder.path().join("none")).unwrap_err().to_string();
    assert!(error.starts_with("cannot read"), "{error}");
    assert!(SavedModel::load(folder.path()).is_err());

    // A model that has diverged is not saved over a good one.
    let diverged = SavedModel { weights: vec![f32::NAN; 15], ..saved.clone() };
    let error = diverged.save(&whole).unwrap_err().to_string();
    assert!(error.contains("conv1d.kernel"), "{error}");
    assert_eq!(std::fs::read(&whole).unwrap(), saved.to_bytes());
}

#[test]
fn what_does_not_belong_together_is_refused_by_name() {
    for (text, change) in [
        (
            "no tensor `conv1d.bias`, expected one of shape [2]",
            (|file| drop(file.tensors.remove("conv1d.bias"))) as fn(&mut TensorFile),
        ),
        ("unused tensors of the file: `conv1d/bias`", |file| {
            let bias = file.tensors.remove("conv1d.bias").unwrap();
            file.tensors.insert("conv1d/bias".into(), bias);
        }),
        ("no layer of the model has `more`", |file| {
            let bias = file.tensors["conv1d.bias"].clone();
            file.tensors.insert("more".into(), bias);
        }),
        ("`conv1d.kernel` has shape [1, 3, 2], expected [3, 1, 2]", |file| {
            file.tensors.get_mut("conv1d.kernel").unwrap().shape = vec![1, 3, 2];
        }),
        ("value 1 of tensor `conv1d.bias` is NaN", |file| {
            file.tensors.get_mut("conv1d.bias").unwrap().values[1] = f32::NAN;
        }),
        ("`glassbox.version` in its metadata is `2`", |file| {
            file.metadata.insert("glassbox.version".into(), "2".into());
        }),
        ("lacks `glassbox.std`", |file| drop(file.metadata.remove("glassbox.std"))),
        ("`glassbox.std` in its metadata is `-1`", |file| {
            file.metadata.insert("glassbox.std".into(), "-1".into());
        }),
        ("`glassbox.mean` in its metadata is `much`", |file| {
            file.metadata.insert("glassbox.mean".into(), "much".into());
        }),
        ("`glassbox.mean` in its metadata is `NaN`, expected a finite number", |file| {
            file.metadata.insert("glassbox.mean".into(), "NaN".into());
        }),
        ("`glassbox.threshold` in its metadata is `-1`", |file| {
            file.metadata.insert("glassbox.threshold".into(), "-1".into());
        }),
        ("`glassbox.threshold` in its metadata is `NaN`", |file| {
            file.metadata.insert("glassbox.threshold".into(), "NaN".into());
        }),
        ("`glassbox.time_steps` in its metadata is `9`, expected 8", |file| {
            file.metadata.insert("glassbox.time_steps".into(), "9".into());
        }),
        ("`keras_json` in its metadata: the architecture cannot be used", |file| {
            file.metadata.insert("keras_json".into(), "{}".into());
        }),
    ] {
        let error = refusal(change);
        assert!(error.contains(text) && error.contains("m.safetensors"), "{text}\n{error}");
    }
    let plain = changed(|file| file.metadata.retain(|key, _| key == "keras_json")).unwrap();
    assert!(plain.metadata.is_empty());
    let refused = Detector::from_saved_model(plain, "m.safetensors").unwrap_err();
    assert!(matches!(refused, Error::NotADetector { .. }), "{refused}");
}

#[test]
fn what_was_changed_is_told_by_the_checksum() {
    for change in [
        (|file| file.tensors.get_mut("conv1d.kernel").unwrap().values[2] += 1e-3) as fn(&mut TensorFile),
        |file| file.tensors.get_mut("conv1d_transpose.bias").unwrap().values[0] = -0.0,
        |file| drop(file.metadata.insert("glassbox.threshold".into(), "0.2".into())),
        |file| drop(file.metadata.insert("glassbox.mean".into(), "43.5".into())),
        |file| drop(file.metadata.insert("glassbox.sha256".into(), "none".into())),
    ] {
        let error = changed(change).unwrap_err();
        assert!(matches!(error, ModelFileError::Checksum { .. }), "{error}");
        assert!(error.to_string().contains("m.safetensors is damaged"), "{error}");
    }
    // Every bit of every weight.
    let bytes = example().to_bytes();
    for at in bytes.len() - 15 * size_of::<f32>()..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            assert!(SavedModel::from_bytes(&flipped, "m").is_err(), "bit {bit} of byte {at}");
        }
    }
    // Without it, and with entries of other tools, a file is read.
    let older = changed(|file| drop(file.metadata.remove("glassbox.sha256"))).unwrap();
    assert_eq!(older.metadata, example().metadata);
    let more = changed(|file| drop(file.metadata.insert("format".into(), "pt".into()))).unwrap();
    assert_eq!(more.weights, example().weights);
    // As written by another tool, in another order.
    let bytes = example().to_bytes();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let again = safetensors::serialize(tensors.tensors(), header.metadata().clone()).unwrap();
    assert_eq!(SavedModel::from_bytes(&again, "m").unwrap().weights, example().weights);
}

#[test]
fn float64_is_rounded_and_other_types_are_refused_by_name() {
    let model = tiny::model();
    let weights: Vec<f32> = model.layout().initial(3);
    let file = |kind: Dtype, bytes: &dyn Fn(f32) -> Vec<u8>| {
        let data: Vec<(String, Vec<usize>, Vec<u8>)> = model
            .layout()
            .tensors()
            .iter()
            .map(|t| {
                let data = weights[t.range.clone()].iter().flat_map(|w| bytes(*w)).collect();
                (t.name.clone(), t.shape.clone(), data)
            })
            .collect();
        let views = data
            .iter()
            .map(|(name, shape, data)| (name.clone(), TensorView::new(kind, shape.clone(), data).unwrap()));
        let texts = HashMap::from([("keras_json".to_owned(), model.to_json())]);
        safetensors::serialize(views, Some(texts)).unwrap()
    };
    let wide = file(Dtype::F64, &|w| f64::from(w).to_le_bytes().to_vec());
    assert_eq!(SavedModel::from_bytes(&wide, "m").unwrap().weights, weights);
    let beyond = file(Dtype::F64, &|_| 1e39_f64.to_le_bytes().to_vec());
    let error = SavedModel::from_bytes(&beyond, "m").unwrap_err().to_string();
    assert!(error.contains("is 1000000000000000000000000000000000000000"), "{error}");
    let half = file(Dtype::BF16, &|w| w.to_le_bytes()[2..].to_vec());
    let error = SavedModel::from_bytes(&half, "m").unwrap_err().to_string();
    assert!(error.contains("holds BF16, expected F32"), "{error}");
}

#[test]
fn every_truncation_is_refused() {
    let bytes = example().to_bytes();
    for end in 0..bytes.len() {
        let error = SavedModel::from_bytes(&bytes[..end], "m").unwrap_err();
        assert!(matches!(error, ModelFileError::Tensors(TensorFileError::Damaged { .. })), "{end}: {error}");
    }
    assert!(SavedModel::from_bytes(&[bytes, vec![0]].concat(), "m").is_err());
}

#[test]
fn lengths_that_overflow_are_refused() {
    // Each tensor fits the range of a length; their sum does not.
    let tensor = |i: u64| {
        let (start, end) = (i << 61, (i + 1) << 61);
        format!("\"t{i}\":{{\"dtype\":\"F32\",\"shape\":[{}],\"data_offsets\":[{start},{end}]}}", 1u64 << 59)
    };
    let tensors: Vec<String> = (0..7).map(tensor).collect();
    let last = format!(
        "\"u\":{{\"dtype\":\"U8\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
        (1u64 << 61) - 1,
        7u64 << 61,
        u64::MAX
    );
    let header = format!("{{{},{last}}}", tensors.join(","));
    let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
    assert!(SavedModel::from_bytes(&bytes, "m").is_err());
    assert!(SavedModel::from_bytes(&u64::MAX.to_le_bytes(), "m").is_err());
    let deep = "[".repeat(1_000_000);
    let bytes = [&(deep.len() as u64).to_le_bytes(), deep.as_bytes()].concat();
    assert!(SavedModel::from_bytes(&bytes, "m").is_err());
}

fn finite() -> impl Strategy<Value = f32> {
    any::<u32>().prop_map(f32::from_bits).prop_filter("finite", |value| value.is_finite())
}

proptest! {
    #[test]
    fn a_round_trip_is_exact_and_its_bytes_are_the_same_each_time(
        weights in prop::collection::vec(finite(), 15),
        mean in any::<f64>().prop_filter("finite", |x| x.is_finite()),
        std in any::<f64>().prop_filter("finite and above 0", |x| x.is_finite() && *x > 0.0),
        threshold in any::<f64>().prop_filter("finite", |x| x.is_finite()).prop_map(f64::abs),
    ) {
        let saved = detector(weights, mean, std, threshold);
        let bytes = saved.to_bytes();
        let loaded = SavedModel::from_bytes(&bytes, "m").unwrap();
        let bits = |weights: &[f32]| weights.iter().map(|w| w.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&saved.weights), bits(&loaded.weights));
        prop_assert_eq!(loaded.to_bytes(), bytes);
        let detector = Detector::from_saved_model(loaded, "m").unwrap();
        prop_assert_eq!(detector.scalers[0].mean().to_bits(), mean.to_bits());
        prop_assert_eq!(detector.scalers[0].std().to_bits(), std.to_bits());
        prop_assert_eq!(detector.threshold.value().to_bits(), threshold.to_bits());
    }

    #[test]
    fn arbitrary_bytes_are_no_model(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(SavedModel::from_bytes(&bytes, "m").is_err());
    }

    #[test]
    fn an_arbitrary_header_does_no_harm(header in ".{0,200}", rest in prop::collection::vec(any::<u8>(), 0..50)) {
        let length = (header.len() as u64).to_le_bytes();
        let bytes = [length.as_slice(), header.as_bytes(), &rest].concat();
        prop_assert!(SavedModel::from_bytes(&bytes, "m").is_err());
    }

    /// A flipped bit may give another good model (a weight's last bit): then it is one that can be saved.
    #[test]
    fn flipped_bits_do_no_harm(flips in prop::collection::vec(any::<prop::sample::Index>(), 1..4)) {
        let mut bytes = example().to_bytes();
        for flip in flips {
            let bit = flip.index(8 * bytes.len());
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        if let Ok(model) = SavedModel::from_bytes(&bytes, "m") {
            prop_assert!(model.weights.iter().all(|w| w.is_finite()));
        }
    }
}
