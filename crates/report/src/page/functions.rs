//! Every Keras function of the tutorial: what it does, where it is explained, and what does it here.

/// A function, class or argument of Keras.
#[derive(Debug, Clone, Copy)]
pub(super) struct Function {
    /// What the page's templates call it.
    pub(super) key: &'static str,
    /// As the tutorial writes it.
    pub(super) name: &'static str,
    /// Its page in Keras's documentation.
    pub(super) url: &'static str,
    /// What it does.
    pub(super) what: &'static str,
    /// What does it here.
    pub(super) here: &'static str,
    /// The file of that, from the root of the sources.
    pub(super) file: &'static str,
}

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        key: "sequential",
        name: "keras.Sequential",
        url: "https://keras.io/api/models/sequential/",
        what: "A model that is a plain row of layers: each reads what the one before it has made. It is given the \
               layers in order and checks that each can read the shape that reaches it.",
        here: "glassbox_engine::model::Sequential",
        file: "crates/engine/src/model/sequential.rs",
    },
    Function {
        key: "input",
        name: "layers.Input",
        url: "https://keras.io/api/layers/core_layers/input/",
        what: "Says what shape a sample has, here (288, 1): 288 steps of one channel. The batch is no part of it. \
               With it known, every layer's weights can be made at once.",
        here: "glassbox_engine::shape::Shape",
        file: "crates/engine/src/shape.rs",
    },
    Function {
        key: "conv1d",
        name: "layers.Conv1D",
        url: "https://keras.io/api/layers/convolution_layers/convolution1d/",
        what: "Slides a row of small filters along a series. filters=32 is how many; kernel_size=7 how many steps \
               each sees at once; strides=2 how far it moves on, which halves the length; padding=\"same\" adds \
               zeros at the ends so that the length is just the input's divided by the stride; \
               activation=\"relu\" cuts off what is below zero.",
        here: "glassbox_engine::layers::Conv1D",
        file: "crates/engine/src/layers/conv1d.rs",
    },
    Function {
        key: "conv1d_transpose",
        name: "layers.Conv1DTranspose",
        url: "https://keras.io/api/layers/convolution_layers/convolution1d_transpose/",
        what: "The same linear map run the other way: each input step is spread over the steps that a Conv1D would \
               have read for it. With strides=2 it doubles the length. It is no inverse; it has the shape of one, \
               and learns its own kernel.",
        here: "glassbox_engine::layers::Conv1DTranspose",
        file: "crates/engine/src/layers/conv1d_transpose.rs",
    },
    Function {
        key: "dropout",
        name: "layers.Dropout",
        url: "https://keras.io/api/layers/regularization_layers/dropout/",
        what: "While training, sets each value to zero with probability rate=0.2 and divides the others by 0.8, so \
               that the mean stays. When predicting it does nothing. No single unit can be relied upon, so what is \
               learned is spread over several.",
        here: "glassbox_engine::layers::Dropout",
        file: "crates/engine/src/layers/dropout.rs",
    },
    Function {
        key: "relu",
        name: "activation=\"relu\"",
        url: "https://keras.io/api/layers/activations/",
        what: "Keeps what is positive and makes zero of the rest. Without such a bend between them, two linear \
               layers would be no more than one.",
        here: "glassbox_engine::layers::Activation",
        file: "crates/engine/src/layers/mod.rs",
    },
    Function {
        key: "summary",
        name: "model.summary()",
        url: "https://keras.io/api/models/model/",
        what: "Prints a table of the layers, the shapes they make and their numbers of parameters.",
        here: "glassbox_engine::model::Summary",
        file: "crates/engine/src/model/summary.rs",
    },
    Function {
        key: "compile",
        name: "model.compile()",
        url: "https://keras.io/api/models/model_training_apis/",
        what: "Joins the model with what it is trained by: an optimizer and a loss.",
        here: "glassbox_engine::backend::Plan",
        file: "crates/engine/src/backend.rs",
    },
    Function {
        key: "adam",
        name: "optimizers.Adam",
        url: "https://keras.io/api/optimizers/adam/",
        what: "Gradient descent with a step size of its own for every parameter: the running mean of its gradient, \
               divided by the root of the running mean of the squares. learning_rate=0.001 scales all of them.",
        here: "glassbox_engine::optimizers::Adam",
        file: "crates/engine/src/optimizers/adam.rs",
    },
    Function {
        key: "mse",
        name: "loss=\"mse\"",
        url: "https://keras.io/api/losses/regression_losses/",
        what: "The mean squared difference between what the model gives and what it should give. Squares make one \
               large miss cost more than many small ones.",
        here: "glassbox_engine::losses::Loss",
        file: "crates/engine/src/losses.rs",
    },
    Function {
        key: "glorot",
        name: "GlorotUniform",
        url: "https://keras.io/api/layers/initializers/",
        what: "What kernels start from unless told otherwise: uniform noise, scaled so that signals neither die out \
               nor grow from layer to layer. Biases start at zero.",
        here: "glassbox_engine::initializers::Initializer",
        file: "crates/engine/src/initializers.rs",
    },
    Function {
        key: "fit",
        name: "model.fit()",
        url: "https://keras.io/api/models/model_training_apis/",
        what: "Trains. epochs=50 is how often it goes through the data at most, batch_size=128 how many windows \
               decide one step, validation_split=0.1 the part at the end that is held back to be judged on. The \
               rest is put into a new order for every epoch. It returns the history of the losses.",
        here: "glassbox_engine::training::fit",
        file: "crates/engine/src/training/fit.rs",
    },
    Function {
        key: "early_stopping",
        name: "callbacks.EarlyStopping",
        url: "https://keras.io/api/callbacks/early_stopping/",
        what: "Ends training once monitor=\"val_loss\" has not fallen below its best for patience=5 epochs in a \
               row. Unless restore_best_weights=True is asked for, and the tutorial does not, the weights of the \
               last epoch stay, not those of the best.",
        here: "glassbox_engine::training::EarlyStopping",
        file: "crates/engine/src/training/early_stopping.rs",
    },
    Function {
        key: "history",
        name: "history.history",
        url: "https://keras.io/api/models/model_training_apis/",
        what: "The losses of every epoch. \"loss\" is the mean over the epoch's batches, each taken before its \
               update and with dropout; \"val_loss\" is taken after the epoch and without.",
        here: "glassbox_engine::training::History",
        file: "crates/engine/src/training/history.rs",
    },
    Function {
        key: "predict",
        name: "model.predict()",
        url: "https://keras.io/api/models/model_training_apis/",
        what: "Runs the model forward on samples, in batches of 32, without dropout.",
        here: "glassbox_pipeline::reconstruction::predict",
        file: "crates/pipeline/src/reconstruction.rs",
    },
    Function {
        key: "functional",
        name: "keras.Model",
        url: "https://keras.io/api/models/model/",
        what: "What all models are. Built from an input and an output (the functional way) or extended as a class \
               (subclassing), it allows what a row of layers cannot say.",
        here: "glassbox_engine::model::Sequential",
        file: "crates/engine/src/model/sequential.rs",
    },
];

/// The function of this key.
///
/// # Panics
/// If there is none: a template has a slip.
pub(super) fn function(key: &str) -> &'static Function {
    FUNCTIONS.iter().find(|function| function.key == key).unwrap_or_else(|| panic!("no function {key}"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_is_named_is_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for function in FUNCTIONS {
            let text = std::fs::read_to_string(root.join(function.file)).expect(function.file);
            let item = function.here.rsplit("::").next().unwrap();
            let defined = ["struct", "enum", "fn", "trait"]
                .iter()
                .any(|kind| text.contains(&format!("pub {kind} {item}")));
            assert!(defined, "{} has no {item}", function.file);
            assert!(function.url.starts_with("https://keras.io/api/"), "{}", function.url);
        }
    }
}
