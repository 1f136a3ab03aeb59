//! What the compiler says of a kernel in its machine code: registers, and memory for what did not fit into them.
//!
//! An image for a GPU is a 64-bit ELF file. Its section `.nv.info` is a list of attributes; those here are a header of
//! four bytes (format 4, the attribute, the size of the rest), a symbol and a value, each 32 bits. NVIDIA has no
//! page on it: the numbers of the attributes are those that `cuobjdump -elf` prints by name.

/// The attribute `EIATTR_FRAME_SIZE`.
const FRAME_SIZE: u8 = 0x11;
/// The attribute `EIATTR_REGCOUNT`.
const REGISTER_COUNT: u8 = 0x2f;
/// A section header that is a table of symbols.
const SYMBOL_TABLE: u64 = 2;

/// A kernel's resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resources {
    /// The kernel's name.
    pub name: String,
    /// Registers of a thread.
    pub registers: u64,
    /// Bytes of a thread's stack, where registers that were spilled are.
    pub frame: u64,
}

/// The kernels of an image.
///
/// # Panics
/// If it is no such image.
#[must_use]
pub fn kernels(image: &[u8]) -> Vec<Resources> {
    assert!(image.starts_with(b"\x7fELF\x02\x01"), "a 64-bit ELF file");
    let number = |at: usize, bytes: usize| {
        image[at..at + bytes].iter().rev().fold(0u64, |number, byte| number << 8 | u64::from(*byte))
    };
    let place = |at: usize, bytes: usize| usize::try_from(number(at, bytes)).expect("it is in memory");
    let text = |at: usize| {
        let bytes = &image[at..];
        let end = bytes.iter().position(|byte| *byte == 0).expect("text has an end");
        std::str::from_utf8(&bytes[..end]).expect("names are text")
    };
    // The ELF header: where the section headers are, the size of one, how many, and which has their names.
    let (headers, size, count, of_names) = (place(0x28, 8), place(0x3a, 2), place(0x3c, 2), place(0x3e, 2));
    let header = |index: usize| headers + index * size;
    // A section header: its name at 0, its type at 4, where it is at 24, its size at 32, a link at 40.
    let start = |index: usize| place(header(index) + 24, 8);
    let name = |index: usize| text(start(of_names) + place(header(index), 4));
    let symbols = (0..count).find(|i| number(header(*i) + 4, 4) == SYMBOL_TABLE).expect("symbols");
    let symbol_names = start(place(header(symbols) + 40, 4));
    let info = (0..count).find(|i| name(*i) == ".nv.info").expect("attributes");

    let mut kernels: Vec<Resources> = vec![];
    let (mut at, end) = (start(info), start(info) + place(header(info) + 32, 8));
    let mut frames = vec![];
    while at < end {
        let (format, attribute, len) = (image[at], image[at + 1], place(at + 2, 2));
        if format == 4 && len == 8 {
            let name = text(symbol_names + place(start(symbols) + 24 * place(at + 4, 4), 4));
            match attribute {
                FRAME_SIZE => frames.push((name, number(at + 8, 4))),
                REGISTER_COUNT => {
                    let registers = number(at + 8, 4);
                    kernels.push(Resources { name: name.into(), registers, frame: u64::MAX });
                }
                _ => {}
            }
        }
        at += 4 + if format == 4 { len } else { 0 };
    }
    for kernel in &mut kernels {
        let of_kernel = frames.iter().find(|(name, _)| *name == kernel.name);
        kernel.frame = of_kernel.expect("a kernel has a frame, if of no bytes").1;
    }
    kernels
}
