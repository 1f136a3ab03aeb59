//! HDF5 files, as far as Keras's files of weights need them: groups, datasets of numbers, and attributes of text.
//!
//! This is the part of the [format](https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html) that h5py writes
//! by default: superblock 0 or 1, groups as symbol tables, object headers of version 1. Data may be contiguous, compact, or
//! in chunks (deflated, shuffled, or as they are). Whatever else a file has is refused by name, or skipped where nothing
//! reads it.
//!
//! A file is a graph of addresses, which may point anywhere, also back. So reading takes the bytes of each part that it
//! visits from a budget of twice the length of the file: an honest file has its parts apart from each other. A circle of
//! addresses, or many that share what they point to, end the budget. That bounds time and memory by the length of the
//! file. What compressed chunks unpack to has a limit of its own ([`container`](crate::container)).

mod read;
mod write;

use std::collections::BTreeMap;

pub use read::read;
pub use write::write;

/// The first bytes of every file.
pub const SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";

/// A group: objects by name, and attributes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Group {
    /// The attributes that are text: one or a list of them. Others are not read, and none are written.
    pub attributes: BTreeMap<String, Vec<String>>,
    /// The members by name.
    pub members: BTreeMap<String, Object>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    /// A group.
    Group(Group),
    /// Numbers.
    Dataset(Dataset),
    /// A dataset of another type, with a description of it. It is not written.
    Other(String),
}

/// Numbers of any number of axes, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// The lengths of the axes; none for a single number.
    pub shape: Vec<usize>,
    /// The values.
    pub values: Values,
}

/// The values of a dataset, in their type.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 64-bit floats.
    F64(Vec<f64>),
    /// Integers of 32 or 64 bits.
    Integer(Vec<i64>),
}

impl Group {
    /// The group at a path such as `layers/conv1d/vars`.
    #[must_use]
    pub fn group(&self, path: &str) -> Option<&Self> {
        path.split('/').try_fold(self, |group, name| match group.members.get(name) {
            Some(Object::Group(inner)) => Some(inner),
            _ => None,
        })
    }

    /// The object at a path.
    #[must_use]
    pub fn object(&self, path: &str) -> Option<&Object> {
        match path.rsplit_once('/') {
            None => self.members.get(path),
            Some((group, name)) => self.group(group)?.members.get(name),
        }
    }

    /// Adds a dataset at a path, and the groups on the way that are not there.
    ///
    /// # Panics
    /// If there is something at the path, or an object that is no group is on the way.
    pub fn insert(&mut self, path: &str, dataset: Dataset) {
        let mut group = self;
        let mut name = path;
        while let Some((outer, rest)) = name.split_once('/') {
            let next = group.members.entry(outer.into()).or_insert_with(|| Object::Group(Self::default()));
            let Object::Group(next) = next else { panic!("{path}: {outer} is no group") };
            (group, name) = (next, rest);
        }
        let before = group.members.insert(name.into(), Object::Dataset(dataset));
        assert!(before.is_none(), "{path} is there already");
    }
}
