"""Keras opens what glassbox writes, and glassbox what Keras writes; onnxruntime runs what glassbox exports.

    python tests/interop/keras_files.py target/release/glassbox

Each check says what it compared. Exits with 1 if one fails.
"""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import traceback
import warnings
import zipfile
from pathlib import Path

# Before TensorFlow starts. One thread and no oneDNN: sums are then taken in one fixed order.
os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3", TF_ENABLE_ONEDNN_OPTS="0",
                  CUDA_VISIBLE_DEVICES="-1")

import h5py  # noqa: E402
import keras  # noqa: E402
import numpy as np  # noqa: E402
import onnx  # noqa: E402
import onnxruntime  # noqa: E402
from safetensors import safe_open  # noqa: E402

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
# Of the largest value. Both sides round in float32: once for each of some dozens of products of numbers near 1; and
# after eight training steps, each of which amplifies the difference.
ROUNDING, AFTER_STEPS = 4e-6, 2e-5
FIT = dict(epochs=2, batch_size=6, shuffle=False, validation_split=0.2)
GLASSBOX = Path(sys.argv[1]).resolve()


def glassbox(*arguments):
    done = subprocess.run([GLASSBOX, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, f"glassbox {' '.join(map(str, arguments))}: {done.stderr}"
    return done.stdout


def load(path):
    """A model. If Keras skips something in a file of ours, it fails."""
    with warnings.catch_warnings():
        if FIXTURES not in path.parents:
            warnings.filterwarnings("error", message=".*(Skipping|could not be loaded).*")
        return keras.models.load_model(path)


def close(found, expected, part, what, largest=None):
    """Both differ by no more than a part of the largest value: of those expected, or as given."""
    found, expected = np.asarray(found, "f8"), np.asarray(expected, "f8")
    assert found.shape == expected.shape, f"{what}: shape {found.shape}, expected {expected.shape}"
    largest = np.max(np.abs(expected), initial=0.0) if largest is None else largest
    error = np.max(np.abs(found - expected), initial=0.0) / max(largest, 1e-30)
    assert error <= part, f"{what}: off by {error:.1e} of the largest value, more than {part:.0e}"


def arrays(path):
    """The datasets of a .keras or .h5 file by their paths, and its architecture."""
    if path.suffix == ".h5":
        config, file = None, path
    else:
        with zipfile.ZipFile(path) as archive:
            config, file = archive.read("config.json").decode(), io.BytesIO(archive.read("model.weights.h5"))
        # The numbers of objects that a model has twice, which nothing reads, and what some initializers have no value for.
        config = json.loads(re.sub(r', "(shared_object_id|input_axes|output_axes)": (\d+|null)', "", config))
    found = {}
    with h5py.File(file) as root:
        root.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return config, found


def same(path, other):
    """Both files hold the same, to the bit."""
    (config, ours), (expected_config, expected) = arrays(path), arrays(other)
    # Keras makes the moments of an optimizer at its first step. They are zeros.
    expected = {name: 0 * value for name, value in ours.items()
                 if name.startswith("optimizer") and expected.get("optimizer/vars/0") == 0} | expected
    assert ours.keys() == expected.keys(), sorted(ours.keys() ^ expected.keys())
    for name, value in expected.items():
        assert np.array_equal(ours[name], value) and np.shape(ours[name]) == np.shape(value), name
    assert config == expected_config, "another config.json"


def samples(shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(20, *shape[1:])).astype("f4") for shape in shapes]


def predictions(model, path, folder, inputs):
    """Predictions of Keras and of glassbox."""
    options = []
    for index, values in enumerate(inputs):
        np.save(folder / f"x{index}.npy", values)
        options += ["--input", folder / f"x{index}.npy"]
    for index in range(len(model.outputs)):
        options += ["--output", folder / f"y{index}.npy"]
    glassbox("predict", "--quiet", "--model", path, *options)
    expected = model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
    expected = expected if isinstance(expected, list) else [expected]
    return expected, [np.load(folder / f"y{index}.npy") for index in range(len(expected))]


# ---- checks ----------------------------------------------------------------------------------------------------------

def read_and_written(path, folder):
    """A file of Keras predicts as in Keras, and holds the same once glassbox has written it."""
    model = load(path)
    inputs = samples([tensor.shape for tensor in model.inputs])
    for found, expected in zip(*predictions(model, path, folder, inputs)):
        close(expected, found, ROUNDING, "prediction")
    exported(model, path, folder, inputs)
    glassbox("convert", "--quiet", path, folder / "again.keras")
    same(folder / "again.keras", path)
    again = load(folder / "again.keras")
    assert again.get_config() == model.get_config()
    assert again.get_compile_config() == model.get_compile_config()
    glassbox("convert", "--quiet", path, folder / "again.weights.h5")
    again.load_weights(folder / "again.weights.h5")
    glassbox("convert", "--quiet", path, folder / "again.safetensors")
    glassbox("convert", "--quiet", folder / "again.safetensors", folder / "once_more.keras")
    same(folder / "once_more.keras", path)


def exported(model, path, folder, inputs):
    """The same model in onnxruntime: valid, with the names and shapes of Keras, and its predictions."""
    try:
        glassbox("convert", "--quiet", path, folder / "model.onnx")
    except AssertionError as refusal:
        # ONNX has no such recurrence.
        if re.search(r"(selu|silu|gelu) within a recurrent layer has no operator in ONNX", str(refusal)):
            return
        raise
    onnx.checker.check_model(folder / "model.onnx", full_check=True)
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    assert [signal.name for signal in session.get_inputs()] == [tensor.name for tensor in model.inputs]
    for signals, tensors in ((session.get_inputs(), model.inputs), (session.get_outputs(), model.outputs)):
        assert [signal.shape for signal in signals] == [["batch", *tensor.shape[1:]] for tensor in tensors]
    expected = model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
    expected = expected if isinstance(expected, list) else [expected]
    for batch in (len(inputs[0]), 1):
        found = session.run(None, {signal.name: values[:batch] for signal, values in zip(session.get_inputs(), inputs)})
        for one, other in zip(found, expected, strict=True):
            # The terms of an output are as large as those of other samples, even where they cancel.
            close(one, other[:batch], ROUNDING, "prediction of onnxruntime", np.max(np.abs(other)))


def training_goes_on(path, folder):
    """Keras and glassbox go on with the same training, each from a file of the other."""
    model = load(path)
    x, y = samples([model.input_shape, model.output_shape], 1)
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)

    def fit(start, out):
        glassbox("fit-arrays", "--quiet", "--model", start, "--input", folder / "x.npy", "--target", folder / "y.npy",
                 "--epochs", FIT["epochs"], "--batch-size", FIT["batch_size"], "--validation-split",
                 FIT["validation_split"], "--no-shuffle", "--out", out, "--history", folder / "history.json")
        return json.loads((folder / "history.json").read_text())

    def compare(history, expected, path, model):
        for curve in ("loss", "val_loss"):
            close(history[curve], expected[curve], AFTER_STEPS, curve)
        (_, ours), (_, theirs) = arrays(path), arrays_of(model, folder)
        assert ours.keys() == theirs.keys()
        for name, value in theirs.items():
            close(ours[name], value, AFTER_STEPS, name)

    # Begun in Keras: one more fit there and here, then another.
    compare(fit(path, folder / "one.keras"), model.fit(x, y, verbose=0, **FIT).history, folder / "one.keras", model)
    # Begun here: Keras goes on from our file.
    model = load(folder / "one.keras")
    compare(fit(folder / "one.keras", folder / "two.keras"), model.fit(x, y, verbose=0, **FIT).history,
            folder / "two.keras", model)


def arrays_of(model, folder):
    model.save(folder / "of_keras.keras")
    return arrays(folder / "of_keras.keras")


def random_model(text, batch_size, folder):
    """A model that was trained for an epoch in Keras."""
    model = keras.models.model_from_json(text)
    inputs = samples([tensor.shape for tensor in model.inputs], 2)
    targets = samples([tensor.shape for tensor in model.outputs], 3)
    model.fit(inputs, targets, verbose=0, batch_size=batch_size)
    model.save(folder / "random.keras")
    read_and_written(folder / "random.keras", folder)


def detector(folder):
    """A detector opens in Keras, and detects the same from either format."""
    rows = [f"2014-04-{1 + i // 288:02} {i % 288 // 12:02}:{i % 12 * 5:02}:00,{np.sin(i / 8) + i % 7 / 20:.6f}\n"
            for i in range(600)]
    (folder / "series.csv").write_text("timestamp,value\n" + "".join(rows))
    for name in ("detector.keras", "detector.safetensors"):
        glassbox("train", "--quiet", folder / "series.csv", "--time-steps", 16, "--epochs", 2, "--out", folder / name)
    scores = [glassbox("detect", "--quiet", folder / "series.csv", "--model", folder / name)
              for name in ("detector.keras", "detector.safetensors")]
    assert scores[0] == scores[1] and len(scores[0]) > 600 * 20, "other scores"
    model = load(folder / "detector.keras")
    for expected, found in zip(*predictions(model, folder / "detector.keras", folder, samples([model.input_shape]))):
        close(found, expected, ROUNDING, "prediction")
    glassbox("convert", "--quiet", folder / "detector.keras", folder / "again.safetensors")
    assert (folder / "again.safetensors").read_bytes() == (folder / "detector.safetensors").read_bytes()


def fresh_model(text, folder):
    """A model with the weights with which Keras starts."""
    text = text if isinstance(text, str) else json.dumps(text)
    keras.models.model_from_json(text).save(folder / "fresh.keras")
    read_and_written(folder / "fresh.keras", folder)


def checks():
    for path in sorted((FIXTURES / "keras_files").glob("*.keras")):
        if path.stem not in ("lambda", "unsupported"):
            yield f"{path.name}: read and written", read_and_written, (path,)
        if path.stem in ("autoencoder", "layers", "graph", "fresh"):
            yield f"{path.name}: training goes on", training_goes_on, (path,)
    with safe_open(FIXTURES / "random_models.safetensors", "np") as file:
        cases = json.loads(file.metadata()["cases"])
    for case in cases:
        yield f"random model {case['name']}", random_model, (case["architecture"], case["batch_size"])
    for name in ("recurrent", "merging", "batch_normalization"):
        with safe_open(FIXTURES / f"{name}.safetensors", "np") as file:
            for case in json.loads(file.metadata()["cases"]):
                yield f"{name} {case['name']}", fresh_model, (case["architecture"],)
    yield "a detector", detector, ()


def main():
    failed = 0
    for name, check, arguments in checks():
        keras.backend.clear_session()
        keras.utils.set_random_seed(1)
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
            try:
                check(*arguments, Path(folder))
                print(f"{name}: ok", flush=True)
            except Exception:
                failed += 1
                print(f"{name}: FAILED\n{traceback.format_exc()}", flush=True)
    print(f"{failed} failed" if failed else "all passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
