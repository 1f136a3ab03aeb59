//! Folders of results, in which only files that glassbox wrote are replaced or removed.
//!
//! `manifest.json` lists the files that glassbox wrote into the folder, with their SHA-256. A file that is not in the
//! list, or whose content has changed, belongs to the user: it is never replaced and never removed. If such a file
//! has the path of an output, the run is refused before any work is done. The same applies to links: none is followed,
//! neither in the folder nor in its list.
//!
//! The files of a run are put in place together ([`Batch`]). All are first written to temporary files; then the old
//! files are removed; then the list is written with the new files; then these are renamed, in the order in which they
//! were added. So
//!
//! - a full disk is detected before any file of the earlier run is touched;
//! - a process that is killed leaves no file of ours that is not in the list;
//! - the last file of a batch exists only if all the others do: it is removed first and put in place last.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::atomic::{self, Staged, WriteError};
use crate::hash::Sha256;
use crate::lock::{self, Lock, LockError};

/// The file name of the list.
pub const MANIFEST: &str = "manifest.json";

const SCHEMA: u32 = 1;
const GENERATOR: &str = "glassbox";

/// An error of writing results into a folder. The folder is unchanged, unless the error is one of writing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputFolderError {
    /// The folder has files, but is not a folder of results.
    #[error(
        "{} is not empty and not a folder of results: it has {}, but no {MANIFEST} of glassbox (earlier versions wrote none); \
         choose another folder, or move this one away",
        dir.display(), found.display()
    )]
    NotOurs {
        /// The folder.
        dir: PathBuf,
        /// A file in the folder.
        found: PathBuf,
    },
    /// A file that is not ours has the path of an output.
    #[error("{} is in the way of the results: {problem}; move it away, or choose another folder", path.display())]
    InTheWay {
        /// The path.
        path: PathBuf,
        /// The reason why it is not replaced.
        problem: &'static str,
    },
    /// The list of files is invalid.
    #[error("{} cannot be used: {problem}; choose another folder, or move this one away", path.display())]
    Manifest {
        /// The path of the list.
        path: PathBuf,
        /// A description of the problem.
        problem: String,
    },
    /// The folder has no list of files.
    #[error(
        "{} has no {MANIFEST}, the list of the files that glassbox wrote there (earlier versions wrote none); make the \
         results again, in another folder",
        dir.display()
    )]
    Unlisted {
        /// The folder.
        dir: PathBuf,
    },
    /// A file is not the one that glassbox wrote.
    #[error("{} does not belong to the results in its folder: {problem}; restore it, or make the results again", path.display())]
    NotAsWritten {
        /// The path.
        path: PathBuf,
        /// The difference.
        problem: &'static str,
    },
    /// The folder cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable {
        /// The folder, or a file in it.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// Another run is writing into the folder, or the folder cannot be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A file could not be written or removed.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// The content of `manifest.json`.
#[derive(Serialize, Deserialize)]
struct Manifest {
    schema: u32,
    generator: String,
    /// The SHA-256 of each file, by its path with `/`.
    files: BTreeMap<String, String>,
}

/// A folder of results, locked until this is dropped.
#[derive(Debug)]
pub struct OutputFolder {
    dir: PathBuf,
    /// The next [`Manifest::files`].
    files: BTreeMap<String, String>,
    _lock: Lock,
}

impl OutputFolder {
    /// Locks the folder `dir` for a run that writes the files `outputs`, each named `NAME` or `FOLDER/NAME`. The run
    /// may continue from the files `continued`, which it checks itself before replacing them. The folder is created if
    /// absent, and temporary files of killed runs are removed.
    ///
    /// # Errors
    /// If the folder is neither empty (apart from `continued`) nor a folder of results, another run is writing there,
    /// or a file that is not ours has the path of an output.
    pub fn open<S: AsRef<str>>(
        dir: &Path,
        outputs: &[S],
        continued: &[&str],
    ) -> Result<Self, OutputFolderError> {
        let folder = Self::locked(dir)?;
        let written = file_names(outputs).chain(continued.iter().map(OsStr::new));
        if !dir.join(MANIFEST).exists() {
            folder.require_empty(continued, written.clone())?;
        }
        folder.require_free(outputs)?;
        for name in continued {
            match std::fs::symlink_metadata(dir.join(name)) {
                Ok(there) if !there.is_file() => return Err(folder.in_the_way(name, NOT_PLAIN)),
                _ => {}
            }
        }
        atomic::sweep(dir, written);
        Ok(folder)
    }

    /// Locks the folder `dir` to add the files `outputs` to its content. Only these files are replaced.
    ///
    /// # Errors
    /// If another run is writing there, or a file that is not ours has the path of an output.
    pub fn join<S: AsRef<str>>(dir: &Path, outputs: &[S]) -> Result<Self, OutputFolderError> {
        let folder = Self::locked(dir)?;
        folder.require_free(outputs)?;
        atomic::sweep(dir, file_names(outputs));
        Ok(folder)
    }

    fn locked(dir: &Path) -> Result<Self, OutputFolderError> {
        let lock = Lock::folder(dir)?;
        Ok(Self { dir: dir.to_owned(), files: read(&dir.join(MANIFEST))?, _lock: lock })
    }

    /// The path of the folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Starts a batch of files that belong together.
    pub fn batch(&mut self) -> Batch<'_> {
        Batch { folder: self, new: vec![] }
    }

    /// Refuses a folder with files other than `continued`, the lock, and temporary files for `written`.
    fn require_empty<'a>(
        &self,
        continued: &[&str],
        written: impl Iterator<Item = &'a OsStr> + Clone,
    ) -> Result<(), OutputFolderError> {
        let unreadable = |cause| OutputFolderError::Unreadable { path: self.dir.clone(), cause };
        for entry in std::fs::read_dir(&self.dir).map_err(unreadable)? {
            let name = entry.map_err(unreadable)?.file_name();
            let known = name == lock::FILE_NAME || continued.iter().any(|known| name == *known);
            if !known && !written.clone().any(|of| atomic::is_temporary(&name, of)) {
                return Err(OutputFolderError::NotOurs { dir: self.dir.clone(), found: name.into() });
            }
        }
        Ok(())
    }

    fn require_free<S: AsRef<str>>(&self, names: &[S]) -> Result<(), OutputFolderError> {
        names.iter().try_for_each(|name| match self.look(name.as_ref())? {
            There::Nothing | There::Ours => Ok(()),
            There::Foreign(problem) => Err(self.in_the_way(name.as_ref(), problem)),
        })
    }

    fn look(&self, name: &str) -> Result<There, OutputFolderError> {
        look(&self.dir, &self.files, name)
    }

    fn in_the_way(&self, name: &str, problem: &'static str) -> OutputFolderError {
        OutputFolderError::InTheWay { path: self.dir.join(name), problem }
    }
}

/// Checks the folder `dir` against its list: each of the files `names` has the listed content, or is neither there nor
/// listed. So the files that are there belong to one run.
///
/// # Errors
/// If the folder has no list, or a file is missing, has changed, or is not listed.
pub fn verify<S: AsRef<str>>(dir: &Path, names: &[S]) -> Result<(), OutputFolderError> {
    let list = dir.join(MANIFEST);
    let files = read(&list)?;
    if !list.exists() {
        return Err(OutputFolderError::Unlisted { dir: dir.to_owned() });
    }
    names.iter().map(AsRef::as_ref).try_for_each(|name| {
        let problem = match look(dir, &files, name)? {
            There::Nothing if files.contains_key(name) => "it is missing",
            There::Nothing | There::Ours => return Ok(()),
            There::Foreign(problem) => problem,
        };
        Err(OutputFolderError::NotAsWritten { path: dir.join(name), problem })
    })
}

/// Finds what is at the path `name` of the folder `dir`, whose list has `files`.
fn look(dir: &Path, files: &BTreeMap<String, String>, name: &str) -> Result<There, OutputFolderError> {
    if let Some((folder, _)) = name.split_once('/') {
        match std::fs::symlink_metadata(dir.join(folder)) {
            Ok(there) if there.is_dir() => {}
            Ok(_) => return Ok(There::Foreign("its folder is a link or not a folder")),
            Err(_) => return Ok(There::Nothing),
        }
    }
    let path = dir.join(name);
    let unreadable = |cause| OutputFolderError::Unreadable { path: path.clone(), cause };
    match std::fs::symlink_metadata(&path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(There::Nothing),
        Err(cause) => Err(unreadable(cause)),
        Ok(there) if !there.is_file() => Ok(There::Foreign(NOT_PLAIN)),
        Ok(_) => Ok(match files.get(name) {
            None => There::Foreign("manifest.json does not list it, so glassbox did not write it"),
            Some(known) => {
                let bytes = std::fs::read(&path).map_err(unreadable)?;
                match Sha256::of(&bytes).to_string() == *known {
                    true => There::Ours,
                    false => There::Foreign("it was changed after glassbox wrote it"),
                }
            }
        }),
    }
}

const NOT_PLAIN: &str = "it is a folder, a link, a pipe or a device, and not a plain file";

enum There {
    Nothing,
    /// A file that glassbox wrote, unchanged.
    Ours,
    /// Anything else, with the reason why it is not ours.
    Foreign(&'static str),
}

/// The names of the files that are written into a folder, next to which there may be temporary files: those of the
/// list, and `outputs` without their subfolders.
fn file_names<S: AsRef<str>>(outputs: &[S]) -> impl Iterator<Item = &OsStr> + Clone {
    let names = outputs.iter().map(|path| path.as_ref().rsplit('/').next().unwrap_or_default());
    names.chain([MANIFEST]).map(OsStr::new)
}

/// Reads the list of files; an absent list is empty.
fn read(path: &Path) -> Result<BTreeMap<String, String>, OutputFolderError> {
    let unusable = |problem: String| OutputFolderError::Manifest { path: path.to_owned(), problem };
    match std::fs::symlink_metadata(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Ok(there) if !there.is_file() => return Err(unusable(NOT_PLAIN.into())),
        _ => {}
    }
    let bytes = std::fs::read(path)
        .map_err(|cause| OutputFolderError::Unreadable { path: path.to_owned(), cause })?;
    let manifest: Manifest = serde_json::from_slice(&bytes)
        .map_err(|error| unusable(format!("it is not a list of files written by glassbox ({error})")))?;
    if (manifest.generator.as_str(), manifest.schema) != (GENERATOR, SCHEMA) {
        let Manifest { generator, schema, .. } = manifest;
        let problem = format!(
            "its generator is {generator:?} with schema {schema}, expected {GENERATOR:?} with schema {SCHEMA}"
        );
        return Err(unusable(problem));
    }
    match manifest.files.keys().find(|name| !is_within(name)) {
        Some(name) => Err(unusable(format!("it lists {name:?}, which is not a file of this folder"))),
        None => Ok(manifest.files),
    }
}

/// Returns true for paths of the form `NAME` and `FOLDER/NAME`, which do not lead out of the folder.
fn is_within(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    parts.clone().count() <= 2 && parts.all(|part| matches!(part, Component::Normal(_))) && !name.is_empty()
}

/// Files that belong together and are put in place together. If it is dropped without `commit`, nothing is left behind.
#[derive(Debug)]
#[must_use = "nothing is in its place before `commit`"]
pub struct Batch<'a> {
    folder: &'a mut OutputFolder,
    new: Vec<New>,
}

#[derive(Debug)]
struct New {
    name: String,
    sha256: String,
    staged: Staged,
}

impl Batch<'_> {
    /// Writes `bytes` to a temporary file for the file `name` of the folder.
    ///
    /// # Errors
    /// If a file that is not ours has its path, or it cannot be written.
    pub fn add(&mut self, name: &str, bytes: &[u8]) -> Result<(), OutputFolderError> {
        self.folder.require_free(&[name])?;
        let staged = atomic::stage_beside(&self.folder.dir, self.folder.dir.join(name), bytes)?;
        self.new.push(New { name: name.into(), sha256: Sha256::of(bytes).to_string(), staged });
        Ok(())
    }

    /// Writes the output of `fill` to a temporary file for the file `name` of the folder.
    ///
    /// # Errors
    /// As [`Batch::add`].
    pub fn add_with(
        &mut self,
        name: &str,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), OutputFolderError> {
        let mut bytes = vec![];
        fill(&mut bytes).map_err(|cause| WriteError {
            path: self.folder.dir.join(name),
            doing: "writing its content",
            cause,
        })?;
        self.add(name, &bytes)
    }

    /// Puts all files in place, the last one only after all the others, and removes the files of earlier runs whose
    /// names
    /// `stale` accepts.
    ///
    /// # Errors
    /// If a file that is not ours has appeared at the path of an output, or a file cannot be removed or renamed. Then
    /// files of earlier runs may be gone and some of the new ones in place, but not the last.
    pub fn commit(self, stale: impl Fn(&str) -> bool) -> Result<(), OutputFolderError> {
        let Self { folder, new } = self;
        let is_new = |name: &str| new.iter().any(|file| file.name == name);
        // The first file to be removed is the one whose presence means that the others are complete.
        let old = folder.files.keys().filter(|name| stale(name) && !is_new(name)).cloned();
        let old: Vec<String> = new.iter().rev().map(|file| file.name.clone()).chain(old).collect();

        let mut files = folder.files.clone();
        files.retain(|name, _| !old.contains(name));
        files.extend(new.iter().map(|file| (file.name.clone(), file.sha256.clone())));
        let list = Manifest { schema: SCHEMA, generator: GENERATOR.into(), files: files.clone() };
        let list = atomic::stage_beside(&folder.dir, folder.dir.join(MANIFEST), &atomic::json(&list))?;
        folder.require_free(&new.iter().map(|file| &file.name).collect::<Vec<_>>())?;

        for name in &old {
            match folder.look(name)? {
                There::Ours => atomic::remove(&folder.dir.join(name))?,
                // A user's file there is removed from the list.
                There::Nothing | There::Foreign(_) => {}
            }
        }
        list.commit()?;
        folder.files = files;
        for New { name, staged, .. } in new {
            if let Some((sub, _)) = name.split_once('/') {
                let path = folder.dir.join(sub);
                std::fs::create_dir_all(&path).map_err(|cause| WriteError {
                    path,
                    doing: "creating the folder",
                    cause,
                })?;
            }
            match folder.look(&name)? {
                There::Nothing => staged.commit()?,
                _ => return Err(folder.in_the_way(&name, "it has just appeared there")),
            }
        }
        for sub in old.iter().filter_map(|name| Some(name.split_once('/')?.0)) {
            // This removes empty folders only.
            let _ = std::fs::remove_dir(folder.dir.join(sub));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(dir).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != lock::FILE_NAME);
        names.sort();
        names
    }

    const OUTPUTS: [&str; 3] = ["a", "sub/b", "last"];

    /// A folder with the results of a run, in which each file has the content `old`.
    fn with_a_run() -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        let mut folder = OutputFolder::open(home.path(), &OUTPUTS, &[]).unwrap();
        let mut batch = folder.batch();
        OUTPUTS.iter().for_each(|name| batch.add(name, b"old").unwrap());
        batch.commit(|_| true).unwrap();
        home
    }

    #[test]
    fn a_batch_that_is_not_committed_changes_nothing() {
        let home = with_a_run();
        let mut folder = OutputFolder::open(home.path(), &OUTPUTS, &[]).unwrap();
        let mut batch = folder.batch();
        batch.add("a", b"new").unwrap();
        let error = batch.add_with("sub/b", |_| Err(io::Error::other("full"))).unwrap_err();
        assert!(error.to_string().contains("sub/b"), "{error}");
        drop(batch);
        assert_eq!(names(home.path()), ["a", "last", "manifest.json", "sub"]);
        assert!(OUTPUTS.iter().all(|name| std::fs::read(home.path().join(name)).unwrap() == b"old"));
    }

    #[test]
    fn a_batch_takes_away_what_it_does_not_have_and_leaves_what_is_not_listed() {
        let home = with_a_run();
        std::fs::write(home.path().join("mine"), "mine").unwrap();
        let mut folder = OutputFolder::open(home.path(), &OUTPUTS, &[]).unwrap();
        let mut batch = folder.batch();
        batch.add("last", b"new").unwrap();
        batch.commit(|_| true).unwrap();
        assert_eq!(names(home.path()), ["last", "manifest.json", "mine"]);
        assert_eq!(std::fs::read(home.path().join("last")).unwrap(), b"new");
        assert_eq!(read(&home.path().join(MANIFEST)).unwrap().len(), 1);
    }

    #[test]
    fn what_comes_into_the_way_of_a_batch_stays_and_so_does_the_run_before() {
        let home = with_a_run();
        let mut folder = OutputFolder::open(home.path(), &OUTPUTS, &[]).unwrap();
        let mut batch = folder.batch();
        batch.add("a", b"new").unwrap();
        batch.add("last", b"new").unwrap();
        std::fs::write(home.path().join("last"), "mine").unwrap();
        let error = batch.commit(|_| true).unwrap_err();
        assert!(
            matches!(&error, OutputFolderError::InTheWay { path, .. } if path.ends_with("last")),
            "{error}"
        );
        assert_eq!(std::fs::read(home.path().join("last")).unwrap(), b"mine");
        assert_eq!(std::fs::read(home.path().join("a")).unwrap(), b"old");
    }

    /// A run that is killed after some of the renames leaves a list with files that do not exist yet.
    #[test]
    fn a_folder_in_which_listed_files_are_missing_is_ours() {
        for missing in OUTPUTS {
            let home = with_a_run();
            std::fs::remove_file(home.path().join(missing)).unwrap();
            let mut folder = OutputFolder::open(home.path(), &OUTPUTS, &[]).unwrap();
            let mut batch = folder.batch();
            OUTPUTS.iter().for_each(|name| batch.add(name, b"new").unwrap());
            batch.commit(|_| true).unwrap();
            assert!(OUTPUTS.iter().all(|name| std::fs::read(home.path().join(name)).unwrap() == b"new"));
        }
    }
}
