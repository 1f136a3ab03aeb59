//! One run at a time in a folder.
//!
//! Two runs that write the same files would mix theirs, or the later would lose what the earlier wrote. So a run holds
//! a lock on `.lock` in its folder as long as it lasts; the system lets go of it however the process ends. The empty
//! file stays: were it removed, a run that has just opened it and one that makes it anew would both hold a lock.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The name of the file within its folder.
pub const FILE_NAME: &str = ".lock";

/// Why a folder is not ours.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another run is there.
    #[error(
        "another run of glassbox is writing into {}: wait until it has ended, or choose another folder",
        folder.display()
    )]
    Taken {
        /// The folder.
        folder: PathBuf,
    },
    /// The lock file cannot be made.
    #[error("cannot lock {}: {cause}; check that files may be written there", folder.display())]
    Failed {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

/// A folder that no other run writes into while this lives.
#[derive(Debug)]
pub struct FolderLock {
    /// Its lock ends when it is closed; `None` on a file system that has no locks.
    _file: Option<File>,
}

impl FolderLock {
    /// Locks the folder `dir`, which is created if absent. A file system without locks is taken as it is.
    ///
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// use glassbox_formats::lock::FolderLock;
    ///
    /// let ours = FolderLock::take(folder.path())?;
    /// assert!(FolderLock::take(folder.path()).is_err());
    /// drop(ours);
    /// FolderLock::take(folder.path())?;
    /// # Ok::<(), glassbox_formats::lock::LockError>(())
    /// ```
    ///
    /// # Errors
    /// If another run holds it, or the lock file cannot be made.
    pub fn take(dir: &Path) -> Result<Self, LockError> {
        let failed = |cause| LockError::Failed { folder: dir.to_owned(), cause };
        std::fs::create_dir_all(dir).map_err(failed)?;
        let mut options = OpenOptions::new();
        let file =
            options.write(true).create(true).truncate(false).open(dir.join(FILE_NAME)).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: Some(file) }),
            Err(TryLockError::WouldBlock) => Err(LockError::Taken { folder: dir.to_owned() }),
            Err(TryLockError::Error(cause)) if cause.kind() == io::ErrorKind::Unsupported => {
                Ok(Self { _file: None })
            }
            Err(TryLockError::Error(cause)) => Err(failed(cause)),
        }
    }
}
