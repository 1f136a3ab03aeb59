//! The command on a GPU. None is needed: the driver's and NVRTC's libraries are a stand-in's (`kernels/driver`), which
//! runs the kernels on the host and holds every call to the driver's rules. All else is what a user has.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use glassbox_formats::arrays::{read_npy, write_npy};
use glassbox_stand_in::{Installed, Settings};
use glassbox_tests::backends::can_run_kernels;
use serde_json::Value;
use tempfile::TempDir;

use crate::kit::{fail, first_rows, glassbox, home, succeed, twin};

/// A machine with a GPU, as far as anyone can tell, and a short series.
struct Machine {
    home: TempDir,
    installed: Installed,
    csv: PathBuf,
}

impl Machine {
    /// `None` where kernels cannot be run, which was then said.
    fn new() -> Option<Self> {
        if !can_run_kernels() {
            return None;
        }
        let home = home();
        let installed = glassbox_stand_in::install(&home.path().join("lib")).expect("a stand-in");
        let csv = first_rows(&twin(home.path()).0, 100);
        Some(Self { home, installed, csv })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The command on a GPU of these settings.
    fn glassbox(&self, settings: &Settings) -> Command {
        let mut command = glassbox(self.home.path());
        command.envs(self.installed.environment(settings)).env("CUDA_VISIBLE_DEVICES", "0");
        command
    }

    /// A short training into `out`.safetensors and `out`.json: 85 windows of 16 steps, the last tenth for validation.
    fn train(&self, settings: &Settings, out: &str, device: &str) -> Command {
        let mut command = self.glassbox(settings);
        command.arg("train").arg(&self.csv).args([
            "--time-steps",
            "16",
            "--batch-size",
            "16",
            "--device",
            device,
        ]);
        command.args(["--epochs", "4", "--no-early-stopping"]);
        command.arg("--out").arg(self.path(&format!("{out}.safetensors")));
        command.arg("--history").arg(self.path(&format!("{out}.json")));
        command
    }

    fn model(&self, out: &str) -> Vec<u8> {
        fs::read(self.path(&format!("{out}.safetensors"))).expect("a model")
    }

    /// Losses of training and validation, epoch by epoch.
    fn curve(&self, out: &str) -> Vec<f64> {
        let text = fs::read_to_string(self.path(&format!("{out}.json"))).expect("a history");
        let history: Value = serde_json::from_str(&text).expect("JSON");
        let losses = |name: &str| history[name].as_array().expect("losses").clone();
        let losses = losses("loss").into_iter().chain(losses("val_loss"));
        losses.map(|loss| loss.as_f64().expect("a number")).collect()
    }
}

/// Standard error of a command that succeeds, without a complaint of the driver's.
fn told(command: &mut Command) -> String {
    let output = command.output().expect("the binary starts");
    let told = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success(), "{command:?}: {told}");
    assert!(!told.contains("stand-in:"), "{told}");
    told
}

/// Runs a command and gives the driver's calls.
fn traced(machine: &Machine, command: &mut Command) -> Vec<String> {
    let trace = machine.path("trace");
    let _ = fs::remove_file(&trace);
    told(command.env(glassbox_stand_in::TRACE, &trace));
    fs::read_to_string(trace).expect("a trace").lines().map(Into::into).collect()
}

#[test]
fn a_gpu_is_listed_and_auto_takes_it() {
    let Some(machine) = Machine::new() else { return };
    let settings = Settings::default();
    let table = succeed(machine.glassbox(&settings).arg("devices"));
    assert!(
        table.contains("cuda:0  ") && table.contains("compute capability 9.0, 4 multiprocessors"),
        "{table}"
    );
    assert!(table.contains("nvrtc   13.0") && table.contains("selects cuda:0"), "{table}");
    let json = succeed(machine.glassbox(&settings).args(["devices", "--json"]));
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["auto"], "cuda:0");

    let says = told(&mut machine.train(&settings, "model", "auto"));
    assert!(says.contains("Computing on cuda:0, ") && says.contains("sm_90"), "{says}");
}

/// The whole way from the command to the kernels and back, twice to the bit; and the curve is the CPU's within the
/// bound of tests/cuda.rs, where its reason stands.
#[test]
fn a_run_on_a_gpu_repeats_to_the_bit_and_follows_the_cpus() {
    let Some(machine) = Machine::new() else { return };
    let fused = Settings::default();
    // Turing's blocks have too little shared memory for the fused kernels.
    let plain = Settings { capability: (7, 5), shared_bytes: 64 << 10, ..Settings::default() };
    told(&mut machine.train(&fused, "cpu", "cpu"));
    for (out, settings, how) in [
        ("fused", &fused, "fused training steps: 4 blocks"),
        ("plain", &plain, "which is not fused: its values"),
    ] {
        let says = told(machine.train(settings, out, "cuda").arg("--verbose"));
        assert!(says.contains(how), "{says}");
        told(&mut machine.train(settings, "again", "cuda:0"));
        assert!(machine.model(out) == machine.model("again"), "{how}: another model");
        assert_eq!(machine.curve(out), machine.curve("again"));
        for (epoch, (gpu, cpu)) in machine.curve(out).into_iter().zip(machine.curve("cpu")).enumerate() {
            assert!((gpu - cpu).abs() <= 1e-4 * cpu, "{how}, loss {epoch}: {gpu}, on the CPU {cpu}");
        }
    }
}

/// Everything stays on the device, by the driver's own record: after the first, an epoch is one graph, and nothing is
/// allocated. What goes up is where the epoch begins, Adam's rates and the shuffle. What comes back is a loss for each
/// batch, one for each window of the validation data, and weights and moments, which the host looks through for NaN
/// and keeps if they are the best.
#[test]
fn the_host_looks_only_at_the_end_of_an_epoch() {
    let Some(machine) = Machine::new() else { return };
    let calls = traced(&machine, &mut machine.train(&Settings::default(), "model", "cuda"));
    let epochs: Vec<&[String]> = calls.split(|call| call.starts_with("cuGraphLaunch")).collect();
    assert_eq!(epochs.len(), 1 + 4, "{calls:#?}");
    // 76 windows for training in 5 batches, 9 for validation; two launches a step, and one that counts the batches.
    let captured = epochs[0].iter().filter(|call| call.starts_with("captured: ")).count();
    assert_eq!(captured, 5 * 2 + 1);
    let words = |call: &String| call.split(" bytes of").next().unwrap_or(call).to_string();
    for epoch in &epochs[2..4] {
        let epoch: Vec<String> = epoch.iter().map(words).collect();
        let expected = [
            "cuMemcpyDtoHAsync 40 bytes",
            "cuStreamSynchronize",
            "cuLaunchKernel fused_score 4x1x1 blocks of 256x1x1 threads, 53984",
            "cuMemcpyDtoHAsync 72 bytes",
            "cuStreamSynchronize",
            "cuMemcpyDtoHAsync 38020 bytes",
            "cuStreamSynchronize",
            "cuMemcpyDtoHAsync 38020 bytes",
            "cuStreamSynchronize",
            "cuMemcpyDtoHAsync 38020 bytes",
            "cuStreamSynchronize",
            "cuMemcpyHtoDAsync 20 bytes",
            "cuMemcpyHtoDAsync 20 bytes",
            "cuMemcpyHtoDAsync 304 bytes",
        ];
        assert_eq!(epoch, expected);
    }
}

#[test]
fn every_command_that_computes_takes_a_gpu() {
    let Some(machine) = Machine::new() else { return };
    let settings = Settings::default();
    told(&mut machine.train(&settings, "model", "cuda"));
    let model = machine.path("model.safetensors");
    let detect = |device: &str| {
        let mut command = machine.glassbox(&settings);
        command.arg("detect").arg(&machine.csv).arg("--model").arg(&model).args(["--device", device]);
        // The points alone: scores are rounded differently.
        command.args(["--rule", "published"]);
        told(&mut command);
        succeed(&mut command)
    };
    assert_eq!(detect("cuda"), detect("cpu"));

    let windows: Vec<f32> = (0..2 * 16).map(|i| (i as f32 * 0.7).sin()).collect();
    let windows = ndarray::Array3::from_shape_vec((2, 16, 1), windows).expect("two windows");
    let npy = machine.path("windows.npy");
    write_npy(&npy, windows.view()).expect("room");
    let predict = |device: &str| {
        let out = machine.path(&format!("{device}.npy"));
        let mut command = machine.glassbox(&settings);
        command.arg("predict").arg("--model").arg(&model).args(["--device", device]);
        told(command.arg("--input").arg(&npy).arg("--output").arg(&out));
        read_npy(&out).expect("an array")
    };
    let (gpu, cpu) = (predict("cuda"), predict("cpu"));
    // The same sums in another order: some hundred terms of about 1, so some roundings of 6e-8.
    let far = gpu.iter().zip(&cpu).find(|(gpu, cpu)| (*gpu - *cpu).abs() > 1e-5);
    assert_eq!(far, None);

    let mut profile = machine.glassbox(&settings);
    profile.args(["profile", "--time-steps", "16", "--batch-size", "8", "--steps", "2", "--device", "cuda"]);
    let table = succeed(&mut profile);
    assert!(table.contains("cuda:0"), "{table}");
}

/// Kernels are compiled once, also by two commands that start at the same time; and again if a file is not whole.
#[test]
fn kernels_are_compiled_once() {
    let Some(machine) = Machine::new() else { return };
    let settings = Settings::default();
    let compiled = |calls: &[String]| -> Vec<String> {
        calls.iter().filter_map(|call| call.strip_prefix("nvrtcCompileProgram ")).map(Into::into).collect()
    };
    let all = ["plain.cu sm_90", "fused_step.cu sm_90", "fused_score.cu sm_90"];
    assert_eq!(compiled(&traced(&machine, &mut machine.train(&settings, "first", "cuda"))), all);
    assert!(compiled(&traced(&machine, &mut machine.train(&settings, "second", "cuda"))).is_empty());
    // A newer driver may want other machine code.
    let newer = Settings { driver: 13_010, ..Settings::default() };
    assert_eq!(compiled(&traced(&machine, &mut machine.train(&newer, "second", "cuda"))), all);

    let kept = machine.path("cache/kernels");
    let files = || fs::read_dir(&kept).expect("a cache").map(|file| file.expect("a file").path());
    assert_eq!(files().count(), 6);
    for file in files() {
        let whole = fs::read(&file).expect("a kernel");
        fs::write(&file, &whole[..whole.len() / 2]).expect("room");
    }
    assert_eq!(compiled(&traced(&machine, &mut machine.train(&settings, "second", "cuda"))), all);

    fs::remove_dir_all(&kept).expect("it was there");
    let both =
        ["third", "fourth"].map(|out| machine.train(&settings, out, "cuda").spawn().expect("it starts"));
    for mut run in both {
        assert!(run.wait().expect("it ends").success());
    }
    assert_eq!(files().count(), 3);
    assert!(["second", "third", "fourth"].iter().all(|out| machine.model(out) == machine.model("first")));
}

/// A GPU that is newer than NVRTC gets the PTX of the newest that NVRTC knows.
#[test]
fn a_gpu_that_is_newer_than_nvrtc_is_compiled_for_by_the_driver() {
    let Some(machine) = Machine::new() else { return };
    let settings = Settings { architectures: vec![75, 80, 86], ..Settings::default() };
    let calls = traced(&machine, &mut machine.train(&settings, "model", "cuda"));
    assert!(calls.iter().any(|call| call == "cuModuleLoadData fused_step.cu compute_86"), "{calls:#?}");
}

/// Whatever a driver can say ends with code 7 and words that name the cause and a way out; and nothing is written.
#[test]
fn what_the_driver_refuses_is_code_7_by_its_cause() {
    let Some(machine) = Machine::new() else { return };
    let usual = Settings::default();
    fs::write(machine.path("model.safetensors"), "what was there").expect("room");
    for (settings, words) in [
        (Settings { present: false, ..usual.clone() }, ["no GPU number 0", "sees none"]),
        (Settings { driver: 11_040, ..usual.clone() }, ["CUDA 11.4", "install a newer driver"]),
        (Settings { capability: (7, 0), ..usual.clone() }, ["compute capability 7.0", "7.5 is needed"]),
        (Settings { memory: 100_000, ..usual.clone() }, ["out of device memory", "--batch-size"]),
        (
            Settings { lost_after: Some(3), ..usual.clone() },
            ["the GPU was lost", "CUDA_ERROR_ECC_UNCORRECTABLE"],
        ),
    ] {
        let error = fail(&mut machine.train(&settings, "model", "cuda"), 7);
        for word in words {
            assert!(error.contains(word), "{settings:?}: {error}");
        }
        assert!(!error.contains("stand-in:"), "{error}");
        assert_eq!(machine.model("model"), b"what was there");
        assert!(!machine.path("model.json").exists());
    }
    // Code of a compiler of CUDA 13 is nothing that a driver of CUDA 12 knows.
    let older = Settings { driver: 12_040, ..usual.clone() };
    let error = fail(&mut machine.train(&older, "model", "cuda"), 7);
    assert!(error.contains("NVRTC 13.0 is too new for the driver, which is for CUDA 12.4"), "{error}");
    let error = fail(machine.train(&usual, "model", "cuda").env("GLASSBOX_NVRTC", "nowhere.so"), 7);
    assert!(error.contains("nowhere.so") && error.contains("GLASSBOX_NVRTC"), "{error}");
    // By itself it computes on the CPU, and says why.
    let old = Settings { driver: 11_040, ..usual };
    let says = told(machine.train(&old, "model", "auto").arg("--verbose"));
    assert!(
        says.contains("no GPU is used") && says.contains("CUDA 11.4") && says.contains("Computing on cpu"),
        "{says}"
    );
}

/// A GPU that is lost in mid-run leaves the last checkpoint; from there the run ends as if nothing had been.
#[test]
fn a_lost_gpu_leaves_a_run_that_goes_on() {
    let Some(machine) = Machine::new() else { return };
    let usual = Settings::default();
    told(&mut machine.train(&usual, "undisturbed", "cuda"));
    let checkpoints: [OsString; 2] = ["--checkpoint-dir".into(), machine.path("run").into()];
    // An epoch is 11 launches, and one for the validation: this is in the third.
    let lost = Settings { lost_after: Some(30), ..usual.clone() };
    let error = fail(machine.train(&lost, "model", "cuda").args(&checkpoints), 7);
    assert!(error.contains("the GPU was lost") && error.contains("--resume"), "{error}");
    assert!(!machine.path("model.safetensors").exists());
    told(machine.train(&usual, "model", "cuda").args(&checkpoints).arg("--resume"));
    assert!(machine.model("model") == machine.model("undisturbed"));
}
