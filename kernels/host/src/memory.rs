//! Device memory: plain memory, with what is known of each of its words.

use std::collections::BTreeMap;

use bytemuck::{Pod, Zeroable};

use crate::Result;
use crate::compile::refused;

/// The address of an allocation of the driver's is a multiple of this.
const ALIGNMENT: usize = 256;
const WORD: usize = 4;

#[repr(C, align(256))]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Line([u8; ALIGNMENT]);

/// The last accesses to a word: the shim's `Access`, all zero if there were none.
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
}

/// All buffers of a device, by the addresses that kernels know them by. Those are no addresses of the host's, and none is
/// given twice: so an address in memory that was freed is found out.
#[derive(Default)]
pub(crate) struct Heap {
    pub(crate) buffers: BTreeMap<u64, Allocation>,
    last: u64,
}

impl Heap {
    pub(crate) fn alloc(&mut self, bytes: usize) -> u64 {
        let address = self.last + ALIGNMENT as u64;
        // The end of a buffer is not the start of the next.
        self.last = address + bytes.next_multiple_of(ALIGNMENT) as u64;
        self.buffers.insert(address, Allocation::new(bytes));
        address
    }

    /// The buffer that `len` bytes at an address lie in, and where they begin.
    pub(crate) fn find(&mut self, address: u64, len: usize) -> Result<(&mut Allocation, usize)> {
        let what = || format!("a copy of {len} bytes at address {address:#x}");
        let Some((start, buffer)) = self.buffers.range_mut(..=address).next_back() else {
            return Err(refused(what(), "no buffer begins before it"));
        };
        let offset = (address - start) as usize;
        if offset.checked_add(len).is_none_or(|end| end > buffer.bytes) {
            let problem = format!("it is byte {offset} of a buffer of {} bytes", buffer.bytes);
            return Err(refused(what(), problem));
        }
        Ok((buffer, offset))
    }

    pub(crate) fn write(&mut self, address: u64, bytes: &[u8]) -> Result<()> {
        let (buffer, offset) = self.find(address, bytes.len())?;
        bytemuck::cast_slice_mut(&mut buffer.lines)[offset..][..bytes.len()].copy_from_slice(bytes);
        buffer.defined[offset / WORD..(offset + bytes.len()).div_ceil(WORD)].fill(1);
        Ok(())
    }

    pub(crate) fn read(&mut self, address: u64, bytes: &mut [u8]) -> Result<()> {
        let len = bytes.len();
        let (buffer, offset) = self.find(address, len)?;
        let mut words = offset / WORD..(offset + len).div_ceil(WORD);
        if let Some(word) = words.find(|word| buffer.defined[*word] == 0) {
            let what = format!("a copy from byte {offset} of a buffer of {} bytes", buffer.bytes);
            return Err(refused(what, format!("nothing has written byte {}", word * WORD)));
        }
        bytes.copy_from_slice(&bytemuck::cast_slice(&buffer.lines)[offset..][..len]);
        Ok(())
    }
}
