//! What a profile says, on the reference backend: which parts, whose they are, what they cost, what they add up
//! to. Nothing here depends on how long anything takes.

#[path = "../../pipeline/tests/tiny/mod.rs"]
mod tiny;

use glassbox_engine::layers::{Conv1D, ReLU};
use glassbox_engine::model::{Network, Sequential};
use glassbox_engine::reference::Reference;
use glassbox_engine::shape::Shape;
use glassbox_lab::profile::{PassInfo, Profile, ProfileOptions, What, roofline_svg, run};

const OPTIONS: ProfileOptions = ProfileOptions { batch_size: 5, steps: 3, seed: 1 };

fn profile(model: &Network) -> Profile {
    run(&Reference, model, None, &OPTIONS).expect("a profile")
}

#[test]
fn every_part_has_its_layer_its_direction_and_its_cost() {
    let profile = profile(&tiny::model());
    let parts: Vec<_> = profile
        .parts
        .iter()
        .map(|part| (part.layer.as_deref(), part.pass, part.what, part.multiply_adds, part.bytes))
        .collect();
    // A window has (8, 1) values, the code (4, 2). Four outputs meet three taps each, and the last of these
    // twelve products is with padding: 11 for each of 1 x 2 pairs of channels, times five windows. Bytes: four a
    // value, a bit an element of the mask.
    let (forward, loss, backward) = (PassInfo::Forward, PassInfo::Loss, PassInfo::Backward);
    let (encoder, decoder) = (Some("conv1d"), Some("conv1d_transpose"));
    let sums = |values: u64| 5 * 4 * values;
    assert_eq!(
        parts[..9],
        [
            (Some("dropout"), forward, What::DropoutMask, 0, 5),
            (encoder, forward, What::Output, 110, sums(8 + 6 + 2 + 8) + 5),
            (decoder, forward, What::Output, 110, sums(8 + 6 + 1 + 8)),
            (None, loss, What::Loss, 0, sums(3 * 8)),
            (decoder, backward, What::KernelGradient, 110, sums(8 + 8 + 6)),
            (decoder, backward, What::BiasGradient, 0, sums(8 + 1)),
            (decoder, backward, What::InputGradient, 110, sums(8 + 6 + 8 + 8) + 5),
            (encoder, backward, What::KernelGradient, 110, sums(8 + 8 + 6)),
            (encoder, backward, What::BiasGradient, 0, sums(8 + 2)),
        ]
    );
    // What the reference has outside of the program: no packing, no threads, no chunks.
    let outside: Vec<_> = parts[9..].iter().map(|part| (part.0, part.1, part.2)).collect();
    let expected = [What::Clearing, What::Gather, What::Adam].map(|what| (None, PassInfo::Outside, what));
    assert_eq!(outside, expected);

    assert!(profile.parts[1].instruction.as_deref().expect("a line").contains("relu |> dropout"));
    assert_eq!(profile.step.flops, profile.parts.iter().map(|part| part.flops).sum::<u64>());
    let parameters = profile.model.parameters as u64;
    // Five contractions, the loss and two sums over steps, Adam.
    assert_eq!(profile.step.flops, 2 * 5 * 110 + 5 * (4 * 8 + 8 + 8) + 12 * parameters);
    assert_eq!(profile.config.data, "twin");
}

#[test]
fn the_sums_are_those_of_the_parts() {
    let profile = profile(&tiny::model());
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-12 * a.abs().max(b.abs());
    let seconds: f64 = profile.parts.iter().map(|part| part.seconds).sum();
    assert!(near(seconds, profile.step.parts_seconds), "{profile:?}");
    assert!(near(profile.parts.iter().map(|part| part.share).sum(), 1.0), "{profile:?}");
    assert!(profile.step.fastest <= profile.step.lower_quartile);
    assert!(profile.step.lower_quartile <= profile.step.seconds);
    assert!(profile.step.seconds <= profile.step.upper_quartile);
    // The reference cannot say what its machine can do.
    assert_eq!((profile.ceilings.as_ref(), profile.step.share_of_peak), (None, None));
    assert!(profile.parts.iter().all(|part| part.ceiling.is_none()));
}

#[test]
fn a_model_of_several_channels_that_is_no_autoencoder_gets_random_data() {
    let mut model = Sequential::new(Shape::new(6, 3));
    model.add(Conv1D::new(2, 3)).expect("a layer").add(ReLU).expect("a layer");
    let profile = profile(&model);
    assert_eq!(profile.config.data, "random");
    assert!(profile.parts.iter().any(|part| part.layer.as_deref() == Some("conv1d")));
}

#[test]
fn the_table_and_the_picture_name_every_layer() {
    let profile = profile(&tiny::model());
    let (table, svg) = (profile.to_string(), roofline_svg(&profile).expect("a picture"));
    for layer in ["conv1d", "conv1d_transpose"] {
        assert!(table.lines().any(|line| line.starts_with(&format!("{layer} "))), "{layer} in {table}");
        assert!(svg.contains(layer), "{layer} in {svg}");
    }
    for part in
        ["dropout mask", "kernel gradient", "bias gradient", "input gradient", "loss", "gather", "Adam"]
    {
        assert!(table.contains(part), "{part} in {table}");
    }
    for sum in ["= forward", "= backward", "= outside of the program", "= all parts", "The parts add up to "]
    {
        assert!(table.contains(sum), "{sum} in {table}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let refused = |options| run(&Reference, &tiny::model(), None, &options).expect_err("refused").to_string();
    assert_eq!(refused(ProfileOptions { steps: 0, ..OPTIONS }), "steps is 0, expected 1 to 65536");
    assert_eq!(refused(ProfileOptions { batch_size: 0, ..OPTIONS }), "batch_size is 0, expected 1 to 65536");
    let large = ProfileOptions { steps: usize::MAX, ..OPTIONS };
    assert!(refused(large).ends_with("expected 1 to 65536"));
    let weights = [f32::NAN; 15];
    let error = run(&Reference, &tiny::model(), Some(&weights), &OPTIONS).expect_err("not a number");
    assert!(error.to_string().contains("weight 0 of conv1d.kernel"), "{error}");
}
