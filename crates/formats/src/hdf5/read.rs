//! Reads HDF5 files.

use std::collections::BTreeMap;
use std::io::Read as _;

use flate2::read::ZlibDecoder;
use glassbox_engine::text::excerpt;

use super::{Dataset, Group, Object, SIGNATURE, Values};
use crate::container::{Problem, Unpacked};

/// The address of what is not there.
const NOWHERE: u64 = u64::MAX;
/// The deepest group. Models within models are a few deep.
const DEEPEST: usize = 64;
/// The longest name, in bytes.
const LONGEST_NAME: usize = 1024;
/// The most axes, as in the format.
const MOST_AXES: usize = 32;

type Result<T> = std::result::Result<T, Problem>;

/// Reads a file, and returns its root. What compressed chunks unpack to counts towards `unpacked`.
///
/// # Errors
/// If it is damaged, unpacks beyond the limit, or has a feature that the module does not read.
pub fn read(bytes: &[u8], unpacked: &mut Unpacked) -> Result<Group> {
    let mut reader = Reader { bytes, left: bytes.len().saturating_mul(2), unpacked, heaps: BTreeMap::new() };
    let mut block = reader.fields(0, 20, "its superblock")?;
    if block.take(8)? != SIGNATURE {
        return Err(damaged("it does not start with the bytes of an HDF5 file"));
    }
    let version = block.u8()?;
    if version > 1 {
        return Err(newer(format!("it has a superblock of version {version}")));
    }
    block.take(4)?;
    if block.take(2)? != [8, 8] {
        return Err(unsupported("it has addresses of another size than 8 bytes"));
    }
    let rest = if version == 0 { 24 } else { 28 };
    let mut block = reader.fields(rest, 72, "its superblock")?;
    let (base, _, end, _) = (block.u64()?, block.u64()?, block.u64()?, block.u64()?);
    if base != 0 {
        return Err(unsupported("it starts with data of another program"));
    }
    if end > bytes.len() as u64 {
        return Err(damaged(format!("it should have {end} bytes, and has {}", bytes.len())));
    }
    block.u64()?;
    let root = block.u64()?;
    match reader.object(root, 0)? {
        Object::Group(root) => Ok(root),
        _ => Err(damaged("its root is no group")),
    }
}

struct Reader<'a, 'u> {
    bytes: &'a [u8],
    /// The bytes that may still be visited.
    left: usize,
    unpacked: &'u mut Unpacked,
    /// The texts of each global heap that was visited, by their numbers.
    heaps: BTreeMap<u64, BTreeMap<u16, &'a [u8]>>,
}

/// The description of an object's data in its header.
#[derive(Default)]
struct Header<'a> {
    space: Option<&'a [u8]>,
    kind: Option<&'a [u8]>,
    layout: Option<&'a [u8]>,
    filters: Option<&'a [u8]>,
    table: Option<&'a [u8]>,
    attributes: Vec<&'a [u8]>,
}

/// The type of values.
enum Kind {
    F32,
    F64,
    Integer {
        bytes: usize,
        signed: bool,
    },
    Text {
        bytes: usize,
    },
    /// Texts in a global heap.
    TextElsewhere,
    Other(String),
}

/// A chunk of a dataset.
struct Chunk {
    address: u64,
    stored: usize,
    /// Bits of the filters that were left out.
    skipped: u32,
    /// The first element.
    start: Vec<usize>,
}

/// A step from values to what is stored.
enum Filter {
    Deflate,
    Shuffle,
}

impl<'a> Reader<'a, '_> {
    /// Takes a range of the file, and its length from the budget.
    fn range(&mut self, start: u64, length: usize, what: &str) -> Result<&'a [u8]> {
        let range = usize::try_from(start).ok().and_then(|start| Some(start..start.checked_add(length)?));
        let found = range.and_then(|range| self.bytes.get(range));
        let found = found.ok_or_else(|| damaged(format!("{what} at {start:#x} lies outside of it")))?;
        self.spend(length)?;
        Ok(found)
    }

    fn spend(&mut self, bytes: usize) -> Result<()> {
        let overlap = || damaged("parts of it overlap, or point at each other in a circle");
        self.left = self.left.checked_sub(bytes).ok_or_else(overlap)?;
        Ok(())
    }

    fn fields(&mut self, start: u64, length: usize, what: &'static str) -> Result<Fields<'a>> {
        Ok(Fields { rest: self.range(start, length, what)?, what })
    }

    fn object(&mut self, address: u64, depth: usize) -> Result<Object> {
        let header = self.header(address)?;
        let Some(table) = header.table else { return self.dataset(&header) };
        if depth == DEEPEST {
            return Err(damaged(format!("its groups are more than {DEEPEST} deep, or in a circle")));
        }
        let mut group = Group::default();
        for attribute in header.attributes {
            if let Some((name, texts)) = self.attribute(attribute)? {
                group.attributes.insert(name, texts);
            }
        }
        let mut table = Fields { rest: table, what: "a group" };
        for (name, address) in self.members(table.u64()?, table.u64()?)? {
            let object = self.object(address, depth + 1)?;
            if group.members.insert(name.clone(), object).is_some() {
                return Err(damaged(format!("a group has two members {}", excerpt(&name))));
            }
        }
        Ok(Object::Group(group))
    }

    /// Reads an object's header, with the blocks that continue it.
    fn header(&mut self, address: u64) -> Result<Header<'a>> {
        const CONTINUED: u16 = 0x10;
        let mut start = self.fields(address, 16, "the header of an object")?;
        if start.rest.starts_with(b"OHDR") {
            return Err(newer("it has object headers of version 2".into()));
        }
        if start.u8()? != 1 {
            return Err(damaged(format!("there is no object at {address:#x}")));
        }
        start.take(7)?;
        let mut blocks = vec![(address.saturating_add(16), start.u32()? as usize)];
        let mut header = Header::default();
        while let Some((at, length)) = blocks.pop() {
            let mut block = self.fields(at, length, "the header of an object")?;
            while block.rest.len() >= 8 {
                let (message, length, flags) = (block.u16()?, block.u16()?, block.u8()?);
                block.take(3)?;
                let content = block.take(length.into())?;
                let place = match message {
                    0x01 => &mut header.space,
                    0x03 => &mut header.kind,
                    0x08 => &mut header.layout,
                    0x0B => &mut header.filters,
                    0x11 => &mut header.table,
                    0x0C => {
                        header.attributes.push(content);
                        continue;
                    }
                    CONTINUED => {
                        let mut next = Fields { rest: content, what: "the header of an object" };
                        blocks.push((next.u64()?, next.length()?));
                        continue;
                    }
                    0x07 => return Err(unsupported("it has data in other files")),
                    0x02 | 0x06 | 0x0A => return Err(newer("it has groups of the newer kind".into())),
                    _ => continue,
                };
                if flags & 2 != 0 {
                    return Err(unsupported("it has types that objects share"));
                }
                *place = Some(content);
            }
        }
        Ok(header)
    }

    /// Reads the names of a group's members, and their addresses.
    fn members(&mut self, tree: u64, heap: u64) -> Result<Vec<(String, u64)>> {
        let mut fields = self.fields(heap, 32, "a heap of names")?;
        fields.signature(b"HEAP")?;
        fields.take(4)?;
        let (length, _) = (fields.length()?, fields.u64()?);
        let names = self.range(fields.u64()?, length, "a heap of names")?;
        let (mut members, mut nodes) = (vec![], vec![tree]);
        while let Some(node) = nodes.pop() {
            let mut fields = self.fields(node, 24, "a group")?;
            fields.signature(b"TREE")?;
            let (kind, level, used) = (fields.u8()?, fields.u8()?, fields.u16()?);
            if kind != 0 {
                return Err(damaged("the tree of a group is one of chunks"));
            }
            let mut entries = self.fields(node.saturating_add(24), usize::from(used) * 16, "a group")?;
            for _ in 0..used {
                let (_, child) = (entries.u64()?, entries.u64()?);
                if level > 0 {
                    nodes.push(child);
                } else {
                    self.symbols(child, names, &mut members)?;
                }
            }
        }
        Ok(members)
    }

    /// Reads a node of symbols: members of a group.
    fn symbols(&mut self, node: u64, names: &[u8], members: &mut Vec<(String, u64)>) -> Result<()> {
        let mut fields = self.fields(node, 8, "the members of a group")?;
        fields.signature(b"SNOD")?;
        fields.take(2)?;
        let count = usize::from(fields.u16()?);
        let mut entries = self.fields(node.saturating_add(8), count * 40, "the members of a group")?;
        for _ in 0..count {
            let (name, address, cached) = (entries.length()?, entries.u64()?, entries.u32()?);
            entries.take(20)?;
            let name = names
                .get(name..)
                .and_then(|rest| rest[..rest.len().min(LONGEST_NAME)].split(|b| *b == 0).next());
            let name = name.and_then(|name| str::from_utf8(name).ok());
            let name =
                name.filter(|name| !name.is_empty() && name.len() < LONGEST_NAME && !name.contains('/'));
            let name = name.ok_or_else(|| damaged("a member of a group has no name"))?;
            self.spend(name.len())?;
            if cached == 2 || address == NOWHERE {
                return Err(unsupported(format!("{} is a link", excerpt(name))));
            }
            members.push((name.into(), address));
        }
        Ok(())
    }

    /// Reads an attribute of text: its name, and one text or several. `None` if it is none of text.
    fn attribute(&mut self, message: &'a [u8]) -> Result<Option<(String, Vec<String>)>> {
        let mut fields = Fields { rest: message, what: "an attribute" };
        let (version, flags) = (fields.u8()?, fields.u8()?);
        let [name, kind, space] = [fields.u16()?, fields.u16()?, fields.u16()?].map(usize::from);
        match version {
            1 | 2 => {}
            3 => drop(fields.u8()?),
            _ => return Err(damaged(format!("an attribute of version {version}"))),
        }
        if version > 1 && flags != 0 {
            return Err(unsupported("it has types that objects share"));
        }
        let padded = |length: usize| if version == 1 { length.next_multiple_of(8) } else { length };
        let [name, kind, space] =
            [fields.take(padded(name))?, fields.take(padded(kind))?, fields.take(padded(space))?];
        let name = text(name);
        let count = elements(&shape(space)?)?;
        let (kind, data) = (kind_of(kind)?, fields.rest);
        let size = match kind {
            Kind::Text { bytes } => bytes,
            Kind::TextElsewhere => 16,
            _ => return Ok(None),
        };
        let length = count.checked_mul(size).filter(|length| size > 0 && *length <= data.len());
        let length = length.ok_or_else(|| damaged(format!("attribute {} ends early", excerpt(&name))))?;
        let mut texts = vec![];
        for value in data[..length].chunks_exact(size) {
            let value = match kind {
                Kind::TextElsewhere => self.elsewhere(value)?,
                _ => value,
            };
            self.spend(value.len())?;
            texts.push(text(value));
        }
        Ok(Some((name, texts)))
    }

    /// Finds a text in a global heap.
    fn elsewhere(&mut self, reference: &[u8]) -> Result<&'a [u8]> {
        let mut fields = Fields { rest: reference, what: "an attribute" };
        let (length, address, index) = (fields.u32()? as usize, fields.u64()?, fields.u32()?);
        if length == 0 {
            return Ok(&[]);
        }
        if !self.heaps.contains_key(&address) {
            let heap = self.global_heap(address)?;
            self.heaps.insert(address, heap);
        }
        let found = u16::try_from(index).ok().and_then(|index| self.heaps[&address].get(&index));
        found.and_then(|text| text.get(..length)).ok_or_else(|| damaged("a text is not where it should be"))
    }

    fn global_heap(&mut self, address: u64) -> Result<BTreeMap<u16, &'a [u8]>> {
        let mut fields = self.fields(address, 16, "a heap of texts")?;
        fields.signature(b"GCOL")?;
        fields.take(4)?;
        let length = fields.length()?.checked_sub(16).ok_or_else(|| damaged("a heap of texts ends early"))?;
        let mut objects = self.fields(address.saturating_add(16), length, "a heap of texts")?;
        let mut heap = BTreeMap::new();
        while objects.rest.len() >= 16 {
            let index = objects.u16()?;
            objects.take(6)?;
            let length = objects.length()?;
            if index == 0 {
                break;
            }
            let content = objects.take(length)?;
            objects.take((length.next_multiple_of(8) - length).min(objects.rest.len()))?;
            heap.insert(index, content);
        }
        Ok(heap)
    }

    fn dataset(&mut self, header: &Header<'a>) -> Result<Object> {
        let (Some(space), Some(kind), Some(layout)) = (header.space, header.kind, header.layout) else {
            return Err(damaged("it has an object that is neither a group nor a dataset"));
        };
        let (shape, kind) = (shape(space)?, kind_of(kind)?);
        let size = match kind {
            Kind::F32 => 4,
            Kind::F64 => 8,
            Kind::Integer { bytes, .. } => bytes,
            Kind::Text { .. } | Kind::TextElsewhere => return Ok(Object::Other("text".into())),
            Kind::Other(what) => return Ok(Object::Other(what)),
        };
        let length = elements(&shape)?
            .checked_mul(size)
            .ok_or_else(|| damaged("a dataset is larger than any memory"))?;
        let mut layout = Fields { rest: layout, what: "a dataset" };
        let (version, class) = (layout.u8()?, layout.u8()?);
        if version != 3 {
            return Err(newer(format!("it has a dataset whose layout is of version {version}")));
        }
        let unpacked;
        let bytes = match class {
            _ if length == 0 => &[],
            0 => {
                let stored = usize::from(layout.u16()?);
                layout.take(stored)?
            }
            1 => {
                let (address, stored) = (layout.u64()?, layout.length()?);
                if address == NOWHERE {
                    return Err(damaged("a dataset has no values"));
                }
                self.range(address, stored, "a dataset")?
            }
            2 => {
                unpacked = self.chunks(layout, header.filters, &shape, size)?;
                &unpacked
            }
            _ => return Err(unsupported(format!("it has a dataset of layout class {class}"))),
        };
        if bytes.len() != length {
            return Err(damaged(format!("a dataset of shape {shape:?} does not have {} bytes", bytes.len())));
        }
        let values = match kind {
            Kind::F32 => {
                Values::F32(bytes.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect())
            }
            Kind::F64 => {
                Values::F64(bytes.as_chunks().0.iter().map(|value| f64::from_le_bytes(*value)).collect())
            }
            Kind::Integer { bytes: 4, signed: true } => Values::Integer(
                bytes.as_chunks().0.iter().map(|value| i32::from_le_bytes(*value).into()).collect(),
            ),
            Kind::Integer { bytes: 4, .. } => Values::Integer(
                bytes.as_chunks().0.iter().map(|value| u32::from_le_bytes(*value).into()).collect(),
            ),
            _ => {
                Values::Integer(bytes.as_chunks().0.iter().map(|value| i64::from_le_bytes(*value)).collect())
            }
        };
        Ok(Object::Dataset(Dataset { shape, values }))
    }

    /// Reads a dataset in chunks: the bytes of its values, row by row. `size` is that of an element.
    fn chunks(
        &mut self,
        mut layout: Fields<'a>,
        filters: Option<&'a [u8]>,
        shape: &[usize],
        size: usize,
    ) -> Result<Vec<u8>> {
        let filters = filters.map_or(Ok(vec![]), filters_of)?;
        let axes = usize::from(layout.u8()?).saturating_sub(1);
        let tree = layout.u64()?;
        let mut of_chunk = vec![];
        for _ in 0..axes {
            of_chunk.push(layout.u32()? as usize);
        }
        // An element's size is the last axis of a chunk.
        let fits =
            axes == shape.len() && axes > 0 && !of_chunk.contains(&0) && layout.u32()? as usize == size;
        let in_chunk = elements(&of_chunk).ok().and_then(|elements| elements.checked_mul(size));
        let Some(in_chunk) = in_chunk.filter(|_| fits) else {
            return Err(damaged(format!("a dataset of shape {shape:?} has chunks of shape {of_chunk:?}")));
        };
        let chunks = self.chunk_list(tree, axes)?;
        let expected =
            shape.iter().zip(&of_chunk).try_fold(1usize, |n, (all, one)| n.checked_mul(all.div_ceil(*one)));
        let mut starts: Vec<&[usize]> = chunks.iter().map(|chunk| &*chunk.start).collect();
        starts.sort_unstable();
        starts.dedup();
        let inside = |start: &&[usize]| {
            start.iter().zip(shape).zip(&of_chunk).all(|((start, all), one)| start < all && start % one == 0)
        };
        if Some(starts.len()) != expected || starts.len() != chunks.len() || !starts.iter().all(inside) {
            return Err(damaged(format!("a dataset of shape {shape:?} does not have all of its chunks")));
        }
        // All chunks are there: the values are not more than what is stored, or what may be unpacked.
        let length = elements(shape)? * size;
        if !filters.is_empty() {
            self.unpacked.count(length, "a dataset")?;
        } else if chunks.iter().any(|chunk| chunk.stored != in_chunk) || length > self.bytes.len() {
            return Err(damaged(format!("a dataset of shape {shape:?} does not have all of its values")));
        }
        let mut bytes = vec![0; length];
        for chunk in &chunks {
            let stored = self.range(chunk.address, chunk.stored, "a chunk")?;
            let content = self.unpack(stored, &filters, chunk.skipped, size, in_chunk)?;
            copy(&content, &of_chunk, &mut bytes, shape, &chunk.start, size);
        }
        Ok(bytes)
    }

    /// Reads the tree of a dataset's chunks.
    fn chunk_list(&mut self, tree: u64, axes: usize) -> Result<Vec<Chunk>> {
        let (mut chunks, mut nodes) = (vec![], vec![tree]);
        while let Some(node) = nodes.pop() {
            let mut fields = self.fields(node, 24, "the chunks of a dataset")?;
            fields.signature(b"TREE")?;
            let (kind, level, used) = (fields.u8()?, fields.u8()?, usize::from(fields.u16()?));
            if kind != 1 {
                return Err(damaged("the tree of a dataset is one of a group"));
            }
            let entry = 8 + 8 * (axes + 1) + 8;
            let mut entries =
                self.fields(node.saturating_add(24), used * entry, "the chunks of a dataset")?;
            for _ in 0..used {
                let (stored, skipped) = (entries.u32()? as usize, entries.u32()?);
                let start = (0..axes).map(|_| entries.length()).collect::<Result<_>>()?;
                entries.u64()?;
                let address = entries.u64()?;
                if level > 0 {
                    nodes.push(address);
                } else {
                    chunks.push(Chunk { address, stored, skipped, start });
                }
            }
        }
        Ok(chunks)
    }

    /// Undoes the filters of a chunk, which has `length` bytes then.
    fn unpack(
        &mut self,
        stored: &[u8],
        filters: &[Filter],
        skipped: u32,
        size: usize,
        length: usize,
    ) -> Result<Vec<u8>> {
        let mut content = stored.to_vec();
        for (index, filter) in filters.iter().enumerate().rev() {
            if skipped >> index & 1 != 0 {
                continue;
            }
            content = match filter {
                Filter::Shuffle => unshuffled(&content, size),
                Filter::Deflate => {
                    self.unpacked.count(length, "a chunk")?;
                    let mut out = vec![];
                    let read = ZlibDecoder::new(&*content).take(length as u64 + 1).read_to_end(&mut out);
                    read.map_err(|cause| damaged(format!("a chunk cannot be unpacked ({cause})")))?;
                    out
                }
            };
        }
        match content.len() == length {
            true => Ok(content),
            false => Err(damaged(format!("a chunk does not have {length} bytes"))),
        }
    }
}

/// A part of the file, taken field by field.
struct Fields<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let split = self.rest.split_at_checked(length);
        let (taken, rest) = split.ok_or_else(|| damaged(format!("{} ends early", self.what)))?;
        self.rest = rest;
        Ok(taken)
    }

    fn number<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(*self.take(N)?.as_array().expect("so many bytes"))
    }

    fn u8(&mut self) -> Result<u8> {
        self.number().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Result<u16> {
        self.number().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32> {
        self.number().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.number().map(u64::from_le_bytes)
    }

    /// A length or an offset, which is at most that of any memory.
    fn length(&mut self) -> Result<usize> {
        let length = self.u64()?;
        let fits = usize::try_from(length).ok().filter(|length| *length <= isize::MAX as usize);
        fits.ok_or_else(|| damaged(format!("{} has a length of {length}", self.what)))
    }

    fn signature(&mut self, expected: &[u8]) -> Result<()> {
        match self.take(expected.len())? == expected {
            true => Ok(()),
            false => Err(damaged(format!("{} does not start with {}", self.what, expected.escape_ascii()))),
        }
    }
}

/// Reads a dataspace: the lengths of the axes.
fn shape(message: &[u8]) -> Result<Vec<usize>> {
    let mut fields = Fields { rest: message, what: "a dataspace" };
    let (version, axes, _, class) = (fields.u8()?, usize::from(fields.u8()?), fields.u8()?, fields.u8()?);
    match version {
        1 => drop(fields.take(4)?),
        2 if class == 2 => return Ok(vec![0]),
        2 => {}
        _ => return Err(damaged(format!("a dataspace of version {version}"))),
    }
    if axes > MOST_AXES {
        return Err(damaged(format!("a dataspace of {axes} axes")));
    }
    (0..axes).map(|_| fields.length()).collect()
}

/// The number of elements of a shape.
fn elements(shape: &[usize]) -> Result<usize> {
    let elements = shape.iter().try_fold(1usize, |elements, axis| elements.checked_mul(*axis));
    elements.ok_or_else(|| damaged(format!("an array of shape {shape:?} is larger than any memory")))
}

/// Reads a datatype.
fn kind_of(message: &[u8]) -> Result<Kind> {
    const F32: [u8; 12] = [0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0];
    const F64: [u8; 12] = [0, 0, 64, 0, 52, 11, 0, 52, 255, 3, 0, 0];
    let mut fields = Fields { rest: message, what: "a datatype" };
    let (class, bits, size) = (fields.u8()? & 15, fields.number::<3>()?, fields.u32()?);
    let little = bits[0] & 1 == 0;
    let properties = fields.rest.get(..12);
    Ok(match class {
        0 if little && matches!(size, 4 | 8) => {
            let signed = bits[0] & 8 != 0;
            // A count in Keras, which never reaches the sign.
            Kind::Integer { bytes: size as usize, signed }
        }
        1 if little && size == 4 && properties == Some(&F32) => Kind::F32,
        1 if little && size == 8 && properties == Some(&F64) => Kind::F64,
        0 | 1 => {
            let name = if class == 0 { "integers" } else { "floats" };
            let order = if little { "" } else { ", big-endian" };
            Kind::Other(format!("{}-bit {name}{order}", u64::from(size) * 8))
        }
        3 => Kind::Text { bytes: size as usize },
        9 if bits[0] & 15 == 1 => Kind::TextElsewhere,
        _ => Kind::Other(format!("values of class {class}")),
    })
}

/// Reads a filter pipeline.
fn filters_of(message: &[u8]) -> Result<Vec<Filter>> {
    let mut fields = Fields { rest: message, what: "a list of filters" };
    let (version, count) = (fields.u8()?, fields.u8()?);
    match version {
        1 => drop(fields.take(6)?),
        2 => {}
        _ => return Err(damaged(format!("a list of filters of version {version}"))),
    }
    let filter = |_| {
        let filter = fields.u16()?;
        let name = if version == 1 || filter >= 256 { usize::from(fields.u16()?) } else { 0 };
        let (_, values) = (fields.u16()?, usize::from(fields.u16()?));
        let padded = version == 1;
        fields.take(if padded { name.next_multiple_of(8) } else { name })?;
        fields.take(4 * if padded { values.next_multiple_of(2) } else { values })?;
        match filter {
            1 => Ok(Filter::Deflate),
            2 => Ok(Filter::Shuffle),
            3 => Err(unsupported("it has chunks with checksums (fletcher32)")),
            4 => Err(unsupported("it has chunks compressed with szip")),
            other => Err(unsupported(format!("it has chunks with filter {other}"))),
        }
    };
    (0..count).map(filter).collect()
}

/// The bytes of elements in the order of the elements: stored are all first bytes, then all second ones, and so on.
fn unshuffled(stored: &[u8], size: usize) -> Vec<u8> {
    let count = stored.len() / size;
    let mut out = stored.to_vec();
    for (index, byte) in stored[..count * size].iter().enumerate() {
        out[index % count * size + index / count] = *byte;
    }
    out
}

/// Copies a chunk to its place, but for what is beyond the end of the dataset.
fn copy(chunk: &[u8], of_chunk: &[usize], out: &mut [u8], shape: &[usize], start: &[usize], size: usize) {
    let [outer @ .., last] = of_chunk else { return };
    let row = last * size;
    let length = (shape[outer.len()] - start[outer.len()]).min(*last) * size;
    for (index, values) in chunk.chunks_exact(row).enumerate() {
        // The place of this row of the chunk in the dataset.
        let (mut rest, mut stride, mut offset, mut inside) =
            (index, shape[outer.len()], start[outer.len()], true);
        for axis in (0..outer.len()).rev() {
            let at = start[axis] + rest % outer[axis];
            rest /= outer[axis];
            inside &= at < shape[axis];
            offset += at * stride;
            stride *= shape[axis];
        }
        if inside {
            out[offset * size..][..length].copy_from_slice(&values[..length]);
        }
    }
}

/// A text, which ends with its first zero.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn damaged(what: impl Into<String>) -> Problem {
    Problem::Damaged { format: "HDF5 file", what: what.into() }
}

fn unsupported(what: impl Into<String>) -> Problem {
    Problem::Unsupported { what: what.into(), advice: "save the weights again with Keras" }
}

fn newer(what: String) -> Problem {
    Problem::Unsupported { what, advice: "save it again with Keras, or with h5py without `libver`" }
}
