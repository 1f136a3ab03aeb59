//! Output lengths over a grid of arguments, and where the validation samples are cut off.

use glassbox_engine::geometry::Padding;
use glassbox_engine::layers::{Conv1D, Conv1DTranspose, Layer};
use glassbox_engine::shape::Shape;
use glassbox_engine::training::split_at;
use glassbox_tests::fixtures::{array, integer, json, number, one_layer, string};
use serde_json::{Value as Json, json};

/// A row of the table.
struct Row<'a> {
    padding: &'a str,
    kernel: usize,
    stride: usize,
    dilation: usize,
    lengths: &'a [Json],
    reason: Option<&'a str>,
}

impl<'a> Row<'a> {
    fn read(row: &'a Json) -> Self {
        Self {
            padding: string(&row[0]),
            kernel: integer(&row[1]),
            stride: integer(&row[2]),
            dilation: integer(&row[3]),
            lengths: array(&row[4]),
            reason: row[5].as_str(),
        }
    }

    fn padding(&self) -> Padding {
        [Padding::Valid, Padding::Same, Padding::Causal]
            .into_iter()
            .find(|padding| padding.name() == self.padding)
            .expect("a padding that Keras has")
    }

    /// The layer's config, less what has a default in Keras and no say in lengths.
    fn config(&self) -> Json {
        json!({
            "name": "layer", "filters": 3, "kernel_size": [self.kernel], "strides": [self.stride],
            "padding": self.padding, "dilation_rate": [self.dilation], "activation": "linear", "use_bias": true,
        })
    }

    fn describe(&self) -> String {
        format!(
            "{}, kernel {}, stride {}, dilation {}",
            self.padding, self.kernel, self.stride, self.dilation
        )
    }
}

/// Each length as the engine has it, built in code and read from JSON. Gives the numbers of lengths and of
/// refusals.
fn check(class: &str, build: impl Fn(&Row<'_>) -> Option<Box<dyn Layer>>) -> (usize, usize) {
    let table = json("geometry.json");
    let inputs = array(&table["input_lengths"]);
    let (mut accepted, mut refused) = (0, 0);
    for row in array(&table[class]) {
        let row = Row::read(row);
        for (input, expected) in inputs.iter().zip(row.lengths) {
            let input = Shape::new(integer(input), 2);
            let what = format!("{class}, {}, {} steps", row.describe(), input.steps);
            let read = one_layer(class, &row.config(), input);
            let read = read.map(|model| model.output_shape());
            // What cannot even be said in code is refused only when read.
            let built = build(&row).map(|layer| layer.output_shape(&[input]));
            match expected {
                Json::Null => {
                    let error = read.expect_err(&what).to_string();
                    let word = match row.reason.expect("a reason where there is a null") {
                        "stride_with_dilation" | "dilated_transpose" => "dilation_rate",
                        "not_positive" => "spans more than",
                        other => panic!("{other} is no reason that these tests know"),
                    };
                    assert!(error.contains(word), "{what}: {error}");
                    if let Some(built) = built {
                        built.expect_err(&what);
                    }
                    refused += 1;
                }
                length => {
                    let expected = Shape::new(integer(length), 3);
                    assert_eq!(read.unwrap_or_else(|error| panic!("{what}: {error}")), expected, "{what}");
                    let built = built.expect("what Keras accepts can be said in code");
                    assert_eq!(built.unwrap_or_else(|error| panic!("{what}: {error}")), expected, "{what}");
                    accepted += 1;
                }
            }
        }
    }
    (accepted, refused)
}

#[test]
fn conv1d_is_as_long_as_keras_says() {
    let counts = check("Conv1D", |row| {
        let layer = Conv1D::new(3, row.kernel).strides(row.stride).dilation_rate(row.dilation);
        Some(Box::new(layer.padding(row.padding())))
    });
    assert_eq!(counts.0 + counts.1, 3 * 7 * 4 * 3 * 12, "{counts:?}");
}

#[test]
fn conv1d_transpose_is_as_long_as_keras_says() {
    let counts = check("Conv1DTranspose", |row| {
        let layer = Conv1DTranspose::new(3, row.kernel).strides(row.stride).padding(row.padding());
        (row.dilation == 1).then(|| Box::new(layer) as Box<dyn Layer>)
    });
    assert_eq!(counts.0 + counts.1, 2 * 7 * 4 * 3 * 12, "{counts:?}");
}

/// What Keras declares for a dilated Conv1DTranspose and its CPU then refuses, the engine refuses at once.
#[test]
fn what_keras_only_declares_is_refused() {
    let table = json("geometry.json");
    let rows = array(&table["declared_only"]);
    assert!(!rows.is_empty());
    for row in rows.iter().map(Row::read) {
        let error = one_layer("Conv1DTranspose", &row.config(), Shape::new(12, 2))
            .expect_err(&row.describe())
            .to_string();
        assert!(error.contains("dilation_rate"), "{error}");
    }
}

#[test]
fn the_validation_samples_are_cut_where_keras_cuts() {
    let table = json("validation_split.json");
    for row in array(&table["rows"]) {
        let (samples, split) = (integer(&row[0]), number(&row[1]));
        match &row[2] {
            Json::Null => {
                let error = split_at(samples, split).expect_err("an empty part").to_string();
                assert!(error.contains("validation_split"), "{error}");
            }
            training => assert_eq!(split_at(samples, split).ok(), Some(integer(training)), "{row}"),
        }
    }
}
