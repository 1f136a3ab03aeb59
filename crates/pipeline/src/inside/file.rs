//! `inside.safetensors`; `docs/result-schema.md` describes it for its readers.

use std::path::Path;

use glassbox_engine::model::Network;

use super::{Activity, FILE_NAME, Inside, Norms, Observed, Recurrence, RowMeans, WindowId};
use crate::error::{Error, Result};
use glassbox_formats::tensor_file::{Entries, Tensor, TensorFile, TensorFileError};

const VERSION_KEY: &str = "glassbox.inside";
const VERSION: &str = "1";
const WINDOWS: &str = "glassbox.windows";
const TENSORS: &str = "glassbox.tensors";
const EPOCHS_BEFORE: &str = "glassbox.epochs_before";

impl Inside {
    /// The bytes of the file, beside which lies `model`.
    #[must_use]
    pub fn to_bytes(&self, model: &Network) -> Vec<u8> {
        self.to_file(model).to_bytes()
    }

    /// Reads the file of the folder `dir`, beside which lies `model`; `None` if there is none.
    ///
    /// # Errors
    /// If the file is damaged, or of another model.
    pub fn read(dir: &Path, model: &Network) -> Result<Option<Self>> {
        let path = dir.join(FILE_NAME);
        match path.try_exists() {
            Ok(false) => Ok(None),
            _ => Reader { file: path.display().to_string(), tensors: TensorFile::read(&path)? }
                .inside(model)
                .map(Some),
        }
    }

    fn to_file(&self, model: &Network) -> TensorFile {
        let mut file = TensorFile::default();
        let ids: Vec<WindowId> = self.windows.iter().map(|window| window.id).collect();
        for (key, text) in [
            (VERSION_KEY, VERSION.into()),
            (WINDOWS, serde_json::json!(ids).to_string()),
            (TENSORS, serde_json::json!(self.norms.tensors).to_string()),
            (EPOCHS_BEFORE, self.norms.epochs_before.to_string()),
        ] {
            file.metadata.insert(key.into(), text);
        }
        let mut put = |name: String, shape: Vec<usize>, values: Vec<f32>| {
            file.tensors.insert(name, Tensor { shape, values });
        };
        let windows = self.windows.len();
        let input = model.input_shape();
        let inputs = self.windows.iter().flat_map(|window| window.input.iter().copied()).collect();
        put("input".into(), vec![windows, input.steps, input.channels], inputs);
        for (index, layer) in model.layers().iter().enumerate() {
            let values =
                self.windows.iter().flat_map(|window| window.outputs[index].iter().copied()).collect();
            let shape = vec![windows, layer.output.steps, layer.output.channels];
            put(format!("output.{}", layer.name), shape, values);
        }
        for (index, recurrence) in Recurrence::all(model).iter().enumerate() {
            let values =
                self.windows.iter().flat_map(|window| window.traces[index].iter().copied()).collect();
            let shape = vec![windows, recurrence.trace.steps, recurrence.trace.channels];
            put(format!("trace.{}", recurrence.name), shape, values);
        }
        for (layer, activity) in &self.activity {
            let name = &model.layers()[*layer].name;
            put(format!("active.{name}"), vec![activity.active.len()], activity.active.clone());
            put(format!("mean.{name}"), vec![activity.mean.len()], activity.mean.clone());
        }
        for (name, norms) in [
            ("weights", &self.norms.weights),
            ("gradients", &self.norms.gradients),
            ("updates", &self.norms.updates),
        ] {
            put(format!("norms.{name}"), vec![norms.len(), self.norms.tensors.len()], norms.concat());
        }
        for (name, values) in [("reconstruction", &self.rows.reconstruction), ("error", &self.rows.error)] {
            put(format!("rows.{name}"), vec![values.len()], values.clone());
        }
        file
    }
}

struct Reader {
    file: String,
    tensors: TensorFile,
}

impl Reader {
    fn inside(mut self, model: &Network) -> Result<Inside> {
        self.tensors.require_finite(&self.file)?;
        let entries = self.entries();
        let version = entries.text(VERSION_KEY, "version 1")?;
        if version != VERSION {
            return Err(entries.bad(VERSION_KEY, version, "version 1").into());
        }
        let ids: Vec<WindowId> = entries.json(WINDOWS, "a list of windows")?;
        let names: Vec<String> = entries.json(TENSORS, "a list of names")?;
        let epochs_before: usize = entries.json(EPOCHS_BEFORE, "a number of epochs")?;
        // Epochs are counted on from there.
        if u32::try_from(epochs_before).is_err() {
            return Err(entries.bad(EPOCHS_BEFORE, epochs_before, "a number of epochs").into());
        }
        let layout = model.layout().tensors();
        if !layout.iter().map(|tensor| &tensor.name).eq(&names) {
            let problem = format!("it measured the tensors {}", names.join(", "));
            return Err(Error::AnotherModel { file: self.file, problem });
        }
        let n = ids.len();
        let input = model.input_shape();
        let inputs = self.take("input", &[n, input.steps, input.channels])?;
        let mut outputs = vec![];
        for layer in model.layers() {
            let shape = [n, layer.output.steps, layer.output.channels];
            outputs.push((layer.output.len(), self.take(&format!("output.{}", layer.name), &shape)?));
        }
        let mut traces = vec![];
        for recurrence in Recurrence::all(model) {
            let shape = [n, recurrence.trace.steps, recurrence.trace.channels];
            traces.push((recurrence.trace.len(), self.take(&format!("trace.{}", recurrence.name), &shape)?));
        }
        let part = |values: &[f32], len: usize, index: usize| values[index * len..][..len].to_vec();
        let parts = |all: &[(usize, Vec<f32>)], index: usize| {
            all.iter().map(|(len, values)| part(values, *len, index)).collect()
        };
        let windows = ids.into_iter().enumerate().map(|(index, id)| Observed {
            id,
            input: part(&inputs, input.len(), index),
            outputs: parts(&outputs, index),
            traces: parts(&traces, index),
        });
        let windows = windows.collect();
        let mut activity = vec![];
        for (index, layer) in model.layers().iter().enumerate() {
            if self.tensors.tensors.contains_key(&format!("active.{}", layer.name)) {
                let shape = [layer.output.channels];
                let active = self.take(&format!("active.{}", layer.name), &shape)?;
                let mean = self.take(&format!("mean.{}", layer.name), &shape)?;
                activity.push((index, Activity { active, mean }));
            }
        }
        let epochs = self.first_axis("norms.updates");
        let mut norms = |name: &str, rows: usize| -> Result<Vec<Vec<f32>>> {
            let values = self.take(&format!("norms.{name}"), &[rows, names.len()])?;
            Ok(values.chunks(names.len().max(1)).map(<[f32]>::to_vec).collect())
        };
        let weights = norms("weights", epochs + 1)?;
        let (gradients, updates) = (norms("gradients", epochs)?, norms("updates", epochs)?);
        let rows = self.first_axis("rows.error");
        let rows = RowMeans {
            reconstruction: self.take("rows.reconstruction", &[rows])?,
            error: self.take("rows.error", &[rows])?,
        };
        self.tensors.require_empty(&self.file)?;
        let norms = Norms { tensors: names, epochs_before, weights, gradients, updates };
        Ok(Inside { norms, windows, activity, rows })
    }

    /// The length of a tensor's first axis; 0 if there is none, and then [`Reader::take`] names it.
    fn first_axis(&self, name: &str) -> usize {
        self.tensors.tensors.get(name).and_then(|tensor| tensor.shape.first().copied()).unwrap_or(0)
    }

    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, TensorFileError> {
        let (file, shape) = (self.file.clone(), shape.to_vec());
        match self.tensors.tensors.remove(name) {
            None => {
                let unused = self.tensors.tensors.keys().cloned().collect::<Vec<_>>().join(", ");
                Err(TensorFileError::MissingTensor { file, tensor: name.into(), shape, unused })
            }
            Some(found) if found.shape != shape => Err(TensorFileError::WrongShape {
                file,
                tensor: name.into(),
                found: found.shape,
                expected: shape,
            }),
            Some(found) => Ok(found.values),
        }
    }

    fn entries(&self) -> Entries<'_> {
        Entries { file: &self.file, metadata: &self.tensors.metadata, advice: "run the tutorial again" }
    }
}
