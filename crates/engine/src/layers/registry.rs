//! The classes of layers that a model's JSON may name.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::config::{Class, respelt};
use super::{
    Activation, Add, AveragePooling1D, BatchNormalization, Bidirectional, Concatenate, Config, Conv1D,
    Conv1DTranspose, Cropping1D, Dense, Dropout, ELU, Flatten, GRU, KERAS, LSTM, Layer, LayerNormalization,
    LeakyReLU, MaxPooling1D, Multiply, ReLU, RepeatVector, Reshape, SpatialDropout1D, TimeDistributed,
    UpSampling1D, ZeroPadding1D,
};
use crate::error::{Error, Result};
use crate::text::excerpt;

/// A layer that can be read from its [`Layer::config`].
pub trait FromConfig: Layer + Sized + 'static {
    /// The value of [`Layer::class_name`].
    const CLASS_NAME: &'static str;
    /// The value of [`Layer::package`].
    const PACKAGE: &'static str = "Custom";

    /// Creates the layer from its arguments. Arguments that this does not take are refused afterwards.
    ///
    /// # Errors
    /// If an argument is missing, of the wrong kind, or not supported.
    fn from_config(config: &mut Config) -> Result<Self>;

    /// Creates a layer with layers among its arguments, which `registry` can read. Default:
    /// [`FromConfig::from_config`], for a layer that has none.
    ///
    /// # Errors
    /// As [`FromConfig::from_config`].
    fn from_config_with(config: &mut Config, registry: &Registry) -> Result<Self> {
        let _ = registry;
        Self::from_config(config)
    }
}

type Read = fn(&mut Config, &Registry) -> Result<Arc<dyn Layer>>;

/// The layers that can be read from a model's JSON: Keras's by default, and those that a user adds
/// ([`keras.saving.register_keras_serializable`](https://keras.io/api/models/model_saving_apis/serialization_utils/)).
///
/// ```
/// use glassbox_engine::layers::{Config, FromConfig, Layer, Registry};
/// # use glassbox_engine::{Result, layers::Call, program::{Tape, Value}};
/// # #[derive(Debug)] struct Identity;
/// # impl Layer for Identity {
/// #     fn class_name(&self) -> &'static str { Self::CLASS_NAME }
/// #     fn forward(&self, _: &mut Tape, call: &Call) -> Value { call.x() }
/// # }
/// impl FromConfig for Identity {
///     const CLASS_NAME: &'static str = "Identity";
///
///     fn from_config(_: &mut Config) -> Result<Self> {
///         Ok(Self)
///     }
/// }
/// let registry = Registry::default().with::<Identity>();
/// ```
#[derive(Debug, Clone)]
pub struct Registry(BTreeMap<String, Read>);

impl Default for Registry {
    /// A registry of Keras's layers.
    fn default() -> Self {
        Self(BTreeMap::new())
            .with::<Activation>()
            .with::<BatchNormalization>()
            .with::<Bidirectional>()
            .with::<Concatenate>()
            .with::<Add>()
            .with::<AveragePooling1D>()
            .with::<Conv1D>()
            .with::<Conv1DTranspose>()
            .with::<Cropping1D>()
            .with::<Dense>()
            .with::<Dropout>()
            .with::<ELU>()
            .with::<Flatten>()
            .with::<GRU>()
            .with::<LSTM>()
            .with::<LayerNormalization>()
            .with::<LeakyReLU>()
            .with::<MaxPooling1D>()
            .with::<Multiply>()
            .with::<ReLU>()
            .with::<RepeatVector>()
            .with::<Reshape>()
            .with::<TimeDistributed>()
            .with::<UpSampling1D>()
            .with::<ZeroPadding1D>()
            .with::<SpatialDropout1D>()
    }
}

impl Registry {
    /// Adds a class.
    #[must_use]
    pub fn with<L: FromConfig>(mut self) -> Self {
        let read: Read = |config, registry| Ok(Arc::new(L::from_config_with(config, registry)?));
        let name = match L::PACKAGE {
            KERAS => L::CLASS_NAME.into(),
            package => format!("{package}>{}", L::CLASS_NAME),
        };
        self.0.insert(name, read);
        self
    }

    /// Reads a layer and its name, if it has one.
    pub(crate) fn read(&self, class: &Class, mut config: Config) -> Result<(Option<String>, Arc<dyn Layer>)> {
        let name = config.name()?;
        if let Some(name) = &name {
            config.place = format!("{} ({})", excerpt(name), excerpt(&class.name));
        }
        let layer = self.find(class, name.as_deref(), &config.place)?(&mut config, self)?;
        config.only("activity_regularizer", &Json::Null)?;
        config.require_float32()?;
        config.only("trainable", &json!(true))?;
        config.finish()?;
        Ok((name, layer))
    }

    fn find(&self, class: &Class, name: Option<&str>, place: &str) -> Result<Read> {
        if let Some(registered) = class.registered_name() {
            return self.0.get(registered).copied().ok_or_else(|| Error::Unsupported {
                place: place.into(),
                feature: format!("the registered class {}", excerpt(registered)),
                instead: format!("a class of {KERAS} is, and in a program one that its Registry has"),
            });
        }
        if !class.is_in(&[KERAS]) {
            return Err(class.unknown(KERAS));
        }
        self.0.get(&class.name).copied().ok_or_else(|| {
            let classes: Vec<&str> = self.0.keys().map(String::as_str).collect();
            let (last, others) = classes.split_last().expect("there are always Keras's");
            Error::Unsupported {
                place: name.map_or_else(|| place.to_owned(), |name| format!("layer {}", excerpt(name))),
                feature: format!("class {}", excerpt(&class.name)),
                instead: format!("{} and {last} are{}", others.join(", "), respelt(&class.name, &classes)),
            }
        })
    }
}
