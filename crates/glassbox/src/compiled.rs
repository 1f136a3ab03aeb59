//! A model that trains and predicts: layers, their weights, a loss, an optimiser, a seed and a device.

use glassbox_engine::backend::{Dataset, Session, State};
use glassbox_engine::losses::Loss;
use glassbox_engine::memory;
use glassbox_engine::model::{Network, Summary, WeightLayout};
use glassbox_engine::optimizers::Optimizer;
use glassbox_engine::program::Program;
use glassbox_engine::shape::Shape;
use glassbox_engine::training::{Checkpoint, Fit, Fitted, History};
use indexmap::IndexMap;
use ndarray::{Array3, ArrayD, IxDyn};

use crate::samples::AsSamples;
use crate::training::{self, Hooks};
use crate::{Device, Error, Result};

/// Tensors by name, in the order of the layers: `conv1d.kernel`, `conv1d.bias`, ...
pub type Tensors = IndexMap<String, ArrayD<f32>>;

/// Samples in a batch where nothing else is said; as in Keras's `predict`.
const BATCH: usize = 32;

/// Makes a model of an architecture; in the [prelude](crate::prelude).
pub trait Compile {
    /// A model with fresh weights that is trained with this optimiser and loss, on the best device at hand
    /// ([`keras.Model.compile`](https://keras.io/api/models/model_training_apis/)). [`Model::seed`] and [`Model::on`]
    /// choose the seed and the device.
    ///
    /// # Errors
    /// If the architecture has no layers, a hyperparameter is out of range, or no device can be used.
    fn compile(self, optimizer: impl Into<Optimizer>, loss: Loss) -> Result<Model>;
}

/// Sequential and functional models.
impl<N: Into<Network>> Compile for N {
    fn compile(self, optimizer: impl Into<Optimizer>, loss: Loss) -> Result<Model> {
        Model::new(self.into(), optimizer.into(), loss, 0, Device::best()?)
    }
}

/// A compiled model.
///
/// ```
/// use glassbox::prelude::*;
///
/// let mut layers = Sequential::new((16, 1));
/// layers.add(Conv1D::new(4, 3).strides(2).padding(Same).activation(Relu))?;
/// layers.add(Conv1DTranspose::new(1, 3).strides(2).padding(Same))?;
/// let mut model = layers.compile(Adam::new(1e-2), Loss::MeanSquaredError)?.seed(1);
///
/// let series: Vec<f32> = (0..200).map(|t| (t as f32 / 3.0).sin()).collect();
/// let x = Samples::windows(&series, 16, 1)?;
/// let fit = Fit { epochs: 3, ..Fit::default() };
/// let trained = model.fit(&x, &x, fit)?;
/// assert!(trained.history.loss[2] < trained.history.loss[0]);
///
/// let y: Array3<f32> = model.predict(&x)?;
/// assert_eq!(y.dim(), (185, 16, 1));
/// let features = model.activations(&x, "conv1d")?;
/// assert_eq!(features.dim(), (185, 8, 4));
/// assert_eq!(model.gradients(&x, &x)?["conv1d.kernel"].shape(), [3, 1, 4]);
/// # Ok::<(), glassbox::Error>(())
/// ```
pub struct Model {
    pub(crate) architecture: Network,
    pub(crate) optimizer: Optimizer,
    pub(crate) loss: Loss,
    pub(crate) seed: u64,
    device: Device,
    place: Place,
    pub(crate) history: History,
}

/// Where the weights and the optimiser's state are.
enum Place {
    /// Here: nothing was computed yet.
    Host(State<f32>),
    /// On the device.
    Device(Box<dyn Session<f32>>),
}

impl Model {
    /// A model with fresh weights, drawn from `seed`.
    ///
    /// # Errors
    /// If the architecture has no layers, or a hyperparameter is out of range.
    pub fn new(
        architecture: Network,
        optimizer: Optimizer,
        loss: Loss,
        seed: u64,
        device: Device,
    ) -> Result<Self> {
        // Refuses here what no device could compute.
        architecture.plan(loss, optimizer.clone(), seed, 1)?;
        let place = Place::Host(State::new(architecture.layout().initial(seed), &optimizer));
        Ok(Self { architecture, optimizer, loss, seed, device, place, history: History::default() })
    }

    /// A model with these weights, flat in the layout of the architecture. It predicts; if it is trained, then from there,
    /// with Keras's Adam, the mean squared error and seed 0.
    ///
    /// # Errors
    /// If there are not as many weights as the architecture has, one is not finite, or it has no layers.
    pub fn with_weights(architecture: Network, weights: Vec<f32>, device: Device) -> Result<Self> {
        Self::new(architecture, Optimizer::default(), Loss::default(), 0, device)?.start_from(weights)
    }

    /// The same with another seed, which decides the initial weights, the shuffles and the dropout masks. Training
    /// starts again from the beginning.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        let start = State::new(self.architecture.layout().initial(seed), &self.optimizer);
        Self { seed, place: Place::Host(start), history: History::default(), ..self }
    }

    /// The same on another device. The state of training goes with it.
    ///
    /// # Errors
    /// If the device that it leaves fails.
    pub fn on(self, device: Device) -> Result<Self> {
        let state = self.state()?;
        Ok(Self { device, place: Place::Host(state), ..self })
    }

    /// The same with these weights, flat in the layout of the [architecture](Model::architecture), before any training.
    ///
    /// # Errors
    /// If there are not as many as the model has, or one is not finite.
    pub fn start_from(self, weights: Vec<f32>) -> Result<Self> {
        self.architecture.layout().require_finite(&weights)?;
        let place = Place::Host(State::new(weights, &self.optimizer));
        Ok(Self { place, history: History::default(), ..self })
    }

    /// Trains the model to predict `y` from `x`
    /// ([`keras.Model.fit`](https://keras.io/api/models/model_training_apis/)). A model that was trained before goes
    /// on: three epochs and then two are the same to the bit as five. Early stopping and the reduction of the learning rate
    /// begin anew, as in Keras; a learning rate that was reduced stays so.
    ///
    /// # Shapes
    /// * `x`: `(n, steps, channels)` of the input
    /// * `y`: `(n, steps, channels)` of the output; `x` again for an autoencoder
    ///
    /// # Errors
    /// If the samples do not fit the model or are not finite, an option is out of range, a loss or a weight becomes
    /// NaN or infinite (the error says where and when), or the device fails. The model keeps the weights of the last
    /// update.
    pub fn fit(&mut self, x: &impl AsSamples, y: &impl AsSamples, fit: Fit) -> Result<Fitted> {
        self.fit_with(x, y, &fit, Hooks::default())
    }

    /// [`Model::fit`] with callbacks, checkpoints on disk, and a request to stop.
    ///
    /// # Errors
    /// As [`Model::fit`]; [`Error::Interrupted`] after the epoch in which a stop was requested; if a callback fails;
    /// if the checkpoint to resume from is not one of this run.
    pub fn fit_with(
        &mut self,
        x: &impl AsSamples,
        y: &impl AsSamples,
        fit: &Fit,
        hooks: Hooks<'_>,
    ) -> Result<Fitted> {
        let data = Dataset { x: x.as_samples()?, y: y.as_samples()? };
        if fit.batch_size == 0 {
            let expected = "at least 1".into();
            return Err(
                glassbox_engine::Error::Option { option: "batch_size", found: "0".into(), expected }.into()
            );
        }
        // A session need not have room for more samples than there are.
        let batch_size = fit.batch_size.min(data.len().max(1));
        let done = self.history.loss.len();
        let options = Fit { epochs: done + fit.epochs, batch_size, ..fit.clone() };
        let start =
            Checkpoint { epochs: done, history: self.history.clone(), ..Checkpoint::start(self.state()?) };
        let architecture = self.architecture.clone();
        let session = self.session(batch_size)?;
        let fitted = training::run(session, &architecture, &data, &options, start, hooks);
        // The learning rate may have been reduced, also in a run that ended with an error.
        let optimizer = session.plan().optimizer.clone();
        self.optimizer = optimizer;
        let fitted = fitted?;
        let history = fitted.history.since(&self.history);
        self.history = fitted.history;
        Ok(Fitted { history, ..fitted })
    }

    /// The mean loss over all samples, without dropout (`model.evaluate` of Keras).
    ///
    /// # Errors
    /// If the samples do not fit the model or are not finite, or the device fails.
    pub fn evaluate(&mut self, x: &impl AsSamples, y: &impl AsSamples) -> Result<f64> {
        let data = Dataset { x: x.as_samples()?, y: y.as_samples()? };
        let session = self.session(BATCH)?;
        data.check(session.plan())?;
        data.x.require_finite("the input")?;
        data.y.require_finite("the target")?;
        Ok(session.evaluate(&data)?)
    }

    /// Predictions, `(n, steps, channels)` of the output (`model.predict` of Keras). An output of rank 1 has one step;
    /// several outputs are side by side in it. [`Model::predict_each`] gives each in its own shape.
    ///
    /// # Errors
    /// If the samples do not fit the model or are not finite, there is not enough memory for the predictions, or the
    /// device fails.
    pub fn predict(&mut self, x: &impl AsSamples) -> Result<Array3<f32>> {
        let x = x.as_samples()?;
        x.require_finite("the input")?;
        let shape = self.architecture.output_shape();
        let what = format!("the prediction of {} samples, of shape {shape} each,", x.len());
        let bytes = memory::product(&[x.len(), shape.steps, shape.channels, size_of::<f32>()]);
        memory::require(what, bytes, "predict fewer samples at a time")?;
        let mut y = Array3::zeros((x.len(), shape.steps, shape.channels));
        let out = y.as_slice_mut().expect("a new array is contiguous");
        self.session(BATCH)?.predict(&x, out)?;
        Ok(y)
    }

    /// Predictions of each output in its own shape, `(n, steps, channels)` or `(n, units)`, in the order of the outputs.
    ///
    /// # Errors
    /// As [`Model::predict`].
    pub fn predict_each(&mut self, x: &impl AsSamples) -> Result<Vec<ArrayD<f32>>> {
        let y = self.predict(x)?;
        Ok(apart(&self.architecture.outputs(), y.as_slice().expect("a new array is contiguous")))
    }

    /// The output of the layer of this name for each sample, `(n, steps, channels)` of that layer; without dropout.
    ///
    /// # Errors
    /// If there is no such layer, the samples do not fit the model, or the device fails.
    pub fn activations(&mut self, x: &impl AsSamples, layer: &str) -> Result<Array3<f32>> {
        let x = x.as_samples()?;
        let names = || self.architecture.layers().iter().map(|layer| layer.name.as_str());
        let Some(index) = names().position(|name| name == layer) else {
            return Err(Error::NoLayer { name: layer.into(), names: names().collect::<Vec<_>>().join(", ") });
        };
        let shape = self.architecture.layers()[index].output;
        let session = self.session(BATCH)?;
        // Checks the shape as well: an array of no samples has one.
        glassbox_engine::backend::check_prediction(session.plan(), &x.slice(0..0), &[])?;
        let mut values = Vec::with_capacity(x.len() * shape.len());
        for sample in 0..x.len() {
            session.observe(x.get(sample), &mut |at, y| {
                if at == index {
                    values.extend_from_slice(y);
                }
            })?;
        }
        let dim = (x.len(), shape.steps, shape.channels);
        Ok(Array3::from_shape_vec(dim, values).expect("an output for each sample"))
    }

    /// The gradient of the mean loss over these samples with respect to each weight tensor that is trained, as the next
    /// training step would compute it with them as its batch: dropout is active. The weights stay as they are.
    ///
    /// # Errors
    /// If there are no samples, they do not fit the model, or the device fails.
    pub fn gradients(&mut self, x: &impl AsSamples, y: &impl AsSamples) -> Result<Tensors> {
        let data = Dataset { x: x.as_samples()?, y: y.as_samples()? };
        let count = u32::try_from(data.len()).ok().filter(|count| *count > 0);
        let count = count.ok_or_else(|| glassbox_engine::Error::Mismatch {
            what: "the samples of a gradient".into(),
            expected: format!("1 to {} of them", u32::MAX),
            found: data.len().to_string(),
        })?;
        let session = self.session(data.len())?;
        data.check(session.plan())?;
        session.compute_gradient(&data, &(0..count).collect::<Vec<_>>())?;
        let gradient = session.gradient()?;
        let layout = self.architecture.layout();
        let mut gradients = named(layout, &gradient);
        layout.tensors().iter().filter(|tensor| !tensor.trained).for_each(|tensor| {
            gradients.shift_remove(&tensor.name);
        });
        Ok(gradients)
    }

    /// The weights by name, copied from the device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn weights(&self) -> Result<Tensors> {
        Ok(named(self.architecture.layout(), &self.state()?.weights))
    }

    /// The weights as one flat vector, in the layout of the [architecture](Model::architecture).
    ///
    /// # Errors
    /// If the device fails.
    pub fn flat_weights(&self) -> Result<Vec<f32>> {
        Ok(self.state()?.weights)
    }

    /// Replaces all weights. The optimiser's state stays as it is.
    ///
    /// # Errors
    /// If a tensor is missing, has another shape, is not finite or is not the model's; or if the device fails. The
    /// weights are then as before.
    pub fn set_weights(&mut self, weights: &Tensors) -> Result<()> {
        let layout = self.architecture.layout();
        let mut flat = Vec::with_capacity(layout.len());
        for tensor in layout.tensors() {
            let found = weights.get(&tensor.name);
            let Some(values) = found.filter(|found| found.shape() == tensor.shape) else {
                return Err(glassbox_engine::Error::Mismatch {
                    what: format!("tensor {}", tensor.name),
                    expected: format!("shape {:?}", tensor.shape),
                    found: found
                        .map_or("none of that name".into(), |found| format!("shape {:?}", found.shape())),
                }
                .into());
            };
            flat.extend(values.iter());
        }
        if let Some(name) =
            weights.keys().find(|name| layout.tensors().iter().all(|tensor| tensor.name != **name))
        {
            return Err(glassbox_engine::Error::Mismatch {
                what: "the weights".into(),
                expected: "the model's tensors only".into(),
                found: format!("a tensor {name} too"),
            }
            .into());
        }
        layout.require_finite(&flat)?;
        let state = State { weights: flat, ..self.state()? };
        match &mut self.place {
            Place::Host(place) => *place = state,
            Place::Device(session) => session.set_state(&state)?,
        }
        Ok(())
    }

    /// The layers.
    #[must_use]
    pub fn architecture(&self) -> &Network {
        &self.architecture
    }

    /// The table that `model.summary()` of Keras prints.
    #[must_use]
    pub fn summary(&self) -> Summary<'_> {
        self.architecture.summary()
    }

    /// A training step for one sample as a list of instructions, as the layers record it. Print it.
    #[must_use]
    pub fn program(&self) -> Program {
        self.architecture.training_program(self.loss)
    }

    /// The losses and learning rates of all epochs since the model was compiled.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The engine's session, laid out for batches of this many samples at least: for those who drive it themselves.
    ///
    /// # Errors
    /// If the device lacks the memory, or fails.
    pub fn session(&mut self, batch_size: usize) -> Result<&mut dyn Session<f32>> {
        let batch_size = batch_size.max(1);
        let laid_out = match &self.place {
            Place::Host(_) => 0,
            Place::Device(session) => session.plan().batch_size,
        };
        if laid_out < batch_size {
            let plan = self.architecture.plan(self.loss, self.optimizer.clone(), self.seed, batch_size)?;
            let mut session = self.device.backend().session(plan)?;
            session.set_state(&self.state()?)?;
            self.place = Place::Device(session);
        }
        match &mut self.place {
            Place::Device(session) => Ok(&mut **session),
            Place::Host(_) => unreachable!("a session was laid out for a sample at least"),
        }
    }

    /// Goes on from where another run was.
    pub(crate) fn resume_from(&mut self, state: State<f32>, history: History) {
        (self.place, self.history) = (Place::Host(state), history);
    }

    pub(crate) fn state(&self) -> Result<State<f32>> {
        match &self.place {
            Place::Host(state) => Ok(state.clone()),
            Place::Device(session) => Ok(session.state()?),
        }
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { architecture, optimizer, loss, seed, device, history, .. } = self;
        f.debug_struct("Model")
            .field("architecture", architecture)
            .field("optimizer", optimizer)
            .field("loss", loss)
            .field("seed", seed)
            .field("device", device)
            .field("history", history)
            .finish_non_exhaustive()
    }
}

/// Samples of several signals that are side by side, apart.
fn apart(shapes: &[Shape], values: &[f32]) -> Vec<ArrayD<f32>> {
    let width = shapes.iter().map(Shape::len).sum::<usize>().max(1);
    let mut first = 0;
    let signal = |shape: &Shape| {
        let own = first..first + shape.len();
        first = own.end;
        let rows = values.chunks_exact(width).flat_map(|row| &row[own.clone()]);
        let axes: Vec<usize> = std::iter::once(values.len() / width).chain(shape.axes()).collect();
        ArrayD::from_shape_vec(IxDyn(&axes), rows.copied().collect()).expect("a row for each sample")
    };
    shapes.iter().map(signal).collect()
}

/// A flat vector as named tensors.
fn named(layout: &WeightLayout, flat: &[f32]) -> Tensors {
    let array = |shape: &[usize], values: &[f32]| {
        ArrayD::from_shape_vec(IxDyn(shape), values.to_vec()).expect("as many values as the shape says")
    };
    layout.tensors().iter().map(|t| (t.name.clone(), array(&t.shape, &flat[t.range.clone()]))).collect()
}
