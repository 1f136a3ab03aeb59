//! The files of a command, looked at before it does any work: none of its outputs is another of its files, each can be
//! written, and no other run writes it.

use std::path::{Path, PathBuf};

use glassbox_formats::atomic;
use glassbox_formats::lock::Lock;

use crate::failure::{Failure, Kind, OrFail as _};

/// A file, and what the command line calls it.
pub(crate) type Named<'a> = (&'a str, &'a Path);

/// Checks that each of `outputs` can be written and is neither one of `inputs` nor another output, nor the folder of one.
pub(crate) fn check(inputs: &[Named<'_>], outputs: &[Named<'_>]) -> Result<(), Failure> {
    let mut taken: Vec<(&str, PathBuf)> =
        inputs.iter().filter_map(|(name, path)| Some((*name, place(path)?))).collect();
    for (name, path) in outputs {
        if let Some(place) = place(path) {
            for (other, there) in &taken {
                require_apart((name, &place), (other, there), path)?;
            }
            taken.push((*name, place));
        }
        atomic::probe(path).or_fail(Kind::Output)?;
    }
    Ok(())
}

fn require_apart((name, place): Named<'_>, (other, there): Named<'_>, path: &Path) -> Result<(), Failure> {
    let path = path.display();
    // That an output is a folder is found when it is probed.
    let within = |inner: &Path, outer: &Path| inner.starts_with(outer) && !outer.is_dir();
    let problem = if place == there {
        format!("{name} and {other} are one file, {path}")
    } else if within(there, place) {
        format!("{name} is {path}, the folder of {other}")
    } else if within(place, there) {
        format!("{name} is {path}, and {other} is its folder")
    } else {
        return Ok(());
    };
    Err(Failure::new(Kind::Input, format!("{problem}: give another path for {name}")))
}

/// Keeps other runs away from `outputs` as long as the locks live.
pub(crate) fn lock(outputs: &[Named<'_>]) -> Result<Vec<Lock>, Failure> {
    let mut locks = vec![];
    for (_, path) in outputs {
        locks.extend(Lock::file(path).or_fail(Kind::Output)?);
    }
    // A folder that was made for the first is empty once the others have let go.
    locks.reverse();
    Ok(locks)
}

/// Both for a command all of whose outputs are files: [`check`] and [`lock`].
pub(crate) fn claim(inputs: &[Named<'_>], outputs: &[Named<'_>]) -> Result<Vec<Lock>, Failure> {
    check(inputs, outputs)?;
    lock(outputs)
}

/// Writes files that belong together: none takes its place before the content of all is on the disk, then each does in
/// this order.
pub(crate) fn write<'a>(files: impl IntoIterator<Item = (&'a Path, Vec<u8>)>) -> Result<(), Failure> {
    let staged: Result<Vec<_>, _> =
        files.into_iter().map(|(path, bytes)| atomic::stage(path, |out| out.write_all(&bytes))).collect();
    let mut staged = staged.or_fail(Kind::Output)?.into_iter();
    staged.try_for_each(atomic::Staged::commit).or_fail(Kind::Output)
}

/// The one path that a file has, whether it is there yet or not. None for pipes and devices: any number of outputs
/// may go into one, and nothing in them can be overwritten.
fn place(path: &Path) -> Option<PathBuf> {
    match path.metadata() {
        Ok(there) if !there.is_file() && !there.is_dir() => None,
        Ok(_) => path.canonicalize().ok(),
        Err(_) => {
            // Its folders too may not be there yet.
            let path = std::path::absolute(path).ok()?;
            let known = path.ancestors().skip(1);
            let (known, whole) =
                known.filter_map(|folder| Some((folder, folder.canonicalize().ok()?))).next()?;
            Some(whole.join(path.strip_prefix(known).ok()?))
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
        assert!(refused("there", ["new", "new/below"]));
        assert!(refused("there", ["new/sub/below", "new"]));
        assert!(!refused("there", ["new", "newer/below"]));
    }
}
