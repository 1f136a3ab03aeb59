//! The Keras tutorial "Timeseries anomaly detection using an autoencoder", line by line.
//!
//! ```sh
//! cargo run --release -p glassbox --example tutorial            # on built-in synthetic data
//! GLASSBOX_NAB=path/to/NAB/data cargo run --release -p glassbox --example tutorial
//! ```

use glassbox::ndarray::Array1;
use glassbox::prelude::*;
use glassbox_pipeline::nab::{self, Places, Source};

const TIME_STEPS: usize = 288;

/// The mean absolute error of each window's reconstruction.
fn errors(x: &Samples<'_, f32>, y: &Array3<f32>) -> Vec<f32> {
    let windows = y.outer_iter().enumerate();
    windows.map(|(i, y)| (&x.view(i) - &y).abs().mean().expect("a window has values")).collect()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // df_small_noise = pd.read_csv(...); df_daily_jumpsup = pd.read_csv(...)
    let data = nab::load(&Source::choose(&Places::from_env(None), 0))?;
    println!("{}", data.train.series.head(5));

    // training_mean = df_small_noise.mean(); training_std = df_small_noise.std()
    let train = Array1::from(data.train.series.values().to_vec());
    let test = Array1::from(data.test.series.values().to_vec());
    let (mean, std) = (train.mean().expect("rows"), train.std(1.0));
    let normalise = |values: Array1<f64>| values.mapv(|v| ((v - mean) / std) as f32).to_vec();
    let (train, test) = (normalise(train), normalise(test));
    println!("Number of training samples: {}", train.len());

    // x_train = create_sequences(df_training_value.values): a view here, without a copy.
    let x_train = Samples::windows(&train, TIME_STEPS, 1)?;
    println!("Training input shape: ({}, {TIME_STEPS}, 1)", x_train.len());

    // model = keras.Sequential([...]); model.compile(...); model.summary()
    let mut layers = Sequential::new((TIME_STEPS, 1));
    layers.add(Conv1D::new(32, 7).padding(Same).strides(2).activation(Relu))?;
    layers.add(Dropout::new(0.2))?;
    layers.add(Conv1D::new(16, 7).padding(Same).strides(2).activation(Relu))?;
    layers.add(Conv1DTranspose::new(16, 7).padding(Same).strides(2).activation(Relu))?;
    layers.add(Dropout::new(0.2))?;
    layers.add(Conv1DTranspose::new(32, 7).padding(Same).strides(2).activation(Relu))?;
    layers.add(Conv1DTranspose::new(1, 7).padding(Same))?;
    let mut model = layers.compile(Adam::new(0.001), Loss::MeanSquaredError)?.seed(1);
    println!("{}", model.summary());

    // history = model.fit(x_train, x_train, ..., callbacks=[EarlyStopping(monitor="val_loss", patience=5)])
    let fit = Fit { epochs: 50, batch_size: 128, validation_split: 0.1, ..Fit::default() };
    let fitted = model.fit(&x_train, &x_train, fit.early_stopping(EarlyStopping::patience(5)))?;
    for (epoch, (loss, val_loss)) in fitted.history.loss.iter().zip(&fitted.history.val_loss).enumerate() {
        println!("Epoch {}: loss {loss:.4}, val_loss {val_loss:.4}", epoch + 1);
    }

    // train_mae_loss = np.mean(np.abs(x_train_pred - x_train), axis=1); threshold = np.max(train_mae_loss)
    let threshold = errors(&x_train, &model.predict(&x_train)?).into_iter().fold(0.0, f32::max);
    println!("Reconstruction error threshold: {threshold}");

    // x_test = create_sequences(df_test_value.values); anomalies = test_mae_loss > threshold
    let x_test = Samples::windows(&test, TIME_STEPS, 1)?;
    let test_errors = errors(&x_test, &model.predict(&x_test)?);
    let anomalies: Vec<bool> = test_errors.iter().map(|error| *error > threshold).collect();
    println!("Number of anomaly samples: {}", anomalies.iter().filter(|anomalous| **anomalous).count());

    // A point is anomalous if all windows that contain it are, by the rule of the tutorial.
    let anomalous = |&i: &usize| anomalies[i - TIME_STEPS + 1..i].iter().all(|anomalous| *anomalous);
    let points: Vec<usize> = (TIME_STEPS - 1..test.len() - TIME_STEPS + 1).filter(anomalous).collect();
    if let (Some(first), Some(last)) = (points.first(), points.last()) {
        let time = |row: &usize| data.test.series.timestamp_text(*row);
        println!("{} anomalous points, from {} to {}", points.len(), time(first), time(last));
    }
    Ok(())
}
