//! The arguments of a layer, as Keras's JSON has them.

mod near;

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::{Activation, ELU, FromConfig, Layer, LeakyReLU, ReLU, Registry};
use crate::error::{Error, Result};
use crate::geometry::Padding;
use crate::text::excerpt;

use near::misspelt;
pub(crate) use near::respelt;

/// A JSON object with the arguments of a layer by name.
///
/// [`Layer::config`] writes one, [`FromConfig`] reads it. Reading takes the
/// entries out one by one; entries that are left at the end are refused as unknown.
///
/// ```
/// use glassbox_engine::layers::Config;
///
/// let mut config = Config::default().with("units", 3).with("rate", 0.5);
/// assert_eq!((config.integer("units")?, config.number("rate")?), (3, 0.5));
/// let error = config.integer("size").unwrap_err().to_string();
/// assert_eq!(error, "the config, size: expected a value, found none");
/// # Ok::<(), glassbox_engine::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub(crate) place: String,
    pub(crate) entries: Map<String, Json>,
}

impl Default for Config {
    fn default() -> Self {
        Self { place: "the config".into(), entries: Map::new() }
    }
}

/// Shows the object as JSON.
impl std::fmt::Display for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = serde_json::to_string(&self.entries).map_err(|_| std::fmt::Error)?;
        f.write_str(&text)
    }
}

impl Config {
    /// Adds an argument.
    #[must_use]
    pub fn with(mut self, argument: &str, value: impl Into<Json>) -> Self {
        self.entries.insert(argument.into(), value.into());
        self
    }

    pub(crate) fn new(place: &str, value: Json) -> Result<Self> {
        match value {
            Json::Object(entries) => Ok(Self { place: place.into(), entries }),
            other => Err(Error::Architecture {
                place: place.into(),
                expected: "a JSON object".into(),
                found: abridged(&other),
            }),
        }
    }

    /// Takes the class that an object names.
    pub(crate) fn class(&mut self) -> Result<Class> {
        let name = self.text("class_name")?;
        let module = self.find("module");
        let registered_name = self.find("registered_name").unwrap_or_default();
        Ok(Class { place: self.place.clone(), name, module, registered_name })
    }

    /// Takes the class that an object names, which must be Keras's own class of that name in one of `modules`.
    pub(crate) fn built_in_class(&mut self, modules: &[&str]) -> Result<String> {
        let class = self.class()?;
        if class.is_in(modules) { Ok(class.name) } else { Err(class.unknown(modules[0])) }
    }

    pub(crate) fn find(&mut self, key: &str) -> Option<Json> {
        self.entries.remove(key)
    }

    /// Takes an entry that may be absent or null.
    pub(crate) fn find_some(&mut self, key: &str) -> Option<Json> {
        self.find(key).filter(|value| !value.is_null())
    }

    pub(crate) fn take(&mut self, key: &str) -> Result<Json> {
        self.find(key).ok_or_else(|| self.missing(key))
    }

    pub(crate) fn object(&mut self, key: &str) -> Result<Self> {
        let value = self.take(key)?;
        Self::new(&format!("{}, {key}", self.place), value)
    }

    /// Takes a text.
    ///
    /// # Errors
    /// If the entry is absent or not a text.
    pub fn text(&mut self, key: &str) -> Result<String> {
        match self.take(key)? {
            Json::String(text) => Ok(text),
            other => Err(self.wrong(key, "a string", &abridged(&other))),
        }
    }

    /// Takes the layer's name; `None` if there is none, and Keras's default name applies.
    pub(crate) fn name(&mut self) -> Result<Option<String>> {
        match self.find_some("name") {
            None => Ok(None),
            // Names are printed in tables, plots and files.
            Some(Json::String(name)) if name.contains(char::is_control) => {
                Err(self.wrong("name", "no control characters", &excerpt(&name).to_string()))
            }
            Some(Json::String(name)) => Ok(Some(name)),
            Some(other) => Err(self.wrong("name", "a string", &abridged(&other))),
        }
    }

    /// Takes a Boolean: true if absent, false if null, as in Keras.
    ///
    /// # Errors
    /// If the entry is anything else.
    pub fn flag(&mut self, key: &str) -> Result<bool> {
        match self.find(key) {
            None => Ok(true),
            Some(Json::Null) => Ok(false),
            Some(value) => value.as_bool().ok_or_else(|| self.wrong(key, "true or false", &abridged(&value))),
        }
    }

    /// Takes a Boolean; false if absent or null.
    pub(crate) fn is_set(&mut self, key: &str) -> Result<bool> {
        if self.entries.contains_key(key) { self.flag(key) } else { Ok(false) }
    }

    /// Takes a number.
    ///
    /// # Errors
    /// If the entry is absent or not a number.
    pub fn number(&mut self, key: &str) -> Result<f64> {
        let value = self.take(key)?;
        value.as_f64().ok_or_else(|| self.wrong(key, "a number", &abridged(&value)))
    }

    pub(crate) fn number_or(&mut self, key: &str, default: f64) -> Result<f64> {
        if self.entries.contains_key(key) { self.number(key) } else { Ok(default) }
    }

    /// Takes a whole number from 0 to `u32::MAX`.
    ///
    /// # Errors
    /// If the entry is absent or anything else.
    pub fn integer(&mut self, key: &str) -> Result<usize> {
        let value = self.take(key)?;
        self.as_integer(key, &value)
    }

    pub(crate) fn integer_or(&mut self, key: &str, default: usize) -> Result<usize> {
        if self.entries.contains_key(key) { self.integer(key) } else { Ok(default) }
    }

    /// Takes two whole numbers, `[1, 2]`, or one for both, `1`; both are 1 if absent.
    pub(crate) fn pair_or_ones(&mut self, key: &str) -> Result<(usize, usize)> {
        let Some(value) = self.find(key) else { return Ok((1, 1)) };
        match value.as_array().map(Vec::as_slice) {
            Some([left, right]) => Ok((self.as_integer(key, left)?, self.as_integer(key, right)?)),
            Some(_) => Err(self.wrong(key, "one number for both ends, or two", &abridged(&value))),
            None => self.as_integer(key, &value).map(|both| (both, both)),
        }
    }

    /// Takes the number of a single dimension, `[7]` or `7`.
    pub(crate) fn single(&mut self, key: &str) -> Result<usize> {
        let value = self.take(key)?;
        match value.as_array().map(Vec::as_slice) {
            Some([only]) => self.as_integer(key, only),
            Some(_) => Err(self.wrong(key, "one number, for one dimension", &abridged(&value))),
            None => self.as_integer(key, &value),
        }
    }

    /// Takes the number of a single dimension; 1 if absent.
    pub(crate) fn single_or_1(&mut self, key: &str) -> Result<usize> {
        if self.entries.contains_key(key) { self.single(key) } else { Ok(1) }
    }

    fn as_integer(&self, key: &str, value: &Json) -> Result<usize> {
        // Larger numbers could overflow when lengths are computed, and no tensor could have that length.
        let integer = value.as_u64().filter(|n| *n <= u64::from(u32::MAX));
        integer
            .map(|n| n as usize)
            .ok_or_else(|| self.wrong(key, "a whole number, not negative", &abridged(value)))
    }

    /// Takes a padding, in upper or lower case as in Keras; `valid` if absent.
    pub(crate) fn padding(&mut self, supported: &[Padding]) -> Result<Padding> {
        if !self.entries.contains_key("padding") {
            return Ok(Padding::Valid);
        }
        let name = self.text("padding")?;
        let named = |padding: &&Padding| padding.name() == name.to_lowercase();
        supported.iter().find(named).copied().ok_or_else(|| {
            let names: Vec<_> = supported.iter().map(|padding| padding.name()).collect();
            self.wrong("padding", &names.join(" or "), &excerpt(&name).to_string())
        })
    }

    /// Takes `data_format`, which must be absent, null, or `"channels_last"` in any case.
    pub(crate) fn only_channels_last(&mut self) -> Result<()> {
        match self.find_some("data_format") {
            Some(format) if format.as_str().map(str::to_lowercase).as_deref() != Some("channels_last") => {
                Err(self.unsupported("data_format", &format, "channels_last is"))
            }
            _ => Ok(()),
        }
    }

    /// Takes a layer that is an argument of another layer, and its name, if it has one.
    pub(crate) fn layer(
        &mut self,
        key: &str,
        registry: &Registry,
    ) -> Result<(Option<String>, Arc<dyn Layer>)> {
        let mut object = self.object(key)?;
        let class = object.class()?;
        registry.read(&class, object.object("config")?)
    }

    /// Takes an activation: its name, or an object with its class. Linear if absent or null.
    pub(crate) fn activation(&mut self) -> Result<Activation> {
        self.activation_or("activation", Activation::Linear)
    }

    /// Takes an activation under a key; `default` if absent, linear if null.
    pub(crate) fn activation_or(&mut self, key: &str, default: Activation) -> Result<Activation> {
        match self.find(key) {
            None => Ok(default),
            Some(Json::Null) => Ok(Activation::Linear),
            Some(Json::String(name)) => self.activation_named(key, &name),
            Some(object @ Json::Object(_)) => activation_object(&self.place, key, object),
            Some(other) => Err(self.wrong(key, "a name or an object", &abridged(&other))),
        }
    }

    fn activation_named(&self, key: &str, name: &str) -> Result<Activation> {
        name.parse().map_err(|_| {
            let names = Activation::ALL.map(Activation::name);
            let (last, others) = names.split_last().expect("there are some");
            let instead = format!("{} and {last} are{}", others.join(", "), respelt(name, &names));
            self.unsupported(key, &name.into(), &instead)
        })
    }

    /// Takes an argument that has one supported value, which is also the default.
    pub(crate) fn only(&mut self, key: &str, supported: &Json) -> Result<()> {
        match self.find(key) {
            Some(value) if value != *supported => {
                Err(self.unsupported(key, &value, &format!("{} is", abridged(supported))))
            }
            _ => Ok(()),
        }
    }

    /// Takes `dtype`, which must be absent, `"float32"`, or the policy of that name.
    pub(crate) fn require_float32(&mut self) -> Result<()> {
        match self.find_some("dtype") {
            None => Ok(()),
            Some(Json::String(name)) if name == "float32" => Ok(()),
            Some(dtype @ Json::Object(_)) => {
                let mut policy = Self::new(&format!("{}, dtype", self.place), dtype.clone())?;
                let class = policy.built_in_class(&["keras", "keras.dtype_policies"])?;
                let name = dtype.pointer("/config/name").unwrap_or(&Json::Null);
                match class == "DTypePolicy" && name == "float32" {
                    true => Ok(()),
                    false => Err(self.unsupported("dtype", name, "float32 is")),
                }
            }
            Some(other) => Err(self.unsupported("dtype", &other, "float32 is")),
        }
    }

    /// Refuses entries that were not taken: an unknown argument could change what the layer computes.
    pub(crate) fn finish(self) -> Result<()> {
        match self.entries.iter().next() {
            None => Ok(()),
            Some((key, value)) => Err(self.unsupported(key, value, "leaving it out is")),
        }
    }

    pub(crate) fn unsupported(&self, key: &str, value: &Json, instead: &str) -> Error {
        Error::Unsupported {
            place: self.place.clone(),
            feature: format!("{} {}", excerpt(key), abridged(value)),
            instead: instead.into(),
        }
    }

    pub(crate) fn wrong(&self, key: &str, expected: &str, found: &str) -> Error {
        Error::Architecture {
            place: format!("{}, {key}", self.place),
            expected: expected.into(),
            found: found.into(),
        }
    }

    pub(crate) fn missing(&self, key: &str) -> Error {
        let found = match misspelt(key, self.entries.keys()) {
            None => "none".into(),
            Some(other) => format!("none; did you mean `{key}` where it has `{}`?", excerpt(other)),
        };
        self.wrong(key, "a value", &found)
    }
}

/// Reads an activation that is an object: a layer, Keras's operation for the approximate GELU, or a function by name.
fn activation_object(place: &str, key: &str, object: Json) -> Result<Activation> {
    let mut object = Config::new(&format!("{place}, {key}"), object)?;
    let class = object.class()?;
    if class.is_in(&["builtins"]) && class.name == "function" {
        let name = object.text("config")?;
        return object.activation_named("activation", &name);
    }
    let mut arguments = object.object("config")?;
    arguments.name()?;
    let activation = match class.name.as_str() {
        "Gelu" if class.is_in(&["keras.src.ops.nn"]) => {
            Activation::Gelu { approximate: arguments.flag("approximate")? }
        }
        name if class.is_in(&[super::KERAS]) => {
            let activation = match name {
                Activation::CLASS_NAME => Activation::from_config(&mut arguments)?,
                ReLU::CLASS_NAME => ReLU::from_config(&mut arguments).map(|_| Activation::Relu)?,
                LeakyReLU::CLASS_NAME => LeakyReLU::from_config(&mut arguments)?.into(),
                ELU::CLASS_NAME => ELU::from_config(&mut arguments)?.into(),
                _ => return Err(class.unknown(super::KERAS)),
            };
            arguments.require_float32()?;
            arguments.only("activity_regularizer", &Json::Null)?;
            arguments.find("trainable");
            activation
        }
        _ => return Err(class.unknown(super::KERAS)),
    };
    arguments.finish()?;
    Ok(activation)
}

/// The class that an object names. A user's registered class may have the same name as one of Keras's.
pub(crate) struct Class {
    place: String,
    pub(crate) name: String,
    module: Option<Json>,
    registered_name: Json,
}

impl Class {
    /// Returns true if this is Keras's own class of its name in one of `modules`. Without a module or a registered
    /// name, Keras uses its own class.
    pub(crate) fn is_in(&self, modules: &[&str]) -> bool {
        let own_name = match &self.registered_name {
            Json::String(name) => name.is_empty() || *name == self.name,
            other => other.is_null(),
        };
        own_name && self.module.as_ref().is_none_or(|module| modules.iter().any(|own| module == *own))
    }

    /// Returns true if this is Keras's own layer `name`.
    pub(crate) fn is_built_in(&self, name: &str) -> bool {
        self.name == name && self.is_in(&[super::KERAS])
    }

    /// The name under which the class was registered, `package>Class`, unless it is one of Keras's own.
    pub(crate) fn registered_name(&self) -> Option<&str> {
        self.registered_name.as_str().filter(|name| !name.is_empty() && *name != self.name)
    }

    /// The error for a class that is in none of Keras's modules.
    pub(crate) fn unknown(&self, module: &str) -> Error {
        let found = self.module.clone().unwrap_or_else(|| module.into());
        Error::Unsupported {
            place: self.place.clone(),
            feature: format!(
                "class {} of module {}, registered_name {}",
                excerpt(&self.name),
                abridged(&found),
                abridged(&self.registered_name)
            ),
            instead: format!("a class of {module} is"),
        }
    }
}

/// A JSON value short enough for an error message.
pub(crate) fn abridged(value: &Json) -> String {
    excerpt(&value.to_string()).to_string()
}
