//! Reads the optimiser and the loss of a model from `compile_config`, and writes them.

use serde_json::{Map, Value as Json, json};

use crate::error::Result;
use crate::layers::Config;
use crate::losses::{Delta, Loss};
use crate::optimizers::{
    CosineDecay, ExponentialDecay, Field, Hyperparameter, LearningRate, Optimizer, Schedule,
};

/// The optimiser and the loss of a model: the arguments of
/// [`keras.Model.compile`](https://keras.io/api/models/model_training_apis/).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Compilation {
    /// The optimiser. Default: Adam, with Keras's defaults.
    pub optimizer: Optimizer,
    /// The loss. Default: the mean squared error.
    pub loss: Loss,
    /// True if the model was compiled with metrics. They do not affect the training and are not computed.
    pub metrics: bool,
}

/// Reads `config`. An `optimizer` or `loss` that is given replaces the entry of `config`, which is then not read.
pub(in crate::model) fn read(
    config: &Map<String, Json>,
    optimizer: Option<Optimizer>,
    loss: Option<Loss>,
) -> Result<Compilation> {
    let mut config = Config { place: "compile_config".into(), entries: config.clone() };
    // Keras's default in `compile`.
    let own_optimizer = config.find("optimizer").unwrap_or_else(|| "rmsprop".into());
    let own_loss = config.find("loss").unwrap_or_default();
    let optimizer = optimizer.map_or_else(|| read_optimizer(&config, own_optimizer), Ok)?;
    let loss = match loss {
        None => {
            config.only("loss_weights", &Json::Null)?;
            read_loss(&config, own_loss)?
        }
        Some(loss) => {
            config.find("loss_weights");
            loss
        }
    };
    let metrics = ["metrics", "weighted_metrics"].map(|key| config.find_some(key).is_some()).contains(&true);
    // Options of how Keras runs a step; they do not affect its results.
    for key in ["run_eagerly", "steps_per_execution", "jit_compile", "auto_scale_loss"] {
        config.find(key);
    }
    config.finish()?;
    Ok(Compilation { optimizer, loss, metrics })
}

/// Writes the optimiser and the loss into `config`; its other entries stay.
pub(in crate::model) fn write(config: &mut Map<String, Json>, optimizer: &Optimizer, loss: Loss) {
    let mut copy = optimizer.clone();
    let fields = copy.fields().into_iter().map(|(name, field)| {
        let value = match field.value() {
            None => Json::Null,
            Some(Hyperparameter::Number(value)) => json!(value),
            Some(Hyperparameter::Flag(value)) => json!(value),
            Some(Hyperparameter::Schedule(schedule)) => write_schedule(schedule),
        };
        (name.to_owned(), value)
    });
    let arguments: Map<String, Json> =
        std::iter::once(("name".into(), json!(optimizer.name()))).chain(fields).collect();
    config.insert("optimizer".into(), object("keras.optimizers", optimizer.class_name(), arguments.into()));
    let loss = match loss {
        Loss::Huber { delta } => {
            let arguments =
                json!({"name": "huber_loss", "reduction": "sum_over_batch_size", "delta": delta.get()});
            object("keras.losses", "Huber", arguments)
        }
        other => json!(other.name()),
    };
    config.insert("loss".into(), loss);
}

/// Writes a schedule of the learning rate.
fn write_schedule(schedule: Schedule) -> Json {
    // It serialises as its class and its arguments.
    let mut arguments = json!(schedule);
    let class = arguments.as_object_mut().and_then(|entries| entries.remove("class_name"));
    let class = class.as_ref().and_then(Json::as_str).expect("a schedule has a class");
    object("keras.optimizers.schedules", class, arguments)
}

/// An object of one of Keras's own classes.
fn object(module: &str, class: &str, config: Json) -> Json {
    json!({"module": module, "class_name": class, "config": config, "registered_name": null})
}

/// Reads an optimiser: an object with its class, or its name in upper or lower case.
fn read_optimizer(config: &Config, value: Json) -> Result<Optimizer> {
    let unsupported = |value: &Json| {
        let classes: Vec<&str> = Optimizer::all().iter().map(Optimizer::class_name).collect();
        config.unsupported("optimizer", value, &format!("{} are", classes.join(", ")))
    };
    match value {
        Json::Object(_) => {
            let mut object = Config::new("compile_config, optimizer", value)?;
            let class = object.built_in_class(&["keras.optimizers"])?;
            match Optimizer::named(&class).filter(|optimizer| optimizer.class_name() == class) {
                Some(defaults) => read_hyperparameters(defaults, object.object("config")?),
                None => Err(unsupported(&class.into())),
            }
        }
        other => other.as_str().and_then(Optimizer::named).ok_or_else(|| unsupported(&other)),
    }
}

/// Reads the hyperparameters of an optimiser, of which `optimizer` has the defaults. One that may be absent can be null.
fn read_hyperparameters(mut optimizer: Optimizer, mut config: Config) -> Result<Optimizer> {
    config.place = format!("compile_config, optimizer {}", optimizer.class_name());
    for (name, field) in optimizer.fields() {
        match field {
            Field::Rate(rate) => match config.entries.get(name) {
                None => {}
                Some(Json::Object(_)) => *rate = LearningRate::Schedule(read_schedule(config.object(name)?)?),
                Some(_) => *rate = as_written(config.number(name)?).into(),
            },
            Field::Number(value) => *value = config.number_or(name, *value)?,
            Field::Optional(value) if config.entries.contains_key(name) => {
                *value = read_optional(&mut config, name)?;
            }
            Field::Flag(value) if config.entries.contains_key(name) => *value = config.flag(name)?,
            Field::Optional(_) | Field::Flag(_) => {}
        }
    }
    for argument in ["loss_scale_factor", "gradient_accumulation_steps"] {
        config.only(argument, &Json::Null)?;
    }
    config.only("use_ema", &json!(false))?;
    // The name, and the arguments that only `use_ema` needs.
    for argument in ["name", "ema_momentum", "ema_overwrite_frequency"] {
        config.find(argument);
    }
    config.finish()?;
    Ok(optimizer)
}

/// Reads a schedule of the learning rate.
fn read_schedule(mut object: Config) -> Result<Schedule> {
    let class = object.built_in_class(&["keras.optimizers.schedules"])?;
    if !["ExponentialDecay", "CosineDecay"].contains(&class.as_str()) {
        return Err(object.unsupported(
            "schedule",
            &class.into(),
            "ExponentialDecay, CosineDecay and a number are",
        ));
    }
    let mut config = object.object("config")?;
    config.find("name");
    let initial_learning_rate = config.number("initial_learning_rate")?;
    let decay_steps = config.integer("decay_steps")? as u64;
    let schedule = if class == "ExponentialDecay" {
        let decay_rate = config.number("decay_rate")?;
        let staircase = config.entries.contains_key("staircase") && config.flag("staircase")?;
        Schedule::ExponentialDecay(ExponentialDecay {
            initial_learning_rate,
            decay_steps,
            decay_rate,
            staircase,
        })
    } else {
        let alpha = config.number_or("alpha", 0.0)?;
        let warmup_target = read_optional(&mut config, "warmup_target")?;
        let has_steps = config.entries.contains_key("warmup_steps");
        let warmup_steps = if has_steps { config.integer("warmup_steps")? as u64 } else { 0 };
        Schedule::CosineDecay(CosineDecay {
            initial_learning_rate,
            decay_steps,
            alpha,
            warmup_target,
            warmup_steps,
        })
    };
    config.finish()?;
    Ok(schedule)
}

/// Takes a number that may be absent or null.
fn read_optional(config: &mut Config, key: &str) -> Result<Option<f64>> {
    match config.entries.get(key) {
        None | Some(Json::Null) => {
            config.find(key);
            Ok(None)
        }
        Some(_) => config.number(key).map(Some),
    }
}

/// Restores the learning rate that the user wrote. Keras keeps it in `float32` and writes 0.0010000000474974513 for
/// 0.001. The shortest decimal of that `float32` gives the same steps in `f32`.
fn as_written(rate: f64) -> f64 {
    let narrow = rate as f32;
    let shortest = narrow.to_string().parse().ok().filter(|shortest: &f64| *shortest as f32 == narrow);
    if f64::from(narrow) == rate { shortest.unwrap_or(rate) } else { rate }
}

/// Reads a loss: its name, an object with its class, or a function.
fn read_loss(config: &Config, value: Json) -> Result<Loss> {
    let named = |name: &Json| {
        name.as_str().and_then(Loss::from_name).ok_or_else(|| {
            let instead = format!("{} are", Loss::ALL.map(Loss::name).join(", "));
            config.unsupported("loss", name, &instead)
        })
    };
    if !value.is_object() {
        return named(&value);
    }
    let mut object = Config::new("compile_config, loss", value)?;
    let class = object.built_in_class(&["keras.losses", "builtins"])?;
    if class == "function" {
        return named(&object.take("config")?);
    }
    let mut loss = named(&class.into())?;
    let mut config = object.object("config")?;
    config.find("name");
    if let Loss::Huber { delta } = &mut loss {
        // Keras does not write it, and reads its default back.
        *delta = Delta::new(config.number_or("delta", delta.get())?)?;
    }
    // Without sample weights these three are the same: the mean over all elements.
    let reduction = config.find("reduction").unwrap_or_else(|| "sum_over_batch_size".into());
    if !["sum_over_batch_size", "mean", "mean_with_sample_weight"].iter().any(|mean| reduction == *mean) {
        return Err(config.unsupported("reduction", &reduction, "sum_over_batch_size is"));
    }
    config.require_float32()?;
    config.finish()?;
    Ok(loss)
}
