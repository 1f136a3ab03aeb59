//! Locks, so that only one run at a time writes to a place.
//!
//! Two runs that write the same files would mix their results, or the later one would lose those of the earlier one. So
//! a run holds a lock for as long as it lasts: on `.lock` in a folder that it writes, and on `.NAME.lock` next to a
//! file. The system releases the lock however the process ends. The lock file is empty and is removed at the end (on
//! Unix). A process that is killed leaves the file behind, which does no harm, because only the lock counts.
//!
//! A run may have opened the lock file of another run that then removes it. So after locking, a run checks that its
//! file is still the one in the folder, and otherwise tries again.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::atomic::{self, WriteError};

/// The name of the lock file in a folder.
pub const FILE_NAME: &str = ".lock";

/// An error of taking a lock.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another run holds the lock.
    #[error(
        "another run of glassbox is writing into {}: wait until it has ended, or choose another place",
        place.display()
    )]
    Taken {
        /// The folder or the file.
        place: PathBuf,
    },
    /// The path of the lock file is taken by something that is not a plain file.
    #[error(
        "cannot lock {}: {} is a folder, a link, a pipe or a device, and not the plain file that runs lock; move it away",
        place.display(), file.display()
    )]
    NotAFile {
        /// The folder or the file.
        place: PathBuf,
        /// The path of the lock file.
        file: PathBuf,
    },
    /// The lock file cannot be created.
    #[error("cannot lock {}: {cause}; check that files may be written there", place.display())]
    Failed {
        /// The folder or the file.
        place: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// The path cannot be a file.
    #[error(transparent)]
    Place(#[from] WriteError),
}

/// A lock on a folder or a file, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    /// The lock file. Closing it releases the lock.
    file: File,
    path: PathBuf,
    /// The folders that were created for it, the deepest first.
    made: Vec<PathBuf>,
}

impl Lock {
    /// Locks the folder `dir`. It is created if absent, and then removed with the lock if it is empty. On a file system
    /// without locks, this always succeeds.
    ///
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// use glassbox_formats::lock::Lock;
    ///
    /// let ours = Lock::folder(folder.path())?;
    /// assert!(Lock::folder(folder.path()).is_err());
    /// drop(ours);
    /// Lock::folder(folder.path())?;
    /// # Ok::<(), glassbox_formats::lock::LockError>(())
    /// ```
    ///
    /// # Errors
    /// If another run holds the lock, or the lock file cannot be created or is not a plain file.
    pub fn folder(dir: &Path) -> Result<Self, LockError> {
        Self::take(dir, dir, FILE_NAME.into())
    }

    /// Locks the file `path`, which need not exist, and removes the temporary files that killed runs left of it. Its
    /// folder is created if absent, and then removed with the lock if it is empty. `None` for a pipe or a device.
    ///
    /// # Errors
    /// If another run holds the lock, the lock file cannot be created or is not a plain file, or `path` cannot be a
    /// file.
    pub fn file(path: &Path) -> Result<Option<Self>, LockError> {
        let Some((target, _)) = atomic::target(path)? else { return Ok(None) };
        let (folder, target) = (atomic::folder_of(&target), target.file_name().unwrap_or_default());
        let mut name = OsString::from(".");
        name.push(target);
        name.push(FILE_NAME);
        let lock = Self::take(path, folder, name)?;
        atomic::sweep(folder, [target]);
        Ok(Some(lock))
    }

    fn take(place: &Path, folder: &Path, name: OsString) -> Result<Self, LockError> {
        let failed = |cause| LockError::Failed { place: place.to_owned(), cause };
        let absent =
            |folder: &&Path| !folder.as_os_str().is_empty() && matches!(folder.try_exists(), Ok(false));
        let made = folder.ancestors().take_while(absent).map(Path::to_owned).collect();
        let path = folder.join(name);
        let mut problem = None;
        // A round fails if another run removes its file or its folder between two of these steps.
        for _ in 0..ROUNDS {
            if std::fs::symlink_metadata(&path).is_ok_and(|there| !there.is_file()) {
                return Err(LockError::NotAFile { place: place.to_owned(), file: path });
            }
            let open = |()| OpenOptions::new().write(true).create(true).truncate(false).open(&path);
            let file = match std::fs::create_dir_all(folder).and_then(open) {
                Ok(file) => file,
                Err(cause) => {
                    problem = Some(cause);
                    continue;
                }
            };
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => return Err(LockError::Taken { place: place.to_owned() }),
                Err(TryLockError::Error(cause)) if cause.kind() != io::ErrorKind::Unsupported => {
                    return Err(failed(cause));
                }
                _ => {}
            }
            if is_at(&file, &path) {
                return Ok(Self { file, path, made });
            }
        }
        Err(problem.map_or_else(|| LockError::Taken { place: place.to_owned() }, failed))
    }
}

/// Maximum number of attempts, each of which another run makes fail: more runs than anyone starts at once.
const ROUNDS: usize = 100;

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while the lock is held, so another run that has opened the file finds that it is no longer in its
        // place. A file with content was not created here.
        let ours = cfg!(unix) && self.file.metadata().is_ok_and(|there| there.len() == 0);
        if ours && is_at(&self.file, &self.path) {
            let _ = std::fs::remove_file(&self.path);
        }
        for folder in &self.made {
            // This removes empty folders only.
            if std::fs::remove_dir(folder).is_err() {
                break;
            }
        }
    }
}

/// Returns true if the open `file` is the one at `path`.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let id = |there: std::fs::Metadata| (there.dev(), there.ino());
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(open), Ok(there)) => id(open) == id(there),
        _ => false,
    }
}

/// Lock files are not removed on this system, so the open one is that at its path.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<OsString> {
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn a_lock_leaves_nothing_behind_and_a_stale_file_is_no_lock() {
        let home = tempfile::tempdir().unwrap();
        let (folder, file) = (home.path().join("a/b"), home.path().join("m.st"));
        let locks = (Lock::folder(&folder).unwrap(), Lock::file(&file).unwrap());
        assert!(matches!(Lock::folder(&folder), Err(LockError::Taken { .. })));
        assert!(matches!(Lock::file(&file), Err(LockError::Taken { .. })));
        assert!(Lock::file(&home.path().join("other.st")).is_ok(), "a neighbour is free");
        drop(locks);
        if cfg!(unix) {
            assert_eq!(names(home.path()), [""; 0]);
        }
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(FILE_NAME), "").unwrap();
        Lock::folder(&folder).unwrap();
        assert!(folder.is_dir(), "a folder that was there stays");
        // A user's own file with the name of a lock file.
        std::fs::write(folder.join(FILE_NAME), "mine").unwrap();
        Lock::folder(&folder).unwrap();
        assert_eq!(std::fs::read(folder.join(FILE_NAME)).unwrap(), b"mine");
    }

    #[test]
    fn a_lock_on_a_file_removes_what_killed_runs_left_of_it_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let left = [".m.st.a1B2c3.tmp"];
        let kept =
            [".n.st.a1B2c3.tmp", ".m.st.a1B2c.tmp", ".m.st.a1-2c3.tmp", "m.st.a1B2c3.tmp", ".m.st.tmp"];
        for name in left.iter().chain(&kept) {
            std::fs::write(home.path().join(name), "half").unwrap();
        }
        let lock = Lock::file(&home.path().join("m.st")).unwrap();
        drop(lock);
        assert!(!home.path().join(left[0]).exists());
        for name in kept {
            assert!(home.path().join(name).exists(), "{name}");
        }
    }

    /// Many threads take and release one lock. No two hold it at once, although its file is removed and created again.
    #[test]
    fn a_lock_whose_file_comes_and_goes_is_held_by_one_at_a_time() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let home = tempfile::tempdir().unwrap();
        let (inside, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let Ok(lock) = Lock::folder(&home.path().join("shared")) else { continue };
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        taken.fetch_add(1, Ordering::SeqCst);
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
        assert!(taken.into_inner() > 0);
    }

    #[cfg(unix)]
    #[test]
    fn a_lock_file_that_is_no_plain_file_is_refused_and_not_waited_on() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(FILE_NAME);
        let elsewhere = home.path().join("elsewhere");
        let refused = || {
            let error = Lock::folder(home.path()).unwrap_err();
            assert!(matches!(error, LockError::NotAFile { .. }), "{error}");
            assert!(error.to_string().contains(".lock"), "{error}");
        };
        std::fs::create_dir(&path).unwrap();
        refused();
        std::fs::remove_dir(&path).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        refused();
        assert!(!elsewhere.exists());
        std::fs::remove_file(&path).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        refused();
    }
}
