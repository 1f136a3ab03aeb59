//! The files of a command, looked at before it does any work: none of its outputs is another of its files, and each
//! can be written.

use std::path::{Path, PathBuf};

use glassbox_formats::atomic;
use glassbox_formats::lock::FolderLock;

use crate::failure::{Failure, Kind, OrFail as _};

/// A file, and what the command line calls it.
pub(crate) type Named<'a> = (&'a str, &'a Path);

/// That each of `outputs` can be written and is neither one of `inputs` nor another output.
pub(crate) fn check(inputs: &[Named<'_>], outputs: &[Named<'_>]) -> Result<(), Failure> {
    let mut taken: Vec<(&str, PathBuf)> =
        inputs.iter().filter_map(|(name, path)| Some((*name, place(path)?))).collect();
    for (name, path) in outputs {
        if let Some(place) = place(path) {
            if let Some((other, _)) = taken.iter().find(|(_, there)| *there == place) {
                let path = path.display();
                let message =
                    format!("{name} and {other} are one file, {path}: give another path for {name}");
                return Err(Failure::new(Kind::Input, message));
            }
            taken.push((*name, place));
        }
        atomic::probe(path).or_fail(Kind::Output)?;
    }
    Ok(())
}

/// Keeps other runs out of a folder as long as the lock lives.
pub(crate) fn lock(folder: &Path) -> Result<FolderLock, Failure> {
    FolderLock::take(folder).or_fail(Kind::Output)
}

/// The one path that a file has, whether it is there yet or not. None for pipes and devices: any number of outputs
/// may go into one, and nothing in them can be overwritten.
fn place(path: &Path) -> Option<PathBuf> {
    match path.metadata() {
        Ok(there) if !there.is_file() && !there.is_dir() => None,
        Ok(_) => path.canonicalize().ok(),
        Err(_) => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new("."));
            // A folder that is not there yet has none of the command's inputs in it.
            let folder = folder.canonicalize().ok().or_else(|| std::path::absolute(folder).ok())?;
            Some(folder.join(path.file_name()?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_place_however_it_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        std::fs::create_dir(folder.join("sub")).unwrap();
        std::fs::write(folder.join("there"), "").unwrap();
        for name in ["there", "absent"] {
            assert_eq!(place(&folder.join(name)), place(&folder.join("sub/..").join(name)));
        }
        assert_ne!(place(&folder.join("there")), place(&folder.join("sub/there")));
        let refused = |input: &str, outputs: [&str; 2]| {
            let [a, b] = outputs.map(|name| folder.join(name));
            check(&[("CSV", &folder.join(input))], &[("--a", &a), ("--b", &b)]).is_err()
        };
        assert!(!refused("there", ["absent", "new/absent"]));
        assert!(refused("there", ["absent", "sub/../there"]));
        assert!(refused("there", ["absent", "./absent"]));
        assert!(refused("there", ["new/absent", "new/absent"]));
        assert!(refused("there", ["absent", "there/below"]));
    }
}
