//! The shim runs kernels as CUDA does, and each of its checks fires on a kernel that is broken in just that way.

use std::io::Write as _;

use glassbox_engine::random::{Purpose, Stream, philox_4x32_10};
use glassbox_shim::{Function, HostDevice, Launch, Result, Source, compile};

const DIALECT: (&str, &str) = ("dialect.cuh", include_str!("../../dialect.cuh"));
const PHILOX: (&str, &str) = ("philox.cuh", include_str!("../../philox.cuh"));
const SUMS: &str = include_str!("sums.cu");
const BROKEN: &str = include_str!("broken.cu");

/// A source that includes the kernels' dialect and Philox.
fn source(name: &str, text: &str) -> Source {
    let headers = [DIALECT, PHILOX].map(|(name, text)| (name.into(), text.into()));
    Source { name: name.into(), text: text.into(), headers: headers.into() }
}

/// An argument that is a number.
fn number(n: u32) -> Vec<u8> {
    n.to_ne_bytes().into()
}

/// An argument that is a pointer.
fn pointer(address: u64) -> Vec<u8> {
    address.to_ne_bytes().into()
}

/// A launch of a row of blocks.
fn launch(function: Function, grid: u32, block: u32, shared_bytes: u32, args: Vec<Vec<u8>>) -> Launch {
    Launch { function, grid: [grid, 1, 1], block: [block, 1, 1], shared_bytes, args }
}

/// A device, and a buffer of 64 words of which the first 32 are written.
struct Bench {
    device: HostDevice,
    memory: u64,
}

impl Bench {
    fn new() -> Self {
        let mut device = HostDevice::new(64 * 1024);
        let memory = device.alloc(64 * 4);
        let words: Vec<u8> = (0..32u32).flat_map(u32::to_ne_bytes).collect();
        device.upload(&words, memory).unwrap();
        Self { device, memory }
    }

    fn run(&mut self, kernel: &str, grid: u32, block: u32, shared_bytes: u32) -> Result<()> {
        let function = compile(&source("broken.cu", BROKEN))?.function(kernel)?;
        let args = vec![pointer(self.memory)];
        self.device.launch(&launch(function, grid, block, shared_bytes, args))
    }

    fn fault(&mut self, kernel: &str, grid: u32, block: u32) -> String {
        self.run(kernel, grid, block, 0).expect_err("a broken kernel").to_string()
    }

    fn words(&mut self, count: usize) -> Vec<u32> {
        let mut bytes = vec![0; 4 * count];
        self.device.download(self.memory, &mut bytes).unwrap();
        bytes.chunks(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap())).collect()
    }
}

/// Without a C++ compiler there is nothing to run: that is said, and in CI it fails.
fn skips() -> bool {
    if glassbox_shim::has_compiler() {
        return false;
    }
    assert!(std::env::var_os("CI").is_none(), "no C++ compiler: in CI nothing may skip");
    let test = std::thread::current().name().unwrap_or("a test").to_string();
    // Not `eprintln!`: what a passing test prints by it is never shown.
    let _ =
        writeln!(std::io::stderr(), "skipped {test}: install a C++ compiler, or name one in CXX, to run it");
    true
}

/// Shared memory, both kinds, barriers, shuffles, a second launch that reads what the first wrote.
#[test]
fn sums_of_blocks() {
    if skips() {
        return;
    }
    let mut device = HostDevice::new(64 * 1024);
    let (blocks, threads, n) = (5u32, 96u32, 1000u32);
    let values: Vec<f32> = (0..n).map(|i| (i % 17) as f32).collect();
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
    let [x, partial, sum] = [bytes.len(), 4 * blocks as usize, 4].map(|len| device.alloc(len));
    device.upload(&bytes, x).unwrap();
    let source = source("sums.cu", &format!("#define THREADS {threads}\n{SUMS}"));
    let mut run = |kernel: &str, grid: u32, block: u32, shared_bytes, args| {
        let function = compile(&source).unwrap().function(kernel).unwrap();
        device.launch(&launch(function, grid, block, shared_bytes, args)).unwrap();
    };
    let length = number(n);
    run("block_sums", blocks, threads, 4 * threads, vec![pointer(x), length, pointer(partial)]);
    let length = number(blocks);
    run("warp_sum", 1, 32, 0, vec![pointer(partial), length, pointer(sum)]);
    let mut found = [0; 4];
    device.download(sum, &mut found).unwrap();
    assert_eq!(f32::from_ne_bytes(found), values.iter().sum::<f32>());
}

/// The authors' known answers, and counters and keys at random.
#[test]
fn philox_is_philox() {
    if skips() {
        return;
    }
    let ones = u32::MAX;
    let mut draws = Stream::new(11, Purpose::Check, 0, 0).draws();
    let mut cases = vec![([0; 4], [0; 2]), ([ones; 4], [ones; 2])];
    cases.extend((0..300).map(|_| ([0; 4].map(|_| draws.next_u32()), [0; 2].map(|_| draws.next_u32()))));
    let expected: Vec<u32> = cases.iter().flat_map(|(counter, key)| philox_4x32_10(*counter, *key)).collect();
    assert_eq!(expected[..4], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);

    let mut device = HostDevice::new(64 * 1024);
    let mut upload = |words: Vec<u32>| {
        let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
        let memory = device.alloc(bytes.len());
        device.upload(&bytes, memory).unwrap();
        memory
    };
    let words = upload(cases.iter().flat_map(|(counter, _)| *counter).collect());
    let keys = upload(cases.iter().flat_map(|(_, key)| *key).collect());
    let function =
        compile(&source("philox.cu", include_str!("philox.cu"))).unwrap().function("philox").unwrap();
    let n = cases.len() as u32;
    let args = vec![pointer(words), pointer(keys), number(n)];
    device.launch(&launch(function, n.div_ceil(64), 64, 0, args)).unwrap();
    let mut found = vec![0; 4 * expected.len()];
    device.download(words, &mut found).unwrap();
    let found: Vec<u32> = found.chunks(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap())).collect();
    assert_eq!(found, expected);
}

#[test]
fn warps_vote_and_shuffle_as_documented() {
    if skips() {
        return;
    }
    let mut bench = Bench::new();
    bench.run("votes", 1, 32, 0).unwrap();
    let found = bench.words(32);
    for lane in 0..32u32 {
        let (segment, within) = (lane / 8 * 8, lane % 8);
        let down = if within < 6 { lane + 2 } else { lane };
        let up = if lane < 1 { lane } else { lane - 1 };
        let expected =
            down | up << 5 | (lane ^ 5) << 10 | (segment + 3) << 15 | u32::from(0xF0u8) << 20 | 1 << 30;
        assert_eq!(found[lane as usize], expected, "lane {lane}");
    }
}

/// Correct kernels raise no alarm: exchanges across barriers, in a warp across `__syncwarp`, atomics.
#[test]
fn good_kernels_pass() {
    if skips() {
        return;
    }
    let mut bench = Bench::new();
    bench.run("exchange", 3, 64, 0).unwrap();
    bench.run("count", 2, 64, 0).unwrap();
    assert_eq!(bench.words(1), [128]);
}

#[test]
fn indices_out_of_bounds_are_found() {
    if skips() {
        return;
    }
    let mut bench = Bench::new();
    assert_eq!(
        bench.fault("reads_behind", 2, 32),
        "kernel reads_behind: block (1, 0, 0), thread (0, 0, 0): reads element 64 of argument 0, which has 64 of 4 bytes"
    );
    assert!(bench.fault("writes_before", 1, 1).contains("writes element -1 of argument 0"));
    assert!(
        bench
            .fault("shared_behind", 1, 32)
            .ends_with("thread (16, 0, 0): writes element 16 of tile, which has 16 of 4 bytes")
    );
    assert!(
        bench
            .fault("unaligned", 1, 2)
            .contains("16 bytes to element 1 of argument 0, which does not lie at a multiple")
    );
    let error = bench.run("dynamic", 1, 8, 28).unwrap_err().to_string();
    assert!(error.ends_with("thread (7, 0, 0): writes element 7 of all, which has 7 of 4 bytes"), "{error}");
    bench.run("dynamic", 1, 8, 32).unwrap();
}

#[test]
fn reads_of_what_nobody_wrote_are_found() {
    if skips() {
        return;
    }
    let mut bench = Bench::new();
    assert!(
        bench
            .fault("reads_behind", 1, 64)
            .ends_with("thread (32, 0, 0): reads element 32 of argument 0, which nothing has written")
    );
    assert!(
        bench
            .fault("undefined_shared", 1, 32)
            .ends_with("reads element 31 of tile, which nothing has written")
    );
    // Shared memory does not outlive its block.
    assert!(
        bench
            .fault("shared_of_another_block", 2, 1)
            .contains("block (1, 0, 0), thread (0, 0, 0): reads element 0 of tile")
    );
    let mut bytes = [0; 8];
    let error = bench.device.download(bench.memory + 31 * 4, &mut bytes).unwrap_err().to_string();
    assert_eq!(error, "a copy from byte 124 of a buffer of 256 bytes: nothing has written byte 128");
}

#[test]
fn barriers_that_not_all_reach_are_found() {
    if skips() {
        return;
    }
    let mut bench = Bench::new();
    let fault = bench.fault("half_at_barrier", 1, 64);
    assert!(
        fault.contains("waits at __syncthreads at ")
            && fault.contains("thread (32, 0, 0) has left the kernel"),
        "{fault}"
    );
    let fault = bench.fault("two_barriers", 1, 64);
    assert!(
        fault.contains("__syncthreads at ") && fault.contains("thread (1, 0, 0) waits at __syncthreads at "),
        "{fault}"
    );
}

#[test]
fn lanes_that_are_missing_are_found() {
    if skips() {
        return;
    }
    let mut bench = Bench::new();
    let fault = bench.fault("absent_lane", 1, 32);
    assert!(
        fault.contains("a warp operation at ") && fault.contains("thread (9, 0, 0) has left the kernel"),
        "{fault}"
    );
    let fault = bench.fault("lane_at_barrier", 1, 32);
    assert!(fault.contains("thread (0, 0, 0) waits at __syncthreads"), "{fault}");
    assert!(bench.fault("outside_mask", 1, 32).contains("reads lane 20, which is not in its mask 0xffff"));
    assert!(bench.fault("not_in_own_mask", 1, 32).contains("lane 16 is not in its own mask 0xffff"));
    assert!(
        bench
            .fault("absent_lane", 1, 24)
            .contains("names lanes that the block does not have, its last warp has 24")
    );
    let fault = bench.fault("other_mask", 1, 32);
    assert!(fault.contains("waits at a warp operation at ") && fault.contains("but thread "), "{fault}");
}

#[test]
fn races_are_found() {
    if skips() {
        return;
    }
    let mut bench = Bench::new();
    let fault = bench.fault("forgotten_barrier", 1, 64);
    assert!(
        fault.contains("a race: it reads element 0 of tile, which thread (0, 0, 0) has written"),
        "{fault}"
    );
    let fault = bench.fault("overwritten_too_soon", 1, 64);
    assert!(
        fault.contains("a race: it writes element 1 of tile, which thread (0, 0, 0) has read"),
        "{fault}"
    );
    assert!(
        bench
            .fault("both_write", 1, 2)
            .contains("a race: it writes element 0 of tile, which thread (0, 0, 0) has written")
    );
    let fault = bench.fault("blocks_meet", 2, 1);
    assert!(fault.contains("block (1, 0, 0), thread (0, 0, 0): a race: it writes element 40 of argument 0, which block number 0 has written"), "{fault}");
    let fault = bench.fault("block_overwrites_what_others_read", 2, 1);
    assert!(
        fault.contains("a race: it writes element 0 of argument 0, which some other block has read"),
        "{fault}"
    );
    // A shuffle orders nothing in memory, a __syncwarp with all lanes does.
    assert!(bench.fault("shuffle_is_no_barrier", 1, 32).contains("a race"));
}

#[test]
fn launches_that_no_device_takes_are_refused() {
    if skips() {
        return;
    }
    let mut bench = Bench::new();
    assert!(bench.fault("count", 1, 1025).contains("cannot be launched"));
    assert!(bench.fault("count", 0, 32).contains("cannot be launched"));
    assert!(
        bench
            .run("count", 1, 32, 65 * 1024)
            .unwrap_err()
            .to_string()
            .contains("66560 bytes of shared memory at the launch, of at most 65536")
    );
    let error = bench.run("shared_behind", 1, 16, 64 * 1024 - 32).unwrap_err().to_string();
    assert!(error.contains("64 bytes of shared memory by declaration, tile included, and 65504 at the launch, of at most 65536"), "{error}");
    let function = compile(&source("broken.cu", BROKEN)).unwrap().function("count").unwrap();
    // Memory that was freed is not found again, also not in the place of what comes after it.
    let stale = bench.device.alloc(256);
    assert!(bench.device.free(stale));
    assert_ne!(bench.device.alloc(256), stale);
    for (args, expected) in [
        (vec![], "0 arguments for 1 parameters"),
        (vec![pointer(stale)], "argument 0 is no address in device memory"),
        (vec![pointer(0)], "reads element 0 through a null pointer"),
        (vec![number(0)], "argument 0 has 4 bytes, its parameter 8"),
    ] {
        let error = bench.device.launch(&launch(function.clone(), 1, 1, 0, args)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// A device goes on after a fault.
#[test]
fn a_fault_ends_its_launch_only() {
    if skips() {
        return;
    }
    let mut bench = Bench::new();
    for _ in 0..3 {
        bench.fault("half_at_barrier", 1, 64);
        bench.run("count", 1, 32, 0).unwrap();
    }
    assert_eq!(bench.words(1), [96]);
}

#[test]
fn a_source_that_is_no_cpp_shows_what_the_compiler_says() {
    if skips() {
        return;
    }
    let text = "#include \"dialect.cuh\"\nextern \"C\" __global__ void bad(In<float> x) { x[0] = 1.0f; }\n";
    let error = compile(&source("bad.cu", text)).unwrap_err().to_string();
    assert!(
        error.starts_with("bad.cu does not compile for the host:\n") && error.contains("bad.cu:2:"),
        "{error}"
    );
}
