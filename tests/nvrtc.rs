//! Every kernel compiles for every architecture, without a word from the compiler. NVRTC needs neither a GPU nor a
//! driver: `GLASSBOX_NVRTC` names its library.

use glassbox_cuda::device::Source;
use glassbox_cuda::device::nvrtc::OPTIONS;
use glassbox_cuda::fused::{Tuning, Tunings, programs};
use glassbox_cuda::kernels::FUSED_FILES;
use glassbox_cuda::{DeviceError, kernels};
use glassbox_pipeline::architecture::tutorial_model;
use glassbox_tests::backends::{Setup, hopper, properties};
use glassbox_tests::cubin;
use glassbox_tests::nvrtc::nvrtc;

/// Turing, Ampere, Hopper, Blackwell: from the oldest that is supported on.
const ARCHITECTURES: [(u32, u32); 4] = [(7, 5), (8, 0), (9, 0), (10, 0)];

#[test]
fn every_plain_kernel_compiles_for_every_architecture_without_a_warning() {
    let Some(nvrtc) = nvrtc() else { return };
    for capability in ARCHITECTURES {
        let architecture = nvrtc.architecture(capability);
        assert_eq!(architecture, format!("sm_{}{}", capability.0, capability.1), "{nvrtc:?} knows it");
        let compiled =
            nvrtc.compile(&kernels::plain(), &architecture).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(compiled.log, "", "{architecture}");
        // Machine code is an ELF file, and names its kernels.
        assert!(compiled.image.starts_with(b"\x7fELF"), "{architecture}");
        for kernel in [&b"apply_transposed"[..], b"correlate", b"adam", b"draw"] {
            assert!(compiled.image.windows(kernel.len()).any(|bytes| bytes == kernel), "{architecture}");
        }
    }
}

/// The tutorial's step with more threads than by default, as the bench of the GPU has it, keeps everything in registers,
/// of which each thread then has fewer.
#[test]
fn other_tunings_of_the_tutorials_step_compile_without_a_warning_and_spill_nothing() {
    let Some(nvrtc) = nvrtc() else { return };
    let model = tutorial_model(288).expect("a multiple of 4");
    let setup = Setup::new(&model);
    let plan = model.plan(setup.loss, setup.optimizer, setup.seed, 128).expect("a plan");
    let compile = |threads: usize| {
        let tuning = Tuning { threads, straight: 600, ..Tunings::default().step };
        let [step, _] = programs(&plan, &properties(&hopper(132)), tuning.into()).expect("it fits");
        let mut headers = FUSED_FILES.to_vec();
        headers.push(("fused_program.cuh", &step.header));
        let (name, text) = *headers.iter().find(|(name, _)| *name == step.file).expect("its file");
        let source = Source { name, text, headers: &headers };
        let compiled = nvrtc.compile(&source, "sm_90").unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(compiled.log, "", "{threads} threads");
        let kernels = cubin::kernels(&compiled.image);
        assert_eq!(kernels.len(), 2, "{kernels:?}");
        for kernel in kernels {
            // A multiprocessor has 65,536 registers, for whole warps.
            let most = if kernel.name == "fused_gradient" { 65_536 / threads as u64 } else { 255 };
            let fits = (16..=most.min(255)).contains(&kernel.registers);
            assert!(fits && kernel.frame == 0, "{threads} threads: {kernel:?}");
        }
    };
    // Each takes the compiler some seconds.
    std::thread::scope(|scope| {
        let compile = &compile;
        let others = [384, 512].map(|threads| scope.spawn(move || compile(threads)));
        for other in others {
            other.join().expect("no panic");
        }
    });
}

/// The test above can fail: what does not fit into registers is seen.
#[test]
fn what_is_spilled_is_seen() {
    let Some(nvrtc) = nvrtc() else { return };
    // 128 values that are all needed after a barrier, in 64 registers.
    let text = "extern \"C\" __global__ void __launch_bounds__(1024) k(float* x, int n) {
        float kept[128], sum = 0.0f;
        for (int i = 0; i < 128; i++) kept[i] = x[i * n];
        __syncthreads();
        for (int i = 0; i < 128; i++) sum = sum * kept[i] + kept[(i * 37 + 5) % 128];
        x[0] = sum;
    }";
    let source = Source { name: "k.cu", text, headers: &[] };
    let image = nvrtc.compile(&source, "sm_90").expect("it compiles").image;
    let kernels = cubin::kernels(&image);
    assert_eq!((kernels.len(), kernels[0].name.as_str()), (1, "k"));
    assert!(kernels[0].registers <= 64 && kernels[0].frame >= 4 * (128 - 64), "{kernels:?}");
}

/// A GPU that is newer than the compiler gets code that its driver can compile.
#[test]
fn what_nvrtc_does_not_know_yet_is_compiled_for_the_newest_that_it_knows() {
    let Some(nvrtc) = nvrtc() else { return };
    let architecture = nvrtc.architecture((99, 0));
    assert!(architecture.starts_with("compute_"), "{architecture}");
    let source = Source { name: "empty.cu", text: "extern \"C\" __global__ void nothing() {}", headers: &[] };
    let image = nvrtc.compile(&source, &architecture).expect("PTX").image;
    assert!(String::from_utf8_lossy(&image).contains(".entry nothing") && image.ends_with(&[0]));
}

/// The test above can fail: what is wrong, or only doubtful, is heard of, by its file and line.
#[test]
fn a_mistake_is_named_by_file_and_line() {
    let Some(nvrtc) = nvrtc() else { return };
    let compile = |header: &str| {
        let headers = [("inner.cuh", header)];
        let source = Source { name: "outer.cu", text: "#include \"inner.cuh\"\n", headers: &headers };
        nvrtc.compile(&source, "sm_90")
    };
    let error = compile("\n\n__global__ void k(float* x) { x[0] = nothing; }").unwrap_err();
    let DeviceError::Compile { log, .. } = &error else { panic!("{error}") };
    assert!(log.contains("inner.cuh") && log.contains("(3)") && log.contains("nothing"), "{log}");
    let doubtful = compile("__global__ void k(float* x) { int unused; x[0] = 1; }").expect("it compiles");
    assert!(doubtful.log.contains("unused"), "{}", doubtful.log);
}

/// The arithmetic that kernels are written for: no multiply-add is fused behind their backs.
#[test]
fn multiply_adds_are_fused_where_the_source_says_so_only() {
    assert!(OPTIONS.contains(&"--fmad=false"));
    let Some(nvrtc) = nvrtc() else { return };
    let ptx = |expression: &str| {
        let text = format!("extern \"C\" __global__ void k(float* x) {{ x[0] = {expression}; }}");
        let source = Source { name: "k.cu", text: &text, headers: &[] };
        String::from_utf8(nvrtc.compile(&source, "compute_90").expect("PTX").image).expect("text")
    };
    assert!(ptx("fmaf(x[1], x[2], x[3])").contains("fma.rn.f32"));
    assert!(!ptx("x[1] * x[2] + x[3]").contains("fma.rn.f32"));
}
