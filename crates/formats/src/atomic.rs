//! Atomic writes: a file appears whole or not at all.
//!
//! The content is written to a temporary file in the folder of its target, flushed to the disk, and then renamed over
//! the target, which POSIX makes one indivisible step. A reader sees the old file or the new one. If writing fails, the
//! old file is unchanged and the temporary file is removed. The folder is flushed last (on Unix), because a rename is a
//! change of the folder and a crash could undo it.
//!
//! Files that belong together are first all staged ([`stage`]), then all put in place ([`Staged::commit`]). If the disk
//! is full, the staging fails, before any file has been replaced. Each rename is indivisible, but all of them together
//! are not: a crash between two of them leaves one new file and one old one.
//!
//! Only a process that is killed can leave a temporary file. It is named `.NAME.XXXXXX.tmp`, is never read, and is
//! removed by [`sweep`]. A new file takes over the permissions of the file that it replaces. Symbolic links are
//! followed: the file that a link points to is replaced, and the link stays; a broken link is replaced itself.
//!
//! If the target is neither a file nor a folder, such as a pipe or `/dev/null`, the content is written into it: a
//! rename would replace it for good.

use std::ffi::{OsStr, OsString};
use std::fs::Permissions;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use tempfile::NamedTempFile;

/// A file could not be written. The old content of its path is unchanged, unless that was a pipe or a device.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {doing}: {cause}", path.display())]
pub struct WriteError {
    /// The file that was to be written.
    pub path: PathBuf,
    /// The step that failed.
    pub doing: &'static str,
    /// The error of the system, or of the writer of the content.
    pub cause: io::Error,
}

/// Returns a function that makes a [`WriteError`] for `path` of an error that occurred while `doing` a step.
fn failed(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> WriteError {
    move |cause| WriteError { path: path.to_owned(), doing, cause }
}

/// Writes `bytes` to the file at `path`, replacing an existing one. Its folder is created if absent.
///
/// # Errors
/// If any step fails, from creating the folder to flushing it; the error names the path and the step.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    write_with(path, |out| out.write_all(bytes))
}

/// Writes the output of `fill` to the file at `path`, replacing an existing one. Its folder is created if absent. The
/// writer is buffered.
///
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("greeting.txt");
/// glassbox_formats::atomic::write_with(&path, |out| writeln!(out, "hello"))?;
/// assert_eq!(std::fs::read_to_string(&path).unwrap(), "hello\n");
/// # Ok::<(), glassbox_formats::atomic::WriteError>(())
/// ```
///
/// # Errors
/// If `fill` fails or any other step does; the error names the path and the step.
pub fn write_with(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), WriteError> {
    stage(path, fill)?.commit()
}

/// Writes the output of `fill` to a temporary file, which replaces the file at `path` when it is committed. Its folder is
/// created if absent. For a pipe or a device, the output is kept in memory until then.
///
/// # Errors
/// If `fill` fails or any other step does; the error names the path and the step.
pub fn stage(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<Staged, WriteError> {
    match target(path)? {
        Some((target, replaced)) => {
            let folder = folder_of(&target).to_owned();
            stage_in(&folder, target, replaced, fill)
        }
        None => {
            let mut bytes = vec![];
            fill(&mut bytes).map_err(failed(path, FILLING))?;
            Ok(Staged(Content::Stream { path: path.to_owned(), bytes }))
        }
    }
}

/// Writes the output of `fill` to a temporary file in `folder`, for the file `target`.
fn stage_in(
    folder: &Path,
    target: PathBuf,
    replaced: Option<Permissions>,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<Staged, WriteError> {
    std::fs::create_dir_all(folder).map_err(failed(&target, "creating its folder"))?;
    let mut file = temporary(folder, &target, replaced.as_ref())
        .map_err(failed(&target, "creating a temporary file beside it"))?;
    let mut out = BufWriter::new(file.as_file_mut());
    fill(&mut out).and_then(|()| out.flush()).map_err(failed(&target, FILLING))?;
    drop(out);
    if let Some(permissions) = replaced {
        let given = file.as_file().set_permissions(permissions);
        given.map_err(failed(&target, "giving it the permissions it had"))?;
    }
    file.as_file().sync_all().map_err(failed(&target, "flushing it to the disk"))?;
    Ok(Staged(Content::File { file, target }))
}

/// Writes `bytes` to a temporary file in `folder`, for the file `target`. The folder must exist, on the same file
/// system as `target`. A file or a link that is at `target` when the content is committed is replaced.
pub(crate) fn stage_beside(folder: &Path, target: PathBuf, bytes: &[u8]) -> Result<Staged, WriteError> {
    stage_in(folder, target, None, |out| out.write_all(bytes))
}

/// Content that is written, but not yet in its place. If it is dropped without `commit`, nothing is left behind.
#[derive(Debug)]
#[must_use = "nothing is in its place before `commit`"]
pub struct Staged(Content);

#[derive(Debug)]
enum Content {
    /// In a temporary file, for the file `target`.
    File { file: NamedTempFile, target: PathBuf },
    /// In memory, for a pipe, a device or a socket.
    Stream { path: PathBuf, bytes: Vec<u8> },
}

impl Staged {
    /// Puts the content in its place, replacing an existing file.
    ///
    /// # Errors
    /// If it cannot be renamed, or its folder cannot be flushed; for a pipe or a device, if it cannot be written.
    pub fn commit(self) -> Result<(), WriteError> {
        match self.0 {
            Content::File { file, target } => {
                file.persist(&target)
                    .map_err(|refused| refused.error)
                    .map_err(failed(&target, "renaming the temporary file to it"))?;
                #[cfg(unix)]
                std::fs::File::open(folder_of(&target))
                    .and_then(|folder| folder.sync_all())
                    .map_err(failed(&target, "flushing its folder to the disk"))?;
                Ok(())
            }
            Content::Stream { path, bytes } => {
                let stream = std::fs::OpenOptions::new().write(true).open(&path);
                let mut stream = stream.map_err(failed(&path, "opening it"))?;
                stream.write_all(&bytes).map_err(failed(&path, FILLING))
            }
        }
    }
}

/// Serialises `value` as indented JSON with a line feed at its end. Floats are the shortest decimals that give the same
/// bits again.
///
/// # Panics
/// If a key of a map is not a string.
pub fn json(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).expect("keys are strings, and memory takes all");
    bytes.push(b'\n');
    bytes
}

/// Checks that a file could be written at `path`, as far as possible without writing it: the path is not a folder, and
/// a temporary file can be created in its folder, or in the nearest existing folder above. Leaves nothing behind.
///
/// A command calls this before hours of work whose result it would otherwise lose.
///
/// # Errors
/// The same errors as [`write_with`].
pub fn probe(path: &Path) -> Result<(), WriteError> {
    let Some((target, _)) = target(path)? else {
        // A pipe may not have a reader yet, and opening it would wait for one.
        return Ok(());
    };
    let mut folder = folder_of(&target);
    while matches!(folder.try_exists(), Ok(false)) {
        folder = folder_of(folder);
    }
    let probed = temporary(folder, &target, None).map(drop);
    probed.map_err(failed(path, "creating a temporary file in its folder"))
}

const FILLING: &str = "writing its content";

/// The file that a write to `path` replaces or creates, with symbolic links followed, and the permissions of the existing
/// file, if there is one; `None` for a pipe, a device or a socket.
///
/// # Errors
/// If `path` cannot be a file.
pub(crate) fn target(path: &Path) -> Result<Option<(PathBuf, Option<Permissions>)>, WriteError> {
    let unfit = |kind, problem: &str| Err(io::Error::new(kind, problem));
    let look = || match std::fs::metadata(path) {
        _ if path.file_name().is_none() => {
            unfit(io::ErrorKind::InvalidInput, "the path does not name a file")
        }
        Ok(there) if there.is_dir() => unfit(io::ErrorKind::IsADirectory, "it is a folder"),
        Ok(there) if there.is_file() => {
            let path = if path.is_symlink() { path.canonicalize()? } else { path.to_owned() };
            Ok(Some((path, Some(there.permissions()))))
        }
        Ok(_) => Ok(None),
        Err(absent) if absent.kind() == io::ErrorKind::NotFound => Ok(Some((path.to_owned(), None))),
        Err(error) => Err(error),
    };
    look().map_err(failed(path, "looking at what is there"))
}

/// The folder of a path; `.` for a bare name, whose `parent` is the empty path, which no system call accepts.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => path,
    }
}

/// Creates a temporary file in `folder` for `target`, with the permissions of the file that it replaces.
#[cfg_attr(not(unix), expect(unused_variables, reason = "permissions are those of Unix"))]
fn temporary(folder: &Path, target: &Path, replaced: Option<&Permissions>) -> io::Result<NamedTempFile> {
    let mut prefix = OsString::from(".");
    prefix.push(target.file_name().unwrap_or_default());
    prefix.push(".");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(SUFFIX).rand_bytes(RANDOM);
    // Temporary files are private by default. This one becomes a result, so it gets the permissions that the umask
    // grants.
    #[cfg(unix)]
    let everyone: Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    #[cfg(unix)]
    builder.permissions(replaced.cloned().unwrap_or(everyone));
    builder.tempfile_in(folder)
}

const SUFFIX: &str = ".tmp";
/// Number of random letters and digits in the name of a temporary file.
const RANDOM: usize = 6;

/// Removes from `folder` the temporary files that killed processes left of the files called `names`. Call it only while
/// holding the lock on these files; otherwise it could remove a file that another process is still writing.
///
/// A file that cannot be removed stays; it does no harm.
pub fn sweep<'a>(folder: &Path, names: impl IntoIterator<Item = &'a OsStr> + Clone) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_file && names.clone().into_iter().any(|of| is_temporary(&name, of)) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Returns true if a file called `name` is a temporary one for the file called `of`.
pub(crate) fn is_temporary(name: &OsStr, of: &OsStr) -> bool {
    let random = || {
        let rest = name.as_encoded_bytes().strip_prefix(b".")?.strip_prefix(of.as_encoded_bytes())?;
        rest.strip_prefix(b".")?.strip_suffix(SUFFIX.as_bytes())
    };
    random().is_some_and(|random| random.len() == RANDOM && random.iter().all(u8::is_ascii_alphanumeric))
}

/// Removes the file at `path`, if it exists.
///
/// # Errors
/// If it exists and cannot be removed.
pub fn remove(path: &Path) -> Result<(), WriteError> {
    match std::fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
            Err(WriteError { path: path.to_owned(), doing: "removing it", cause })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn creates_folders_and_replaces_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/c.txt");
        write(&path, b"old").unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(names(path.parent().unwrap()), ["c.txt"]);
    }

    #[test]
    fn a_failing_writer_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kept.txt");
        write(&path, b"old").unwrap();
        let error = write_with(&path, |out| {
            // More than the buffer holds, so that some of it has reached the disk.
            out.write_all(&[b'x'; 100_000])?;
            Err(io::Error::other("no more numbers"))
        })
        .unwrap_err();
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["kept.txt"]);
        let text = error.to_string();
        assert!(text.contains("kept.txt") && text.contains("no more numbers"), "{text}");
    }

    #[test]
    fn a_panicking_writer_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("never.txt");
        let outcome = std::panic::catch_unwind(|| write_with(&path, |_| panic!("stop")));
        assert!(outcome.is_err());
        assert_eq!(names(folder.path()), [""; 0]);
    }

    #[test]
    fn a_path_that_cannot_be_a_file_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), b"").unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        for (bad, named) in [("file/below", "below"), ("sub", "sub"), ("..", "..")] {
            let error = write(&folder.path().join(bad), b"x").unwrap_err();
            assert!(error.to_string().contains(named), "{error}");
        }
        assert_eq!(names(folder.path()), ["file", "sub"]);
    }

    #[test]
    fn a_probe_says_what_a_write_would_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), b"kept").unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        for good in ["new", "file", "a/b/new"] {
            probe(&folder.path().join(good)).unwrap();
        }
        for (bad, named) in [("file/below", "below"), ("file/a/b", "file/a/b"), ("sub", "sub"), ("..", "..")]
        {
            let error = probe(&folder.path().join(bad)).unwrap_err();
            assert!(error.to_string().contains(named), "{error}");
        }
        assert_eq!(names(folder.path()), ["file", "sub"]);
        assert_eq!(std::fs::read(folder.path().join("file")).unwrap(), b"kept");
        probe(Path::new("a-bare-name")).unwrap();
    }

    #[cfg(unix)]
    mod unix {
        use std::io::Read as _;
        use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};

        use super::*;

        fn mode(path: &Path) -> u32 {
            std::fs::metadata(path).unwrap().permissions().mode() & 0o777
        }

        #[test]
        fn a_result_is_as_readable_as_any_new_file() {
            let folder = tempfile::tempdir().unwrap();
            let (ours, plain) = (folder.path().join("ours"), folder.path().join("plain"));
            write(&ours, b"x").unwrap();
            std::fs::write(&plain, b"x").unwrap();
            assert_eq!(mode(&ours), mode(&plain));
        }

        #[test]
        fn a_file_that_is_replaced_hands_on_its_permissions() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("private");
            for kept in [0o600, 0o640, 0o666, 0o755] {
                std::fs::write(&path, b"old").unwrap();
                std::fs::set_permissions(&path, Permissions::from_mode(kept)).unwrap();
                write(&path, b"new").unwrap();
                assert_eq!(mode(&path), kept);
            }
        }

        #[test]
        fn a_link_stays_and_what_it_leads_to_is_replaced() {
            let folder = tempfile::tempdir().unwrap();
            let (file, link) = (folder.path().join("file"), folder.path().join("link"));
            std::fs::write(&file, b"old").unwrap();
            symlink("file", &link).unwrap();
            write(&link, b"new").unwrap();
            assert!(link.is_symlink());
            assert_eq!(std::fs::read(&file).unwrap(), b"new");
            assert_eq!(names(folder.path()), ["file", "link"]);
        }

        #[test]
        fn a_pipe_is_written_into_and_stays_one() {
            let folder = tempfile::tempdir().unwrap();
            let pipe = folder.path().join("pipe");
            assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
            probe(&pipe).unwrap();
            // Open at both ends, so that neither side waits for the other.
            let mut reader = std::fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
            write(&pipe, b"whole").unwrap();
            assert!(std::fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
            let mut read = [0; 5];
            reader.read_exact(&mut read).unwrap();
            assert_eq!(&read, b"whole");
            assert_eq!(names(folder.path()), ["pipe"]);
        }
    }
}
