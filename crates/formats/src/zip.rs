//! Zip archives, as far as a `.keras` file needs them: a few members, stored or deflated.
//!
//! Nothing is extracted: members are read into memory, by their names. An archive whose names leave it is refused all the
//! same, because other programs would extract it. Also refused: encryption, more than 4 GiB, several members of one name.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Read as _;

use flate2::Crc;
use flate2::read::DeflateDecoder;
use glassbox_engine::text::excerpt;

use crate::container::{Problem, Unpacked};

/// The first bytes of every zip archive that has members.
pub const SIGNATURE: &[u8] = b"PK\x03\x04";

const CENTRAL: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
const STORED: u16 = 0;
const DEFLATED: u16 = 8;
/// 1980-01-01, the first day that the format knows: the same members give the same bytes.
const DATE: u16 = 1 << 5 | 1;
/// Version 2.0 of the format.
const VERSION: u16 = 20;

/// An archive.
#[derive(Debug)]
pub struct Archive<'a> {
    bytes: &'a [u8],
    members: BTreeMap<String, Member>,
}

#[derive(Debug, Clone, Copy)]
struct Member {
    method: u16,
    checksum: u32,
    packed: usize,
    size: usize,
    /// Offset of the member's own header.
    header: usize,
}

impl<'a> Archive<'a> {
    /// Reads the directory of an archive.
    ///
    /// # Errors
    /// If it is damaged, or has a feature that the module does not read.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Problem> {
        let end = end_of_directory(bytes).ok_or_else(|| damaged("it has no directory at its end"))?;
        let (disk, count) = (u16_at(end, 4) | u16_at(end, 6), u16_at(end, 10));
        let (size, start) = (u32_at(end, 12), u32_at(end, 16));
        if disk != 0 || count != u16_at(end, 8) {
            return Err(unsupported("it is one of several parts of an archive"));
        }
        if count == u16::MAX || size == u32::MAX || start == u32::MAX {
            return Err(unsupported("it is an archive of more than 4 GiB (zip64)"));
        }
        let mut directory = range(bytes, start as usize, size as usize)
            .ok_or_else(|| damaged("its directory lies outside of it"))?;
        let mut members = BTreeMap::new();
        for _ in 0..count {
            let (name, member, rest) = directory_entry(directory)?;
            if members.insert(name.clone(), member).is_some() {
                return Err(damaged(format!("it has two members {}", excerpt(&name))));
            }
            directory = rest;
        }
        Ok(Self { bytes, members })
    }

    /// The names of the members.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.keys().map(String::as_str)
    }

    /// Reads the member of this name; `None` if there is none.
    ///
    /// # Errors
    /// If it is damaged, or unpacks beyond the limit.
    pub fn read(&self, name: &str, unpacked: &mut Unpacked) -> Result<Option<Cow<'a, [u8]>>, Problem> {
        let Some(member) = self.members.get(name) else { return Ok(None) };
        let bad = |what: &str| damaged(format!("member {} {what}", excerpt(name)));
        let header = range(self.bytes, member.header, 30).filter(|header| header.starts_with(SIGNATURE));
        let header = header.ok_or_else(|| bad("has no header"))?;
        let skipped = 30 + usize::from(u16_at(header, 26)) + usize::from(u16_at(header, 28));
        let packed = range(self.bytes, member.header + skipped, member.packed);
        let packed = packed.ok_or_else(|| bad("lies outside of it"))?;
        let content = if member.method == STORED {
            Cow::Borrowed(packed)
        } else {
            unpacked.count(member.size, &format!("member {}", excerpt(name)))?;
            // Grows with what there is, whatever the directory says.
            let (mut content, most) = (vec![], member.size as u64 + 1);
            let read = DeflateDecoder::new(packed).take(most).read_to_end(&mut content);
            read.map_err(|cause| bad(&format!("cannot be unpacked ({cause})")))?;
            Cow::Owned(content)
        };
        if content.len() != member.size {
            return Err(bad(&format!("does not have the {} bytes that the directory says", member.size)));
        }
        let mut checksum = Crc::new();
        checksum.update(&content);
        if checksum.sum() != member.checksum {
            return Err(bad("does not match its checksum"));
        }
        Ok(Some(content))
    }
}

/// Returns the bytes of an archive with these members, stored. The same members give the same bytes.
///
/// # Panics
/// If the archive would have 4 GiB or more.
#[must_use]
pub fn write(members: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut out, mut directory) = (vec![], vec![]);
    let number = |n: usize| u32::try_from(n).expect("an archive of less than 4 GiB").to_le_bytes();
    for (name, content) in members {
        let mut checksum = Crc::new();
        checksum.update(content);
        let header = number(out.len());
        let mut common = vec![];
        // Flags (none), method, time, date.
        [VERSION, 0, STORED, 0, DATE].iter().for_each(|field| common.extend(field.to_le_bytes()));
        common.extend(checksum.sum().to_le_bytes());
        common.extend([number(content.len()), number(content.len())].concat());
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0; 2]);
        out.extend([SIGNATURE, &common, name.as_bytes(), content].concat());
        directory
            .extend([CENTRAL, &VERSION.to_le_bytes(), &common, &[0; 10], &header, name.as_bytes()].concat());
    }
    let count = (members.len() as u16).to_le_bytes();
    let (start, size) = (number(out.len()), number(directory.len()));
    out.extend([&directory, END, &[0; 4], &count, &count, &size, &start, &[0; 2]].concat());
    out
}

/// The record at the end, before a comment of any length.
fn end_of_directory(bytes: &[u8]) -> Option<&[u8]> {
    const LENGTH: usize = 22;
    let last = bytes.len().checked_sub(LENGTH)?;
    let first = last.saturating_sub(usize::from(u16::MAX));
    (first..=last)
        .rev()
        .map(|at| &bytes[at..])
        .find(|end| end.starts_with(END) && usize::from(u16_at(end, 20)) == end.len() - LENGTH)
}

/// Reads an entry of the directory, and returns what follows it.
fn directory_entry(directory: &[u8]) -> Result<(String, Member, &[u8]), Problem> {
    const LENGTH: usize = 46;
    let short = || damaged("its directory ends early");
    let (entry, rest) = directory.split_at_checked(LENGTH).ok_or_else(short)?;
    if !entry.starts_with(CENTRAL) {
        return Err(damaged("its directory has another entry than a member"));
    }
    let [name, extra, comment] = [28, 30, 32].map(|at| usize::from(u16_at(entry, at)));
    let (name, rest) = rest.split_at_checked(name).ok_or_else(short)?;
    let rest = rest.get(extra + comment..).ok_or_else(short)?;
    let name = str::from_utf8(name).map_err(|_| damaged("the name of a member is not UTF-8"))?;
    let leaves =
        name.starts_with('/') || name.contains(['\\', ':', '\0']) || name.split('/').any(|part| part == "..");
    if leaves {
        return Err(damaged(format!("the name of member {} leaves the archive", excerpt(name))));
    }
    if u16_at(entry, 8) & 1 != 0 {
        return Err(unsupported(format!("member {} is encrypted", excerpt(name))));
    }
    let method = u16_at(entry, 10);
    if ![STORED, DEFLATED].contains(&method) {
        return Err(unsupported(format!("member {} is compressed with method {method}", excerpt(name))));
    }
    let [packed, size, header] = [20, 24, 42].map(|at| u32_at(entry, at));
    if [packed, size, header].contains(&u32::MAX) {
        return Err(unsupported(format!("member {} has more than 4 GiB (zip64)", excerpt(name))));
    }
    let [packed, size, header] = [packed, size, header].map(|number| number as usize);
    Ok((name.into(), Member { method, checksum: u32_at(entry, 16), packed, size, header }, rest))
}

fn range(bytes: &[u8], start: usize, length: usize) -> Option<&[u8]> {
    bytes.get(start..start.checked_add(length)?)
}

/// A number within a record whose length was checked.
fn u16_at(record: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([record[at], record[at + 1]])
}

/// A number within a record whose length was checked.
fn u32_at(record: &[u8], at: usize) -> u32 {
    u32::from(u16_at(record, at)) | u32::from(u16_at(record, at + 2)) << 16
}

fn damaged(what: impl Into<String>) -> Problem {
    Problem::Damaged { format: "zip archive", what: what.into() }
}

fn unsupported(what: impl Into<String>) -> Problem {
    Problem::Unsupported { what: what.into(), advice: "save the model again with Keras's `model.save`" }
}
