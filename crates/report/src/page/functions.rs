//! The Keras functions of the tutorial, each with an explanation, its documentation and its counterpart here.

/// A function, class or argument of Keras.
#[derive(Debug, Clone, Copy)]
pub(super) struct Function {
    /// Its name in the tutorial.
    pub(super) name: &'static str,
    /// Its page in Keras's documentation.
    pub(super) url: &'static str,
    /// An explanation.
    pub(super) what: &'static str,
    /// Its counterpart in glassbox.
    pub(super) here: &'static str,
    /// The source file of the counterpart, from the root of the repository.
    pub(super) file: &'static str,
}

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "keras.Sequential",
        url: "https://keras.io/api/models/sequential/",
        what: "A model that is a chain of layers: each reads the output of the one before it. It is given the layers in \
               order and checks that each accepts the shape of its input.",
        here: "glassbox_engine::model::Sequential",
        file: "crates/engine/src/model/sequential.rs",
    },
    Function {
        name: "layers.Input",
        url: "https://keras.io/api/layers/core_layers/input/",
        what: "Declares the shape of a sample, here (288, 1): 288 steps of one channel, without the batch. With a known \
               input shape, the weights of all layers can be created at once.",
        here: "glassbox_engine::shape::Shape",
        file: "crates/engine/src/shape.rs",
    },
    Function {
        name: "layers.Conv1D",
        url: "https://keras.io/api/layers/convolution_layers/convolution1d/",
        what: "Moves small filters along a series. filters=32 is their number; kernel_size=7 the number of steps that \
               each reads at once; strides=2 the distance between two positions, which halves the length; \
               padding=\"same\" adds zeros at the ends so that the output length is the input length divided by \
               the stride; activation=\"relu\" sets negative values to zero.",
        here: "glassbox_engine::layers::Conv1D",
        file: "crates/engine/src/layers/conv1d.rs",
    },
    Function {
        name: "layers.Conv1DTranspose",
        url: "https://keras.io/api/layers/convolution_layers/convolution1d_transpose/",
        what: "The transpose of a convolution: each input step is distributed over the steps that a Conv1D would have \
               read for it. With strides=2 it doubles the length. It is not an inverse: it only has the shapes of \
               one, and it learns its own kernel.",
        here: "glassbox_engine::layers::Conv1DTranspose",
        file: "crates/engine/src/layers/conv1d_transpose.rs",
    },
    Function {
        name: "layers.Dropout",
        url: "https://keras.io/api/layers/regularization_layers/dropout/",
        what: "In training, sets each value to zero with probability rate=0.2 and divides the others by 0.8, so that the \
               mean does not change. In prediction it does nothing. The model cannot rely on a single unit, so it \
               distributes what it learns over several.",
        here: "glassbox_engine::layers::Dropout",
        file: "crates/engine/src/layers/dropout.rs",
    },
    Function {
        name: "activation=\"relu\"",
        url: "https://keras.io/api/layers/activations/",
        what: "Keeps positive values and sets the others to zero. Without a nonlinearity between them, two linear layers \
               would be equivalent to one.",
        here: "glassbox_engine::activations::Activation",
        file: "crates/engine/src/activations.rs",
    },
    Function {
        name: "model.summary()",
        url: "https://keras.io/api/models/model/",
        what: "Prints a table of the layers, their output shapes and their numbers of parameters.",
        here: "glassbox_engine::model::Summary",
        file: "crates/engine/src/model/summary.rs",
    },
    Function {
        name: "model.compile()",
        url: "https://keras.io/api/models/model_training_apis/",
        what: "Sets the optimizer and the loss for training.",
        here: "glassbox::Compile",
        file: "crates/glassbox/src/compiled.rs",
    },
    Function {
        name: "optimizers.Adam",
        url: "https://keras.io/api/optimizers/adam/",
        what: "Gradient descent with an individual step for each parameter: the running mean of its gradient, divided by \
               the root of the running mean of the squared gradient. learning_rate=0.001 scales all steps.",
        here: "glassbox_engine::optimizers::Adam",
        file: "crates/engine/src/optimizers/adam.rs",
    },
    Function {
        name: "loss=\"mse\"",
        url: "https://keras.io/api/losses/regression_losses/",
        what: "The mean squared difference between the output and the target. Because of the square, one large error \
               costs more than many small ones.",
        here: "glassbox_engine::losses::Loss",
        file: "crates/engine/src/losses.rs",
    },
    Function {
        name: "GlorotUniform",
        url: "https://keras.io/api/layers/initializers/",
        what: "The default initializer of kernels: uniform random numbers, scaled so that signals neither vanish nor grow \
               from layer to layer. Biases start at zero.",
        here: "glassbox_engine::initializers::Initializer",
        file: "crates/engine/src/initializers.rs",
    },
    Function {
        name: "model.fit()",
        url: "https://keras.io/api/models/model_training_apis/",
        what: "Trains the model. epochs=50 is the maximum number of passes over the data, batch_size=128 the number of \
               windows in one step, validation_split=0.1 the fraction at the end that is held back for validation. \
               The rest is shuffled for every epoch. It returns the history of the losses.",
        here: "glassbox::Model::fit",
        file: "crates/glassbox/src/compiled.rs",
    },
    Function {
        name: "callbacks.EarlyStopping",
        url: "https://keras.io/api/callbacks/early_stopping/",
        what: "Ends training when monitor=\"val_loss\" has not improved on its best for patience=5 epochs in a row. \
               Without restore_best_weights=True, which the tutorial does not set, the model keeps the weights of \
               the last epoch, not of the best.",
        here: "glassbox_engine::training::EarlyStopping",
        file: "crates/engine/src/training/early_stopping.rs",
    },
    Function {
        name: "history.history",
        url: "https://keras.io/api/models/model_training_apis/",
        what: "The losses of every epoch. \"loss\" is the mean over the epoch's batches, each measured before its update \
               and with dropout; \"val_loss\" is measured after the epoch and without dropout.",
        here: "glassbox_engine::training::History",
        file: "crates/engine/src/training/history.rs",
    },
    Function {
        name: "model.predict()",
        url: "https://keras.io/api/models/model_training_apis/",
        what: "Computes the output for samples, in batches of 32, without dropout.",
        here: "glassbox::Model::predict",
        file: "crates/glassbox/src/compiled.rs",
    },
    Function {
        name: "keras.Model",
        url: "https://keras.io/api/models/model/",
        what: "The base class of all models. Built from an input and an output (functional) or extended as a class \
               (subclassing), it allows models that are not a chain of layers.",
        here: "glassbox_engine::model::Sequential",
        file: "crates/engine/src/model/sequential.rs",
    },
];

/// The function of this name.
///
/// # Panics
/// If there is none: a template has a slip.
pub(super) fn function(name: &str) -> &'static Function {
    FUNCTIONS.iter().find(|function| function.name == name).unwrap_or_else(|| panic!("no function {name}"))
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
