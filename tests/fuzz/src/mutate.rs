//! Mutations that know a format: what they make is mostly still of it, so that it comes past the first check.

use std::borrow::Cow;

use glassbox_engine::random::Draws;
use glassbox_formats::container::Unpacked;
use glassbox_formats::hash::Sha256;
use glassbox_formats::tensor_file::TensorFile;
use glassbox_formats::{hdf5, zip};
use serde_json::{Map, Number, Value as Json, json};

/// Numbers at the limits of types, and what is none.
const NUMBERS: [&str; 29] = [
    "0",
    "-0.0",
    "1",
    "-1",
    "2",
    "7",
    "127",
    "255",
    "65536",
    "2147483647",
    "4294967295",
    "4294967296",
    "4611686018427387904",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e308",
    "-1e308",
    "1e309",
    "1e-320",
    "3.5e38",
    "0.1",
    "1e400000000",
    "NaN",
    "inf",
    "-Infinity",
    "0x10",
    "1_000",
];
/// Texts that have meant trouble somewhere.
const TEXTS: [&str; 20] = [
    "",
    " ",
    "\u{1b}[2J\u{1b}]0;mine\u{7}",
    "\u{9b}31m",
    "\n",
    "\r\n",
    "\r",
    "\t",
    "\"",
    "\"\"",
    ",",
    ";",
    "\0",
    "\u{202e}",
    "\u{2028}",
    "\u{feff}",
    "é",
    "𝔘",
    "null",
    "../../x",
];
/// Timestamps, good and bad.
const TIMES: [&str; 14] = [
    "2014-04-01 00:00:00",
    "2014-04-01T00:05:00Z",
    "2014-04-01T00:05:00+23:59",
    "2014-04-01",
    "0000-01-01 00:00:00",
    "9999-12-31 23:59:59.999999999",
    "9999-12-31T23:59:59-23:59",
    "2014-02-29 00:00:00",
    "2014-04-01 24:00:00",
    "2014-04-01 23:59:60",
    "2014-04-01 00:00:00.1234567891",
    "-001-01-01 00:00:00",
    "04/01/2014",
    "1396310400",
];

fn pick<'a, T: ?Sized>(draws: &mut Draws, from: &[&'a T]) -> &'a T {
    from[index(draws, from.len())]
}

/// Below `n`, which is not 0.
fn index(draws: &mut Draws, n: usize) -> usize {
    draws.below(n as u64) as usize
}

fn chance(draws: &mut Draws, of: u64) -> bool {
    draws.below(of) == 0
}

/// A range of `0..=n`, mostly short.
fn range(draws: &mut Draws, n: usize) -> std::ops::Range<usize> {
    let start = index(draws, n + 1);
    let most = if chance(draws, 4) { n - start } else { (n - start).min(16) };
    start..start + index(draws, most + 1)
}

/// Any bytes: bits flipped, bytes replaced, pieces cut, doubled or taken from another input, numbers at their limits.
pub fn bytes(draws: &mut Draws, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut out = input.to_vec();
    for _ in 0..=draws.below(4) {
        let piece = range(draws, out.len());
        let insert: Cow<'_, [u8]> = match draws.below(9) {
            0 => Cow::Borrowed(&[]),
            1 => Cow::Owned(out[piece.clone()].repeat(2)),
            2 => Cow::Borrowed(&other[range(draws, other.len())]),
            3 => Cow::Borrowed(pick(draws, &NUMBERS).as_bytes()),
            4 => Cow::Borrowed(pick(draws, &TEXTS).as_bytes()),
            5 => Cow::Owned(draws.next_u64().to_le_bytes()[..piece.len().min(8)].to_vec()),
            6 => Cow::Owned(vec![if chance(draws, 2) { 0xFF } else { 0 }; piece.len()]),
            7 if !out.is_empty() => {
                let at = index(draws, out.len());
                out[at] ^= 1 << draws.below(8);
                continue;
            }
            _ => {
                out.truncate(piece.start);
                continue;
            }
        };
        out.splice(piece, insert.iter().copied());
    }
    out
}

/// CSV: cells, rows, columns, quotes, line ends.
pub fn csv(draws: &mut Draws, input: &[u8], other: &[u8]) -> Vec<u8> {
    if chance(draws, 6) {
        return bytes(draws, input, other);
    }
    let text = String::from_utf8_lossy(input);
    let mut rows: Vec<Vec<String>> =
        text.split('\n').map(|row| row.split(',').map(str::to_owned).collect()).collect();
    for _ in 0..=draws.below(3) {
        let row = index(draws, rows.len());
        let cells = rows[row].len();
        let cell = index(draws, cells);
        let content = rows[row][cell].clone();
        match draws.below(14) {
            0 => rows[row][cell] = pick(draws, &NUMBERS).into(),
            1 => rows[row][cell] = pick(draws, &TIMES).into(),
            2 => rows[row][cell] = pick(draws, &TEXTS).into(),
            3 => rows[row][cell] = format!("{content}{}", pick(draws, &TEXTS)),
            4 => rows[row][cell] = format!("\"{content}\""),
            5 => rows[row][cell] = format!("\"{}\"", pick(draws, &["\n", ",", "\"\"", "a\r\nb", "\n\n\n"])),
            6 => rows[row][cell] = format!("\"{content}"),
            7 => rows[row].insert(cell, content),
            8 => drop(rows[row].remove(cell)),
            9 => rows.insert(row, vec![]),
            10 => {
                let copy = rows[row].clone();
                rows.insert(row, copy);
            }
            11 if rows.len() > 1 => drop(rows.remove(row)),
            12 => {
                let to = index(draws, rows.len());
                rows.swap(row, to);
            }
            _ => {
                let text = pick(draws, &TEXTS);
                rows.iter_mut().for_each(|row| row.push(text.into()));
            }
        }
        // A row has a cell, if an empty one.
        rows.iter_mut().filter(|row| row.is_empty()).for_each(|row| row.push(String::new()));
    }
    let end = *["\n", "\n", "\n", "\r\n", "\r"].get(index(draws, 5)).expect("one of five");
    rows.iter().map(|row| row.join(",")).collect::<Vec<_>>().join(end).into_bytes()
}

/// JSON: numbers at their limits, other types, keys and items added, taken, doubled and renamed, nesting.
pub fn json(draws: &mut Draws, input: &[u8], other: &[u8]) -> Vec<u8> {
    let Ok(mut document) = serde_json::from_slice::<Json>(input) else { return bytes(draws, input, other) };
    if chance(draws, 8) {
        return bytes(draws, input, other);
    }
    for _ in 0..=draws.below(3) {
        json_value(draws, &mut document);
    }
    let text = if chance(draws, 8) { format!("{document:#}") } else { document.to_string() };
    text.into_bytes()
}

/// One change somewhere in a JSON value.
fn json_value(draws: &mut Draws, document: &mut Json) {
    // Down a random way; at each level it may end.
    let mut value = document;
    loop {
        let children = match &*value {
            Json::Array(items) => items.len(),
            Json::Object(entries) => entries.len(),
            _ => 0,
        };
        if children == 0 || chance(draws, 5) {
            break;
        }
        let child = index(draws, children);
        value = match value {
            Json::Array(items) => &mut items[child],
            Json::Object(entries) => entries.values_mut().nth(child).expect("so many children"),
            _ => unreachable!("only these have children"),
        };
    }
    if let Json::Object(entries) = value {
        return json_entries(draws, entries);
    }
    let old = value.take();
    *value = match (draws.below(12), old) {
        (0..=3, Json::Number(_)) => json!(draws.below(12)),
        (4, old) => json!([old]),
        (5, old) => (0..draws.below(200)).fold(old, |inner, _| json!([inner])),
        (0..=5, Json::Array(mut items)) if !items.is_empty() => {
            let at = index(draws, items.len());
            match draws.below(3) {
                0 => drop(items.remove(at)),
                1 => items.insert(at, items[at].clone()),
                _ => {
                    let to = index(draws, items.len());
                    items.swap(at, to);
                }
            }
            Json::Array(items)
        }
        (6, Json::String(text)) => json!(text + pick(draws, &TEXTS)),
        (6 | 7, _) => json!(pick(draws, &TEXTS)),
        (8 | 9, _) => number(pick(draws, &NUMBERS)),
        (10, _) => Json::Null,
        (11, _) => json!(chance(draws, 2)),
        (_, old) => old,
    };
}

/// One change in a JSON object.
fn json_entries(draws: &mut Draws, entries: &mut Map<String, Json>) {
    let key = entries.keys().nth(index(draws, entries.len().max(1))).cloned().unwrap_or_default();
    match draws.below(5) {
        0 => drop(entries.remove(&key)),
        1 => {
            let value = entries.remove(&key).unwrap_or_default();
            entries.insert(key + pick(draws, &TEXTS), value);
        }
        2 => drop(
            entries
                .insert(pick(draws, &["registered_name", "module", "extra", "dtype", ""]).into(), Json::Null),
        ),
        3 => drop(entries.insert("mine".into(), json!(pick(draws, &TEXTS)))),
        _ => drop(entries.insert(key, number(pick(draws, &NUMBERS)))),
    }
}

/// The number that a text is in JSON, or else the text.
fn number(text: &str) -> Json {
    serde_json::from_str::<Number>(text).map_or_else(|_| json!(text), Json::Number)
}

/// Which checksum a file of tensors has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// None.
    None,
    /// The checksum of a model file.
    Model,
    /// The checksum of a checkpoint.
    Checkpoint,
}

const CHECKSUM: &str = "glassbox.sha256";

/// safetensors: header, offsets, shapes, texts and values; mostly with the checksum computed anew, so that what lies
/// behind it is reached.
pub fn tensors(draws: &mut Draws, input: &[u8], other: &[u8], checksum: Checksum) -> Vec<u8> {
    let parts = split_tensors(input);
    let (Some((mut header, data)), false) = (parts, chance(draws, 10)) else {
        return bytes(draws, input, other);
    };
    let mut data = data.to_vec();
    for _ in 0..=draws.below(2) {
        match draws.below(5) {
            0 => json_value(draws, &mut header),
            1 if !data.is_empty() => {
                let at = index(draws, data.len()) / 4 * 4;
                let special = [f32::NAN, f32::INFINITY, -0.0, f32::MAX, f32::MIN_POSITIVE / 2.0, 1e-3];
                data[at..]
                    .iter_mut()
                    .zip(special[index(draws, 6)].to_le_bytes())
                    .for_each(|(to, from)| *to = from);
            }
            2 => {
                // A tensor's shape, so that it often still has as many values.
                let Json::Object(entries) = &mut header else { continue };
                let tensor = index(draws, entries.len().max(1));
                let Some(Json::Array(shape)) =
                    entries.values_mut().nth(tensor).and_then(|t| t.get_mut("shape"))
                else {
                    continue;
                };
                match draws.below(4) {
                    0 => shape.push(json!(1)),
                    1 => shape.extend([json!(u64::MAX), json!(0)]),
                    2 => shape.reverse(),
                    _ => *shape = vec![json!(0), number(pick(draws, &NUMBERS))],
                }
            }
            _ => metadata(draws, &mut header),
        }
    }
    if !chance(draws, 8) {
        seal(&mut header, &data, checksum);
    }
    let mut out = join_tensors(&header, &data);
    if chance(draws, 16) {
        let length = number(pick(draws, &NUMBERS)).as_u64().unwrap_or(1 << 40);
        out[..8].copy_from_slice(&length.to_le_bytes());
    }
    out
}

/// Changes a text of the metadata; within JSON, if it is that.
fn metadata(draws: &mut Draws, header: &mut Json) {
    let Some(Json::Object(texts)) = header.get_mut("__metadata__") else { return };
    let key = texts.keys().nth(index(draws, texts.len().max(1))).cloned().unwrap_or_default();
    let Some(Json::String(text)) = texts.get(&key) else { return };
    let json = matches!(serde_json::from_str(text), Ok(Json::Object(_) | Json::Array(_)));
    let text = match draws.below(5) {
        0..=2 if json => String::from_utf8_lossy(&self::json(draws, text.as_bytes(), b"")).into_owned(),
        0 | 1 => pick(draws, &NUMBERS).into(),
        2 => pick(draws, &TEXTS).into(),
        3 => format!("{text} {}", pick(draws, &NUMBERS)),
        _ => return drop(texts.remove(&key)),
    };
    texts.insert(key, json!(text));
}

/// The header and the values of a file of tensors.
pub fn split_tensors(input: &[u8]) -> Option<(Json, &[u8])> {
    let (length, rest) = input.split_first_chunk()?;
    let (header, data) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    Some((serde_json::from_slice(header).ok()?, data))
}

/// The file of a header and values.
pub fn join_tensors(header: &Json, data: &[u8]) -> Vec<u8> {
    let header = header.to_string();
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

/// Puts the checksum of the content into the header, if it had one and the content can be read.
pub fn seal(header: &mut Json, data: &[u8], checksum: Checksum) {
    let Ok(mut file) = TensorFile::from_bytes(&join_tensors(header, data), "") else { return };
    if file.metadata.remove(CHECKSUM).is_none() {
        return;
    }
    let covered = match checksum {
        Checksum::None => return,
        Checksum::Checkpoint => {
            // A shape of which no file can be written has no checksum either.
            let sound =
                |shape: &[usize]| shape.iter().try_fold(1usize, |n, axis| n.checked_mul(*axis)).is_some();
            if !file.tensors.values().all(|tensor| sound(&tensor.shape)) {
                return;
            }
            file.to_bytes()
        }
        Checksum::Model => {
            let covered =
                file.metadata.iter().filter(|(key, _)| *key == "keras_json" || key.starts_with("glassbox."));
            let texts = covered.map(|(key, text)| format!("{key}={text}\n")).collect::<String>();
            let values = file.tensors.values().flat_map(|tensor| &tensor.values);
            texts.into_bytes().into_iter().chain(values.flat_map(|value| value.to_le_bytes())).collect()
        }
    };
    header["__metadata__"][CHECKSUM] = json!(Sha256::of(&covered).to_string());
}

/// HDF5: addresses and lengths, which are aligned numbers of eight bytes, and their kinds and counts before them.
pub fn hdf5(draws: &mut Draws, input: &[u8], other: &[u8]) -> Vec<u8> {
    let words = input.len() / 8;
    if words == 0 || chance(draws, 8) {
        return bytes(draws, input, other);
    }
    let mut out = input.to_vec();
    let word =
        |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[8 * at..][..8].try_into().expect("eight bytes"));
    for _ in 0..=draws.below(3) {
        // Gaps are no place for a fault.
        let full = (0..8).map(|_| index(draws, words)).find(|at| word(&out, *at) != 0);
        let at = full.unwrap_or_else(|| index(draws, words));
        let old = word(&out, at);
        let new = match draws.below(9) {
            0 => u64::MAX,
            1 => input.len() as u64,
            2 => number(pick(draws, &NUMBERS)).as_u64().unwrap_or_default(),
            3 => old.wrapping_add(8),
            4 => old ^ 1 << draws.below(64),
            5 => draws.below(input.len() as u64) / 8 * 8,
            6 => draws.below(40),
            _ => word(&out, index(draws, words)),
        };
        out[8 * at..][..8].copy_from_slice(&new.to_le_bytes());
    }
    out
}

/// `.keras`: a member of the archive, mostly, with its checksum computed anew; or the archive itself.
pub fn archive(draws: &mut Draws, input: &[u8], other: &[u8]) -> Vec<u8> {
    if input.starts_with(hdf5::SIGNATURE) {
        return hdf5(draws, input, other);
    }
    let Some(mut members) = members(input).filter(|members| !members.is_empty() && !chance(draws, 8)) else {
        return bytes(draws, input, other);
    };
    let at = index(draws, members.len());
    let (name, content) = &mut members[at];
    *content = match () {
        () if content.starts_with(hdf5::SIGNATURE) => hdf5(draws, content, other),
        () => json(draws, content, other),
    };
    if chance(draws, 16) {
        *name = pick(draws, &TEXTS).into();
    }
    let members: Vec<(&str, &[u8])> = members.iter().map(|(name, content)| (&**name, &**content)).collect();
    zip::write(&members)
}

fn members(input: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let archive = zip::Archive::parse(input).ok()?;
    let mut unpacked = Unpacked::at_most(1 << 20);
    let member = |name: &str| Some((name.to_owned(), archive.read(name, &mut unpacked).ok()??.into_owned()));
    archive.names().map(member).collect()
}

/// `.npy`: the dictionary of the header, its length, and the values.
pub fn npy(draws: &mut Draws, input: &[u8], other: &[u8]) -> Vec<u8> {
    let header =
        input.get(10..).and_then(|rest| rest.iter().position(|byte| *byte == b'\n').map(|end| &rest[..end]));
    let (Some(header), false) = (header, chance(draws, 8)) else { return bytes(draws, input, other) };
    let data = &input[10 + header.len() + 1..];
    let kind = pick(draws, &["<f4", ">f4", "<f8", ">f8", "|u1", "<i8", "<f2", "|O", "<U3", ""]);
    let axis = |draws: &mut Draws| match draws.below(3) {
        0 => pick(draws, &NUMBERS).to_owned(),
        _ => draws.below(9).to_string(),
    };
    let header = match draws.below(4) {
        0 => bytes(draws, header, other),
        1 => String::from_utf8_lossy(header).replace("<f4", kind).into_bytes(),
        _ => {
            let axes: Vec<String> = (0..draws.below(5)).map(|_| axis(draws)).collect();
            let order = pick(draws, &["False", "True", "None"]);
            let dictionary =
                format!("{{'descr': '<f4', 'fortran_order': {order}, 'shape': ({},), }}", axes.join(", "));
            dictionary.into_bytes()
        }
    };
    let length = if chance(draws, 8) { draws.next_u32() as u16 } else { header.len() as u16 + 1 };
    let data = if chance(draws, 3) { bytes(draws, data, other) } else { data.to_vec() };
    [&input[..8], &length.to_le_bytes(), &header, b"\n", &data].concat()
}
