//! Options that several commands have.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use glassbox_engine::losses::Loss;
use glassbox_engine::optimizers::{Adam, Hyperparameter, Optimizer};
use glassbox_engine::training::Monitor;
use glassbox_pipeline::detection::PointRule;
use glassbox_pipeline::series::BadRows;
use glassbox_pipeline::tutorial::TutorialOptions;

use crate::device::DeviceChoice;

/// The columns of a CSV.
#[derive(Debug, Args)]
pub(crate) struct ColumnArgs {
    /// Column with the timestamps: YYYY-MM-DD HH:MM:SS, without seconds or without a time too; RFC 3339; seconds or
    /// milliseconds since 1970
    #[arg(long, value_name = "NAME", default_value = "timestamp")]
    pub(crate) timestamp_column: String,

    /// Column with values; once for each of several columns, which are judged together [default: value; for detect, the
    /// columns of the training series]
    #[arg(long, value_name = "NAME")]
    pub(crate) value_column: Vec<String>,

    /// Unit of a column, as COLUMN=UNIT, or UNIT if there is one column. The model keeps it; detect refuses another one
    #[arg(long, value_name = "UNIT")]
    pub(crate) unit: Vec<String>,
}

/// Rows that cannot be used.
#[derive(Debug, Args)]
pub(crate) struct BadRowsArgs {
    /// Rows without a value, rows that repeat the timestamp of the row above, and rows that go back in time
    /// [default: skip]
    #[arg(long, value_name = "POLICY", value_parser = bad_rows())]
    pub(crate) on_bad_rows: Option<BadRows>,
}

impl BadRowsArgs {
    /// The policy for such rows.
    pub(crate) fn policy(&self) -> BadRows {
        self.on_bad_rows.unwrap_or(BadRows::Skip)
    }
}

fn bad_rows() -> impl TypedValueParser<Value = BadRows> {
    let skip = PossibleValue::new("skip").help("Leave them out, and say how many");
    let refuse = PossibleValue::new("refuse").help("Stop at the first of them");
    one_of(vec![(BadRows::Skip, skip), (BadRows::Refuse, refuse)])
}

/// Options of the tutorial's training and detection.
#[derive(Debug, Args)]
pub(crate) struct TutorialFitArgs {
    /// Maximum number of epochs
    #[arg(long, default_value_t = 50, value_parser = at_least_one)]
    pub(crate) epochs: usize,

    /// Windows in a batch
    #[arg(long, default_value_t = 128)]
    pub(crate) batch_size: usize,

    /// Stop after this many epochs without a better val_loss
    #[arg(long, default_value_t = 5)]
    pub(crate) patience: usize,

    /// Adam's learning rate
    #[arg(long, default_value_t = 0.001)]
    pub(crate) learning_rate: f64,

    /// Rule for anomalous points
    #[arg(long, default_value_t, value_parser = one_of(point_rules().into()))]
    pub(crate) rule: PointRule,
}

impl TutorialFitArgs {
    /// The tutorial with these choices.
    pub(crate) fn options(&self, seed: u64) -> TutorialOptions {
        let mut options = TutorialOptions { point_rule: self.rule, ..TutorialOptions::default() };
        let train = &mut options.train;
        train.seed = seed;
        train.fit.epochs = self.epochs;
        train.fit.batch_size = self.batch_size;
        train.optimizer = Optimizer::Adam(Adam::new(self.learning_rate));
        if let Some(early_stopping) = &mut train.fit.early_stopping {
            early_stopping.patience = self.patience;
        }
        options
    }
}

/// The arguments of Keras's `fit` and `compile`.
#[derive(Debug, Args)]
pub(crate) struct FitArgs {
    /// Maximum number of epochs
    #[arg(long, default_value_t = 50)]
    pub(crate) epochs: usize,

    /// Windows in a batch
    #[arg(long, default_value_t = 128)]
    pub(crate) batch_size: usize,

    /// Fraction of the windows, taken from the end, used for validation (val_loss)
    #[arg(long, value_name = "FRACTION", default_value_t = 0.1)]
    pub(crate) validation_split: f64,

    /// Do not shuffle the windows
    #[arg(long)]
    pub(crate) no_shuffle: bool,

    /// Seed of the initial weights, shuffling and dropout masks
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    #[command(flatten)]
    pub(crate) optimizer: OptimizerArgs,

    /// Minimise this loss [default: the loss that the model was compiled with, else mse]
    #[arg(long, value_parser = loss())]
    pub(crate) loss: Option<Loss>,

    #[command(flatten)]
    pub(crate) reduce_lr: ReduceLrArgs,
}

/// Reduction of the learning rate, by the names of Keras's arguments.
#[derive(Debug, Args)]
pub(crate) struct ReduceLrArgs {
    /// Reduce the learning rate when a loss no longer improves; the options below say how
    #[arg(long)]
    pub(crate) reduce_lr_on_plateau: bool,

    /// The loss to watch
    #[arg(long, value_name = "LOSS", default_value = "val_loss", requires = "reduce_lr_on_plateau", value_parser = monitor())]
    pub(crate) lr_monitor: Monitor,

    /// Factor of a reduction
    #[arg(long, value_name = "FACTOR", default_value_t = 0.1, requires = "reduce_lr_on_plateau", value_parser = factor)]
    pub(crate) lr_factor: f64,

    /// Reduce after this many epochs without a better loss
    #[arg(long, value_name = "EPOCHS", default_value_t = 10, requires = "reduce_lr_on_plateau")]
    pub(crate) lr_patience: usize,

    /// The loss must get better by more than this, or the epoch counts as one without a better loss
    #[arg(long, value_name = "DELTA", default_value_t = 1e-4, requires = "reduce_lr_on_plateau", value_parser = not_negative)]
    pub(crate) lr_min_delta: f64,

    /// Epochs after a reduction that do not count
    #[arg(long, value_name = "EPOCHS", default_value_t = 0, requires = "reduce_lr_on_plateau")]
    pub(crate) lr_cooldown: usize,

    /// Smallest learning rate
    #[arg(long, value_name = "RATE", default_value_t = 0.0, requires = "reduce_lr_on_plateau", value_parser = not_negative)]
    pub(crate) min_lr: f64,
}

/// An optimiser and its hyperparameters, by the names of Keras's arguments.
#[derive(Debug, Args)]
pub(crate) struct OptimizerArgs {
    /// Train with this optimiser and Keras's defaults; the options below change them [default: the optimiser that the
    /// model was compiled with; else, or if one of the options below is given, adam]
    #[arg(long, value_name = "NAME", value_parser = optimizer())]
    pub(crate) optimizer: Option<Optimizer>,

    /// Scale of a step
    #[arg(long, value_name = "RATE")]
    pub(crate) learning_rate: Option<f64>,

    /// Fraction of the last step that is taken again (sgd, rmsprop)
    #[arg(long)]
    pub(crate) momentum: Option<f64>,

    /// Nesterov's momentum (sgd)
    #[arg(long)]
    pub(crate) nesterov: bool,

    /// Decay rate of the mean of gradients (adam, adamw)
    #[arg(long = "beta-1", value_name = "RATE")]
    pub(crate) beta_1: Option<f64>,

    /// Decay rate of the mean of squared gradients (adam, adamw)
    #[arg(long = "beta-2", value_name = "RATE")]
    pub(crate) beta_2: Option<f64>,

    /// Decay rate of the mean of squared gradients (rmsprop)
    #[arg(long, value_name = "RATE")]
    pub(crate) rho: Option<f64>,

    /// Scale steps by the standard deviation of gradients instead of their size (rmsprop)
    #[arg(long)]
    pub(crate) centered: bool,

    /// Keeps steps finite where gradients vanish (adam, adamw, rmsprop)
    #[arg(long)]
    pub(crate) epsilon: Option<f64>,

    /// Scale steps by the largest mean of squared gradients so far (adam, adamw)
    #[arg(long)]
    pub(crate) amsgrad: bool,

    /// Fraction of the weights, times the learning rate, that each step takes off them [default: none; adamw: 0.004]
    #[arg(long, value_name = "FRACTION")]
    pub(crate) weight_decay: Option<f64>,

    /// Clip the gradient of each tensor to this norm
    #[arg(long, value_name = "NORM")]
    pub(crate) clipnorm: Option<f64>,

    /// Clip each element of the gradient to this absolute value
    #[arg(long, value_name = "VALUE", conflicts_with = "clipnorm")]
    pub(crate) clipvalue: Option<f64>,

    /// Clip the whole gradient to this norm
    #[arg(long, value_name = "NORM", conflicts_with_all = ["clipnorm", "clipvalue"])]
    pub(crate) global_clipnorm: Option<f64>,
}

impl OptimizerArgs {
    /// The optimiser that the command line names; `None` if it names none and no hyperparameter.
    ///
    /// # Errors
    /// Names the first hyperparameter that the optimiser does not have.
    pub(crate) fn given(&self) -> glassbox_engine::Result<Option<Optimizer>> {
        let numbers = [
            ("learning_rate", self.learning_rate),
            ("momentum", self.momentum),
            ("rho", self.rho),
            ("beta_1", self.beta_1),
            ("beta_2", self.beta_2),
            ("epsilon", self.epsilon),
            ("weight_decay", self.weight_decay),
            ("clipnorm", self.clipnorm),
            ("clipvalue", self.clipvalue),
            ("global_clipnorm", self.global_clipnorm),
        ];
        let numbers =
            numbers.into_iter().filter_map(|(name, value)| Some((name, Hyperparameter::Number(value?))));
        let flags = [("nesterov", self.nesterov), ("centered", self.centered), ("amsgrad", self.amsgrad)];
        let flags =
            flags.into_iter().filter(|(_, on)| *on).map(|(name, on)| (name, Hyperparameter::Flag(on)));
        let given: Vec<_> = numbers.chain(flags).collect();
        if self.optimizer.is_none() && given.is_empty() {
            return Ok(None);
        }
        let mut optimizer = self.optimizer.clone().unwrap_or_default();
        given.into_iter().try_for_each(|(name, value)| optimizer.set(name, value))?;
        Ok(Some(optimizer))
    }
}

/// Early stopping.
#[derive(Debug, Args)]
pub(crate) struct EarlyStoppingArgs {
    /// Stop after this many epochs without a better val_loss; without validation windows, training does not stop early
    #[arg(long, default_value_t = 5)]
    pub(crate) patience: usize,

    /// The loss must get better by more than this to count as an improvement
    #[arg(long, default_value_t = 0.0, value_parser = not_negative)]
    pub(crate) min_delta: f64,

    /// Restore the weights of the best epoch at the end
    #[arg(long)]
    pub(crate) restore_best_weights: bool,

    /// Always train all epochs
    #[arg(long, conflicts_with_all = ["patience", "min_delta", "restore_best_weights"])]
    pub(crate) no_early_stopping: bool,
}

/// Checkpoints.
#[derive(Debug, Args)]
pub(crate) struct CheckpointArgs {
    /// Save a checkpoint in this folder after each epoch; a checkpoint of a different run in it is an error
    #[arg(long, value_name = "DIR")]
    pub(crate) checkpoint_dir: Option<PathBuf>,

    /// Continue from the checkpoint in --checkpoint-dir, or from the one that Ctrl-C saved; start from the beginning if
    /// there is none
    #[arg(long)]
    pub(crate) resume: bool,
}

/// Device and threads.
#[derive(Debug, Args)]
pub(crate) struct ComputeArgs {
    /// Device: cpu, cuda (the first NVIDIA GPU), cuda:N (GPU number N), or auto (the first GPU if usable, else the CPU);
    /// `glassbox devices` lists them
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub(crate) device: DeviceChoice,

    /// Number of CPU threads (at most 1024); results do not depend on it [default: one for each core]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,

    /// Explain the choice of the device, and how it trains the model
    #[arg(long, short)]
    pub(crate) verbose: bool,
}

/// Parses a number that is not negative. The library checks that it is finite.
fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value < 0.0 => Err("expected a number of at least 0".into()),
        Ok(value) => Ok(value),
        Err(_) => Err("expected a number".into()),
    }
}

/// Parses a factor of less than 1.
fn factor(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value < 1.0 => Ok(value),
        _ => Err("expected a number between 0 and 1".into()),
    }
}

/// The kind of output.
#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// Print only errors
    #[arg(long, short)]
    pub(crate) quiet: bool,

    /// Print the result as a JSON object and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

/// Parses the name of a value of a library's type; `help` lists the names with their descriptions.
pub(super) fn one_of<T: Clone + Send + Sync + 'static>(
    values: Vec<(T, PossibleValue)>,
) -> impl TypedValueParser<Value = T> {
    let names: Vec<PossibleValue> = values.iter().map(|(_, name)| name.clone()).collect();
    PossibleValuesParser::new(names).map(move |typed| {
        let (value, _) = values.iter().find(|(_, name)| name.matches(&typed, false)).expect("a listed name");
        value.clone()
    })
}

/// The tutorial's rules for anomalous points, with their names.
pub(super) fn point_rules() -> [(PointRule, PossibleValue); 2] {
    let published = "A point is anomalous if all windows that contain it are, except the one that starts at it (as in \
                     the tutorial)";
    let inclusive = "A point is anomalous if all windows that contain it are";
    let rules = [(PointRule::Published, published), (PointRule::Inclusive, inclusive)];
    rules.map(|(rule, help)| (rule, PossibleValue::new(rule.name()).help(help)))
}

/// Parses an optimiser by Keras's name.
fn optimizer() -> impl TypedValueParser<Value = Optimizer> {
    let named = |optimizer: Optimizer| {
        let name = PossibleValue::new(optimizer.name());
        let arguments: Vec<String> =
            optimizer.hyperparameters().iter().map(|(name, value)| format!("{name} {value}")).collect();
        (optimizer, name.help(arguments.join(", ")))
    };
    one_of(Optimizer::all().into_iter().map(named).collect())
}

/// Parses a monitored loss by Keras's name.
fn monitor() -> impl TypedValueParser<Value = Monitor> {
    let monitors = [
        (Monitor::ValLoss, "val_loss", "The loss over the validation windows, after an epoch"),
        (Monitor::Loss, "loss", "The training loss of an epoch"),
    ];
    one_of(monitors.map(|(monitor, name, help)| (monitor, PossibleValue::new(name).help(help))).into())
}

/// Parses a loss by Keras's names, of which the short ones are listed.
fn loss() -> impl TypedValueParser<Value = Loss> {
    let losses = [
        ("mse", "Mean squared error"),
        ("mae", "Mean absolute error"),
        ("huber", "Huber loss with a delta of 1: squared near the target, absolute beyond delta"),
        ("log_cosh", "Logarithm of the hyperbolic cosine of the error"),
    ];
    let named = losses.map(|(short, help)| {
        let loss = Loss::from_name(short).expect("a name of the library");
        (loss, PossibleValue::new(short).aliases(loss.names()).help(help))
    });
    one_of(named.into())
}

/// Parses a number of epochs. An untrained detector would detect nothing.
fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("expected at least 1, because an untrained model detects nothing".into()),
        Ok(epochs) => Ok(epochs),
        Err(error) => Err(error.to_string()),
    }
}
