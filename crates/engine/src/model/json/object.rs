//! A JSON object, read entry by entry.

use serde_json::{Map, Value as Json};

use super::near::{misspelt, respelt};
use crate::error::{Error, Result};
use crate::geometry::Padding;
use crate::layers::Activation;
use crate::text::excerpt;

/// A JSON object whose entries are taken one by one: what is left in the end is what nobody read.
pub(super) struct Object {
    pub(super) place: String,
    pub(super) entries: Map<String, Json>,
}

impl Object {
    pub(super) fn new(place: &str, value: Json) -> Result<Self> {
        match value {
            Json::Object(entries) => Ok(Self { place: place.into(), entries }),
            other => Err(Error::Architecture {
                place: place.into(),
                expected: "a JSON object".into(),
                found: abridged(&other),
            }),
        }
    }

    /// The class that an object is of, which must be Keras's own class of that name in one of `modules`. A registered
    /// class may have the name of one of Keras's, and compute anything.
    pub(super) fn built_in_class(&mut self, modules: &[&str]) -> Result<String> {
        let class = self.text("class_name")?;
        // Where there is no module or no registered name, Keras takes its own class.
        let module = self.find("module").unwrap_or_else(|| modules[0].into());
        let registered = self.find("registered_name").unwrap_or_default();
        let own_name = match &registered {
            Json::String(name) => name.is_empty() || *name == class,
            other => other.is_null(),
        };
        if own_name && modules.iter().any(|own| module == *own) {
            return Ok(class);
        }
        Err(Error::Unsupported {
            place: self.place.clone(),
            feature: format!(
                "class {} of module {}, registered_name {}",
                excerpt(&class),
                abridged(&module),
                abridged(&registered)
            ),
            instead: format!("a class of {} is", modules[0]),
        })
    }

    pub(super) fn find(&mut self, key: &str) -> Option<Json> {
        self.entries.remove(key)
    }

    /// An entry that may be absent or null.
    pub(super) fn find_some(&mut self, key: &str) -> Option<Json> {
        self.find(key).filter(|value| !value.is_null())
    }

    pub(super) fn take(&mut self, key: &str) -> Result<Json> {
        self.find(key).ok_or_else(|| self.missing(key))
    }

    pub(super) fn object(&mut self, key: &str) -> Result<Self> {
        let value = self.take(key)?;
        Self::new(&format!("{}, {key}", self.place), value)
    }

    pub(super) fn text(&mut self, key: &str) -> Result<String> {
        match self.take(key)? {
            Json::String(text) => Ok(text),
            other => Err(self.wrong(key, "a string", &abridged(&other))),
        }
    }

    /// A name, or none: then Keras finds one.
    pub(super) fn name(&mut self) -> Result<Option<String>> {
        match self.find_some("name") {
            None => Ok(None),
            // Tables, plots and files repeat it.
            Some(Json::String(name)) if name.contains(char::is_control) => {
                Err(self.wrong("name", "no control characters", &excerpt(&name).to_string()))
            }
            Some(Json::String(name)) => Ok(Some(name)),
            Some(other) => Err(self.wrong("name", "a string", &abridged(&other))),
        }
    }

    /// True where it is absent. Keras takes null for false.
    pub(super) fn flag(&mut self, key: &str) -> Result<bool> {
        match self.find(key) {
            None => Ok(true),
            Some(Json::Null) => Ok(false),
            Some(value) => value.as_bool().ok_or_else(|| self.wrong(key, "true or false", &abridged(&value))),
        }
    }

    pub(super) fn number(&mut self, key: &str) -> Result<f64> {
        let value = self.take(key)?;
        value.as_f64().ok_or_else(|| self.wrong(key, "a number", &abridged(&value)))
    }

    pub(super) fn number_or(&mut self, key: &str, default: f64) -> Result<f64> {
        if self.entries.contains_key(key) { self.number(key) } else { Ok(default) }
    }

    pub(super) fn integer(&mut self, key: &str) -> Result<usize> {
        let value = self.take(key)?;
        self.as_integer(key, &value)
    }

    /// `[7]` or `7`.
    pub(super) fn single(&mut self, key: &str) -> Result<usize> {
        let value = self.take(key)?;
        match value.as_array().map(Vec::as_slice) {
            Some([only]) => self.as_integer(key, only),
            Some(_) => Err(self.wrong(key, "one number, for one dimension", &abridged(&value))),
            None => self.as_integer(key, &value),
        }
    }

    /// The same; 1 where it is absent.
    pub(super) fn single_or_1(&mut self, key: &str) -> Result<usize> {
        if self.entries.contains_key(key) { self.single(key) } else { Ok(1) }
    }

    fn as_integer(&self, key: &str, value: &Json) -> Result<usize> {
        // Larger numbers could wrap in the arithmetic of lengths; no tensor has room for them.
        let integer = value.as_u64().filter(|n| *n <= u64::from(u32::MAX));
        integer
            .map(|n| n as usize)
            .ok_or_else(|| self.wrong(key, "a whole number, not negative", &abridged(value)))
    }

    /// In any case, as Keras has it; `valid` where it is absent.
    pub(super) fn padding(&mut self, supported: &[Padding]) -> Result<Padding> {
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

    /// Linear where it is absent or null.
    pub(super) fn activation(&mut self) -> Result<Activation> {
        match self.find_some("activation") {
            None => Ok(Activation::Linear),
            Some(Json::String(name)) if name == "linear" => Ok(Activation::Linear),
            Some(Json::String(name)) if name == "relu" => Ok(Activation::Relu),
            Some(other) => {
                let meant = respelt(other.as_str().unwrap_or_default(), &["linear", "relu"]);
                Err(self.unsupported("activation", &other, &format!("linear and relu are{meant}")))
            }
        }
    }

    /// An argument that has one supported value; where it is absent it has that value.
    pub(super) fn only(&mut self, key: &str, supported: &Json) -> Result<()> {
        match self.find(key) {
            Some(value) if value != *supported => {
                Err(self.unsupported(key, &value, &format!("{} is", abridged(supported))))
            }
            _ => Ok(()),
        }
    }

    /// `"float32"`, the policy of that name, or none.
    pub(super) fn require_float32(&mut self) -> Result<()> {
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

    /// Refuses what was not read: an argument that nobody here has heard of may mean anything.
    pub(super) fn finish(self) -> Result<()> {
        match self.entries.iter().next() {
            None => Ok(()),
            Some((key, value)) => Err(self.unsupported(key, value, "leaving it out is")),
        }
    }

    pub(super) fn unsupported(&self, key: &str, value: &Json, instead: &str) -> Error {
        Error::Unsupported {
            place: self.place.clone(),
            feature: format!("{} {}", excerpt(key), abridged(value)),
            instead: instead.into(),
        }
    }

    pub(super) fn wrong(&self, key: &str, expected: &str, found: &str) -> Error {
        Error::Architecture {
            place: format!("{}, {key}", self.place),
            expected: expected.into(),
            found: found.into(),
        }
    }

    pub(super) fn missing(&self, key: &str) -> Error {
        let found = match misspelt(key, self.entries.keys()) {
            None => "none".into(),
            Some(other) => format!("none; did you mean `{key}` where it has `{}`?", excerpt(other)),
        };
        self.wrong(key, "a value", &found)
    }
}

/// A JSON value short enough for an error message.
pub(super) fn abridged(value: &Json) -> String {
    excerpt(&value.to_string()).to_string()
}
