//! Device memory: plain memory, with what is known of each of its words.

use std::collections::BTreeMap;

use crate::Result;
use crate::compile::refused;

/// Where an allocation of the driver's begins is a multiple of this.
const ALIGNMENT: usize = 256;
const WORD: usize = 4;

#[repr(C, align(256))]
#[derive(Clone, Copy)]
struct Line([u8; ALIGNMENT]);

/// Who touched a word last: the shim's `Access`, all zero if nobody did.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Access([u64; 5]);

/// One buffer.
pub(crate) struct Allocation {
    lines: Vec<Line>,
    pub(crate) bytes: usize,
    pub(crate) defined: Vec<u8>,
    pub(crate) accesses: Vec<Access>,
}

impl Allocation {
    fn new(bytes: usize) -> Self {
        let words = bytes.div_ceil(WORD);
        Self {
            // NaN, should a fault ever be read on.
            lines: vec![Line([0xFF; ALIGNMENT]); bytes.div_ceil(ALIGNMENT).max(1)],
            bytes,
            defined: vec![0; words],
            accesses: vec![Access::default(); words],
        }
    }

    pub(crate) fn base(&mut self) -> *mut u8 {
        self.lines.as_mut_ptr().cast()
    }

    /// The address by which kernels know it.
    fn address(&self) -> usize {
        self.lines.as_ptr() as usize
    }
}

/// All buffers of a device, by address.
#[derive(Default)]
pub(crate) struct Heap {
    pub(crate) buffers: BTreeMap<usize, Allocation>,
}

impl Heap {
    pub(crate) fn alloc(&mut self, bytes: usize) -> usize {
        let allocation = Allocation::new(bytes);
        let address = allocation.address();
        self.buffers.insert(address, allocation);
        address
    }

    pub(crate) fn free(&mut self, address: usize) {
        self.buffers.remove(&address);
    }

    fn get(&mut self, address: usize, offset: usize, len: usize) -> Result<&mut Allocation> {
        let buffer = self.buffers.get_mut(&address).expect("a handle frees its buffer when it goes");
        if offset.checked_add(len).is_none_or(|end| end > buffer.bytes) {
            let problem = format!("the buffer has {} bytes", buffer.bytes);
            return Err(refused(format!("a copy of {len} bytes at byte {offset}"), problem));
        }
        Ok(buffer)
    }

    pub(crate) fn write(&mut self, address: usize, offset: usize, bytes: &[u8]) -> Result<()> {
        let buffer = self.get(address, offset, bytes.len())?;
        let mut rest = bytes;
        let mut at = offset;
        while !rest.is_empty() {
            let within = at % ALIGNMENT;
            let len = rest.len().min(ALIGNMENT - within);
            buffer.lines[at / ALIGNMENT].0[within..within + len].copy_from_slice(&rest[..len]);
            (rest, at) = (&rest[len..], at + len);
        }
        buffer.defined[offset / WORD..(offset + bytes.len()).div_ceil(WORD)].fill(1);
        Ok(())
    }

    pub(crate) fn read(&mut self, address: usize, offset: usize, bytes: &mut [u8]) -> Result<()> {
        let len = bytes.len();
        let buffer = self.get(address, offset, len)?;
        let words = offset / WORD..(offset + len).div_ceil(WORD);
        if let Some(word) = words.clone().find(|word| buffer.defined[*word] == 0) {
            let what = format!("a copy from byte {offset} of a buffer of {} bytes", buffer.bytes);
            return Err(refused(what, format!("nothing has written byte {}", word * WORD)));
        }
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = buffer.lines[(offset + i) / ALIGNMENT].0[(offset + i) % ALIGNMENT];
        }
        Ok(())
    }
}
