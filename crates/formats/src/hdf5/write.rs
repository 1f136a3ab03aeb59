//! Writes HDF5 files.
//!
//! ```text
//! superblock
//! each dataset: values, header
//! each group, after its members: names, symbols (nodes of 8), tree (of one node), header
//! ```

use super::{Dataset, Group, Object, SIGNATURE, Values};

/// The address of what is not there.
const NOWHERE: u64 = u64::MAX;
/// Length of the superblock.
const START: usize = 96;
/// A node of symbols holds twice as many.
const LEAF: usize = 4;
/// A node of a tree has twice as many children; more if a group needs them.
const INTERNAL: usize = 16;

/// Returns the bytes of a file with this root. The same root gives the same bytes.
#[must_use]
pub fn write(root: &Group) -> Vec<u8> {
    let internal = INTERNAL.max(largest(root).div_ceil(2 * LEAF).div_ceil(2));
    let mut writer = Writer { out: vec![0; START], internal };
    let Written { header, table } = writer.group(root);
    let mut start = SIGNATURE.to_vec();
    // Versions, and the sizes of addresses and lengths.
    start.extend([0, 0, 0, 0, 0, 8, 8, 0]);
    start.extend([LEAF as u16, internal as u16].map(u16::to_le_bytes).concat());
    start.extend(0u32.to_le_bytes());
    let [tree, names] = table;
    let end = writer.out.len() as u64;
    // Base, free space, end, driver; then the entry of the root: name, header, kind of cache, cache.
    start.extend([0, NOWHERE, end, NOWHERE, 0, header, 1, tree, names].map(u64::to_le_bytes).concat());
    writer.out[..START].copy_from_slice(&start);
    writer.out
}

/// The most members of any group.
fn largest(group: &Group) -> usize {
    let inner = group.members.values().map(|member| match member {
        Object::Group(inner) => largest(inner),
        _ => 0,
    });
    inner.max().unwrap_or(0).max(group.members.len())
}

struct Writer {
    out: Vec<u8>,
    /// Half of the children that a node of a tree has.
    internal: usize,
}

/// The addresses of a group.
struct Written {
    header: u64,
    /// Its tree and its names.
    table: [u64; 2],
}

impl Writer {
    /// Appends a part, and returns its address.
    fn push(&mut self, part: &[u8]) -> u64 {
        let address = self.out.len();
        self.out.extend(part);
        self.out.resize(self.out.len().next_multiple_of(8), 0);
        address as u64
    }

    /// Appends an object's header: its messages, by their numbers.
    fn header(&mut self, messages: &[(u16, Vec<u8>)]) -> u64 {
        let mut block = vec![];
        for (number, content) in messages {
            let length = content.len().next_multiple_of(8);
            block.extend([number.to_le_bytes(), (length as u16).to_le_bytes(), [0; 2], [0; 2]].concat());
            block.extend(content);
            block.resize(block.len().next_multiple_of(8), 0);
        }
        let mut header = vec![1, 0];
        header.extend((messages.len() as u16).to_le_bytes());
        // One link leads to it.
        header.extend([1, block.len() as u32, 0].map(u32::to_le_bytes).concat());
        header.extend(block);
        self.push(&header)
    }

    fn group(&mut self, group: &Group) -> Written {
        let mut members = vec![];
        for (name, member) in &group.members {
            let header = match member {
                Object::Group(inner) => self.group(inner).header,
                Object::Dataset(dataset) => self.dataset(dataset),
                Object::Other(_) => continue,
            };
            members.push((name, header));
        }
        // The first name is empty: it is that before all others.
        let mut names = vec![0; 8];
        let mut symbols = vec![];
        for (name, header) in members {
            symbols.push((names.len() as u64, header));
            names.extend(name.as_bytes());
            names.resize((names.len() + 1).next_multiple_of(8), 0);
        }
        let table = [self.tree(&symbols), self.names(&names)];
        let header = self.header(&[(0x11, table.map(u64::to_le_bytes).concat())]);
        Written { header, table }
    }

    fn names(&mut self, names: &[u8]) -> u64 {
        let content = self.push(names);
        // No free space: 1.
        let heap = [names.len() as u64, 1, content].map(u64::to_le_bytes).concat();
        self.push(&[b"HEAP\0\0\0\0", &*heap].concat())
    }

    fn tree(&mut self, symbols: &[(u64, u64)]) -> u64 {
        let mut entries = 0u64.to_le_bytes().to_vec();
        let mut count = 0u16;
        for symbols in symbols.chunks(2 * LEAF) {
            let mut node = b"SNOD\x01\0".to_vec();
            node.extend((symbols.len() as u16).to_le_bytes());
            for (name, header) in symbols {
                node.extend([*name, *header, 0, 0, 0].map(u64::to_le_bytes).concat());
            }
            node.resize(8 + 2 * LEAF * 40, 0);
            let (last, _) = symbols.last().expect("chunks are not empty");
            entries.extend([self.push(&node), *last].map(u64::to_le_bytes).concat());
            count += 1;
        }
        let mut node = b"TREE\0\0".to_vec();
        node.extend(count.to_le_bytes());
        node.extend([NOWHERE, NOWHERE].map(u64::to_le_bytes).concat());
        node.extend(entries);
        node.resize(24 + 8 * (4 * self.internal + 1), 0);
        self.push(&node)
    }

    fn dataset(&mut self, dataset: &Dataset) -> u64 {
        let Dataset { shape, values } = dataset;
        let (kind, bytes): (&[u8], Vec<u8>) = match values {
            Values::F32(values) => (
                &[0x11, 0x20, 31, 0, 4, 0, 0, 0, 0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0],
                values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            ),
            Values::F64(values) => (
                &[0x11, 0x20, 63, 0, 8, 0, 0, 0, 0, 0, 64, 0, 52, 11, 0, 52, 255, 3, 0, 0],
                values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            ),
            Values::Integer(values) => (
                &[0x10, 8, 0, 0, 8, 0, 0, 0, 0, 0, 64, 0],
                values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            ),
        };
        let mut space = vec![1, shape.len() as u8, 0, 0, 0, 0, 0, 0];
        shape.iter().for_each(|axis| space.extend((*axis as u64).to_le_bytes()));
        let address = if bytes.is_empty() { NOWHERE } else { self.push(&bytes) };
        let layout = [&[3, 1][..], &address.to_le_bytes(), &(bytes.len() as u64).to_le_bytes()].concat();
        // Without a fill value: all values are written.
        self.header(&[
            (0x01, space),
            (0x03, kind.into()),
            (0x05, vec![2, 2, 2, 1, 0, 0, 0, 0]),
            (0x08, layout),
        ])
    }
}
