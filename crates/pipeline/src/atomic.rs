//! Files that appear whole or not at all.
//!
//! The content goes to a temporary file in the folder of its target, is flushed to the disk, and is then
//! renamed over the target, which POSIX makes one indivisible step. A reader sees the old file or the new
//! one; a writer that fails leaves the old one as it was and its temporary file removed. The folder is
//! flushed last (on Unix), since a rename is a change of the folder and a crash could undo it.
//!
//! Only a process killed outright can leave a temporary file: it is then called `.NAME.XXXXXX.tmp`, and
//! nothing here ever reads it. A target that is a symbolic link is replaced, not followed.

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A file could not be written; what was at its path before is untouched.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {doing}: {cause}", path.display())]
pub struct WriteError {
    /// The file that was to be written.
    pub path: PathBuf,
    /// The step that failed.
    pub doing: &'static str,
    /// What the system, or the writer of the content, said.
    pub cause: io::Error,
}

/// Writes `bytes` to the file at `path`, replacing what was there; its folder is created if absent.
///
/// # Errors
/// If any step fails, from creating the folder to flushing it; the error names the path and the step.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    write_with(path, |out| out.write_all(bytes))
}

/// Writes what `fill` writes to the file at `path`, replacing what was there; its folder is created if
/// absent. The writer is buffered.
///
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("greeting.txt");
/// glassbox_pipeline::atomic::write_with(&path, |out| writeln!(out, "hello"))?;
/// assert_eq!(std::fs::read_to_string(&path).unwrap(), "hello\n");
/// # Ok::<(), glassbox_pipeline::atomic::WriteError>(())
/// ```
///
/// # Errors
/// If `fill` fails or any other step does; the error names the path and the step.
pub fn write_with(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), WriteError> {
    let failed = |doing| move |cause| WriteError { path: path.to_owned(), doing, cause };

    let name = path.file_name().ok_or_else(|| {
        failed("finding its name")(io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))
    })?;
    // `parent` of a bare name is the empty path, which no system call takes.
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder).map_err(failed("creating its folder"))?;

    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(".tmp");
    #[cfg(unix)]
    let everyone = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    // Temporary files are private by default; this one becomes a result, which gets what the umask grants.
    #[cfg(unix)]
    builder.permissions(everyone);
    let mut file = builder.tempfile_in(folder).map_err(failed("creating a temporary file beside it"))?;

    let mut out = BufWriter::new(file.as_file_mut());
    fill(&mut out).map_err(failed("writing its content"))?;
    out.flush().map_err(failed("writing its content"))?;
    drop(out);
    file.as_file().sync_all().map_err(failed("flushing it to the disk"))?;
    file.persist(path).map_err(|refused| failed("renaming the temporary file to it")(refused.error))?;

    #[cfg(unix)]
    std::fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed("flushing its folder to the disk"))?;
    Ok(())
}

/// Removes the file at `path`, if there is one.
///
/// # Errors
/// If it is there and stays.
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

    #[cfg(unix)]
    #[test]
    fn a_result_is_as_readable_as_any_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (ours, plain) = (folder.path().join("ours"), folder.path().join("plain"));
        write(&ours, b"x").unwrap();
        std::fs::write(&plain, b"x").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&plain));
    }
}
