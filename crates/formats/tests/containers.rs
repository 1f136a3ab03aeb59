//! Zip archives and HDF5 files: what is written comes back, and what is damaged or hostile is refused within bounds.

use std::io::Write as _;

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use glassbox_formats::container::{Problem, Unpacked};
use glassbox_formats::hdf5::{self, Dataset, Group, Object, Values};
use glassbox_formats::zip;

fn unpacked() -> Unpacked {
    Unpacked::at_most(1 << 20)
}

fn read(bytes: &[u8]) -> Result<Group, Problem> {
    hdf5::read(bytes, &mut unpacked())
}

fn dataset(shape: &[usize], values: Values) -> Dataset {
    Dataset { shape: shape.to_vec(), values }
}

/// Every kind of number, groups within groups, and one with more members than a node of the tree usually has.
fn tree() -> Group {
    let mut root = Group::default();
    root.insert(
        "layers/conv1d/vars/0",
        dataset(&[1, 2, 3], Values::F32(vec![1.0, -2.5, 3e-40, 0.0, -0.0, f32::MAX])),
    );
    root.insert("layers/conv1d/vars/1", dataset(&[2], Values::F64(vec![0.1, f64::MIN_POSITIVE])));
    root.insert("optimizer/vars/0", dataset(&[], Values::Integer(vec![-3])));
    root.insert("nothing", dataset(&[0, 4], Values::F32(vec![])));
    for index in 0..700 {
        root.insert(&format!("many/{index}"), dataset(&[1], Values::F32(vec![index as f32])));
    }
    root
}

fn small() -> Vec<u8> {
    let mut root = Group::default();
    root.insert("layers/dense/vars/0", dataset(&[2, 1], Values::F32(vec![1.0, 2.0])));
    root.insert("layers/dense/vars/1", dataset(&[1], Values::F32(vec![3.0])));
    hdf5::write(&root)
}

#[test]
fn groups_and_numbers_come_back() {
    let root = tree();
    let bytes = hdf5::write(&root);
    assert_eq!(read(&bytes), Ok(root.clone()));
    assert!(hdf5::write(&root) == bytes);
    assert!(matches!(root.object("layers/conv1d/vars"), Some(Object::Group(_))));
    assert_eq!((root.object("layers/none/0"), root.group("optimizer/vars/0")), (None, None));
}

#[test]
fn a_file_that_is_cut_is_refused() {
    let bytes = small();
    for end in 0..bytes.len() {
        assert!(matches!(read(&bytes[..end]), Err(Problem::Damaged { .. })), "{end} bytes");
    }
}

/// A flipped bit may hit a value or a gap. Whatever it hits, reading ends, and what was read can be written.
#[test]
fn a_flipped_bit_is_refused_or_read() {
    let bytes = small();
    for bit in 0..8 * bytes.len() {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(root) = read(&flipped) {
            assert!(read(&hdf5::write(&root)).is_ok(), "bit {bit}");
        }
    }
}

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn set(bytes: &mut [u8], at: usize, number: u64) {
    bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
}

fn positions(bytes: &[u8], signature: &[u8]) -> Vec<usize> {
    (0..bytes.len()).filter(|at| bytes[*at..].starts_with(signature)).collect()
}

#[test]
fn circles_of_addresses_end() {
    let good = small();
    let (root, symbols, trees) = (number(&good, 64), positions(&good, b"SNOD"), positions(&good, b"TREE"));
    let refused = |what: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        match read(&bytes) {
            Err(Problem::Damaged { what: found, .. }) => assert!(found.contains(what), "{what}: {found}"),
            other => panic!("{what}: {other:?}"),
        }
    };
    // Each group is its own member.
    for at in &symbols {
        refused("circle", &|bytes| set(bytes, at + 16, root));
    }
    // A node of a tree is its own child, alone and twice.
    for at in &trees {
        refused("circle", &|bytes| {
            bytes[at + 5] = 1;
            set(bytes, at + 32, *at as u64);
        });
        refused("circle", &|bytes| {
            (bytes[at + 5], bytes[at + 6]) = (1, 2);
            set(bytes, at + 32, *at as u64);
            set(bytes, at + 48, *at as u64);
        });
    }
    // Addresses and lengths beyond the file.
    for address in [good.len() as u64, 1 << 40, u64::MAX - 8] {
        for at in &symbols {
            refused("outside", &|bytes| set(bytes, at + 16, address));
        }
    }
    refused("it should have", &|bytes| set(bytes, 40, 1 << 40));
}

#[test]
fn a_dataset_with_a_lying_shape_is_refused() {
    let good = small();
    // The axes of `layers/dense/vars/0`: 2 and 1, after the head of its dataspace.
    let shape = [1u8, 2, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    let [at] = positions(&good, &shape)[..] else { panic!("one such shape") };
    for axis in [0, 3, 1 << 40, u64::MAX / 8, u64::MAX] {
        let mut bytes = good.clone();
        set(&mut bytes, at + 8, axis);
        let found = read(&bytes);
        match axis {
            // No values: the shape of what is expected is compared later.
            0 => assert!(found.is_ok()),
            _ => assert!(matches!(found, Err(Problem::Damaged { .. })), "{axis}: {found:?}"),
        }
    }
}

fn archive() -> Vec<u8> {
    zip::write(&[("config.json", b"{}"), ("model.weights.h5", &[7; 1000]), ("empty", b"")])
}

#[test]
fn members_come_back() {
    let bytes = archive();
    let archive = zip::Archive::parse(&bytes).unwrap();
    assert_eq!(archive.names().collect::<Vec<_>>(), ["config.json", "empty", "model.weights.h5"]);
    let read = |name| archive.read(name, &mut unpacked()).unwrap().map(std::borrow::Cow::into_owned);
    assert_eq!(read("model.weights.h5"), Some(vec![7; 1000]));
    assert_eq!((read("empty"), read("none")), (Some(vec![]), None));
}

#[test]
fn an_archive_that_is_damaged_is_refused() {
    let bytes = archive();
    for end in 0..bytes.len() {
        assert!(zip::Archive::parse(&bytes[..end]).is_err(), "{end} bytes");
    }
    for bit in 0..8 * bytes.len() {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let read = zip::Archive::parse(&flipped)
            .and_then(|archive| archive.read("model.weights.h5", &mut unpacked()));
        // The dates and the versions are not read, the other members neither.
        assert!(read.is_err() || read.unwrap().is_none_or(|content| content == vec![7; 1000]), "bit {bit}");
    }
}

#[test]
fn names_that_leave_the_archive_are_refused() {
    for name in ["../a", "a/../../b", "/etc/passwd", "a\\b", "c:a", "a\0b", ".."] {
        let error = zip::Archive::parse(&zip::write(&[(name, b"")])).unwrap_err().to_string();
        assert!(error.contains("leaves the archive"), "{name}: {error}");
        assert!(!error.contains('\0'), "{error:?}");
    }
    assert!(zip::Archive::parse(&zip::write(&[("a..b/c", b"")])).is_ok());
    let twice = zip::Archive::parse(&zip::write(&[("a", b"1"), ("a", b"2")])).unwrap_err().to_string();
    assert!(twice.contains("two members `a`") || twice.contains("two members a"), "{twice}");
}

/// An archive of one deflated member, whose directory says that it has `size` bytes.
fn deflated(content: &[u8], size: usize) -> Vec<u8> {
    let mut packed = DeflateEncoder::new(vec![], Compression::best());
    packed.write_all(content).unwrap();
    let packed = packed.finish().unwrap();
    let mut checksum = Crc::new();
    checksum.update(content);
    let mut bytes = zip::write(&[("m", &packed)]);
    for (signature, method) in [(b"PK\x03\x04", 8), (b"PK\x01\x02", 10)] {
        let at = positions(&bytes, signature)[0] + method;
        bytes[at] = 8;
        bytes[at + 6..at + 10].copy_from_slice(&checksum.sum().to_le_bytes());
        bytes[at + 14..at + 18].copy_from_slice(&(size as u32).to_le_bytes());
    }
    bytes
}

#[test]
fn a_member_unpacks_to_what_it_says_and_not_beyond_the_limit() {
    let content = vec![0; 100_000];
    let read = |bytes: &[u8], limit| {
        let read = zip::Archive::parse(bytes).unwrap().read("m", &mut Unpacked::at_most(limit));
        read.map(|content| content.unwrap().into_owned())
    };
    let good = deflated(&content, content.len());
    assert!(good.len() < 1000);
    assert_eq!(read(&good, content.len()), Ok(content.clone()));
    assert!(matches!(read(&good, content.len() - 1), Err(Problem::TooLarge { limit: 99_999, .. })));
    // It says less than it unpacks to, or more.
    for size in [0, 10, content.len() - 1, content.len() + 1] {
        assert!(matches!(read(&deflated(&content, size), 1 << 20), Err(Problem::Damaged { .. })), "{size}");
    }
    assert!(matches!(read(&deflated(&content, 1 << 30), 1 << 20), Err(Problem::TooLarge { .. })));
}
