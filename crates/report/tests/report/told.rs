//! Data, models and trainings that are not the tutorial's, and the study: the text says what is true of them.

use glassbox_engine::losses::Loss;
use glassbox_engine::optimizers::{Adam, ExponentialDecay, LearningRate, Optimizer, RMSprop, SGD};
use glassbox_pipeline::nab::Source;
use glassbox_pipeline::tutorial::TutorialRun;

use crate::kit::{forge, recurrent, result, results_of_the_run, study_of, tutorial, write, write_results};

/// The page of a run.
fn page(run: &TutorialRun) -> String {
    let folder = tempfile::tempdir().unwrap();
    write_results(folder.path(), run);
    write(folder.path()).unwrap()
}

#[test]
fn of_other_data_the_page_says_what_the_data_says() {
    let page = |source: Source| {
        let mut run = tutorial().clone();
        run.data.source = source;
        page(&run)
    };
    // What is true of the tutorial's series alone.
    let known = [
        "two published files",
        "fourteen days",
        "a day stands out",
        "except for one:",
        "24 hours of 12 values",
        "The data is easy",
        "different every day",
        "Training series: normal",
        "2014-04-11, from 09:00 to 18:00",
    ];
    let own = page(Source::Directory("a/folder".into()));
    for text in known {
        assert!(!own.contains(text), "{text:?} is not known of this data");
    }
    for text in [
        "<code>a/folder</code>",
        "has 288 rows, one every 5 minutes",
        "values, 2 hours",
        "everything in it counts as normal",
    ] {
        assert!(own.contains(text), "no {text:?}");
    }
    let twin = page(Source::Twin { seed: 1 });
    for text in ["fourteen days", "a day stands out", "The data is easy", "Training series: normal"] {
        assert!(twin.contains(text), "no {text:?}");
    }
}

#[test]
fn of_another_model_the_page_says_what_is_true_of_it() {
    let of_the_tutorial = [
        "Seven layers, one after the other",
        "72 × 16 = 1152",
        "A <dfn>convolution</dfn> moves",
        "Kernels are initialised",
        "the units of the first layer respond",
        "a transposed convolution widens it",
        "The model does not know the time of day",
        "<h3>Dead units</h3>",
        "The bottleneck is wide enough",
        "glassbox replicate",
    ];
    let (conv, lstm) = (page(tutorial()), page(recurrent()));
    for text in of_the_tutorial {
        assert!(conv.contains(text), "no {text:?}");
        assert!(!lstm.contains(text), "{text:?} is not true of this model");
    }
    for text in [
        "another autoencoder in the place of the convolutional one",
        "depends on all 24 steps of the window",
        "a row for each of 3 inputs, a column for each of 12 outputs",
        "bidirectional",
    ] {
        assert!(lstm.contains(text), "no {text:?}");
    }
}

#[test]
fn of_another_training_the_page_says_how_it_was_trained() {
    let trained = |optimizer: Optimizer, loss: Loss| {
        let mut run = tutorial().clone();
        (run.options.train.optimizer, run.options.train.loss) = (optimizer, loss);
        page(&run)
    };
    // The page has formulas of Adam with Keras's defaults, and its learning rate; of others it has the arguments.
    let adam = "aria-label=\"Formula: a step of Adam\"";
    let box_of = |function: &str| format!("<code class=\"name\">{function}</code>");
    let plain = trained(Adam::new(0.25).into(), Loss::MeanSquaredError);
    for text in [
        adam,
        "<mn>0.25</mn>",
        &box_of("optimizers.Adam"),
        &box_of("loss=&#34;mse&#34;"),
        "squared difference",
    ] {
        assert!(plain.contains(text), "no {text:?}");
    }
    for (optimizer, loss, texts) in [
        (
            Adam { beta_1: 0.5, ..Adam::default() }.into(),
            Loss::MeanAbsoluteError,
            [
                "Adam (learning_rate 0.001, beta_1 0.5,",
                "optimizers/adam/",
                "absolute difference",
                "mean absolute error",
            ],
        ),
        (
            RMSprop { rho: 0.75, ..RMSprop::default() }.into(),
            Loss::huber(0.25).unwrap(),
            [
                "RMSprop (learning_rate 0.001, rho 0.75,",
                "optimizers/rmsprop/",
                "<mo>≤</mo><mn>0.25</mn>",
                "huber (delta 0.25)",
            ],
        ),
        (
            SGD::new(LearningRate::from(ExponentialDecay::new(0.1, 10, 0.5))).into(),
            Loss::LogCosh,
            [
                "SGD (learning_rate ExponentialDecay (",
                "optimizers/sgd/",
                "<mi>log</mi><mi>cosh</mi>",
                "log cosh",
            ],
        ),
    ] {
        let page = trained(optimizer, loss);
        for text in texts {
            assert!(page.contains(text), "no {text:?}");
        }
        for text in [adam, "squared difference", "mean squared error", &box_of("loss=&#34;mse&#34;")] {
            assert!(!page.contains(text), "{text:?} is not true of {}", texts[0]);
        }
        assert_eq!(page.contains(&box_of("optimizers.Adam")), texts[0].starts_with("Adam"), "{}", texts[0]);
    }
}

#[test]
fn a_study_of_the_same_series_is_the_conclusion() {
    let folder = results_of_the_run();
    let study = study_of(&result(folder.path()));
    forge(folder.path(), "study.json", study.to_string().as_bytes());
    let page = write(folder.path()).unwrap();
    for text in [
        "2 variants with the same 2 seeds",
        "title of worse",
        "0.775",
        "0.765 to 0.785",
        "<td class=\"hurts\">hurts</td>",
        "finding of tutorial",
        // As text, not as elements.
        "What is &#60;changed&#62;.",
        "One thing hurts &#38; nothing helps.",
    ] {
        assert!(page.contains(text), "{text}");
    }
    assert!(!page.contains("adds the results here"));

    forge(folder.path(), "study.json", b"{}");
    let error = write(folder.path()).unwrap_err().to_string();
    assert!(error.contains("study.json") && error.contains("missing field"), "{error}");
}
