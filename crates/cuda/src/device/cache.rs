//! Compiled kernels on disk, so that a process starts without the compiler's half second.
//!
//! A file for each module, named by the SHA-256 of all that decides its contents ([`Key`]): the source with its
//! headers, the options, among them the architecture, the versions of compiler and driver. A file is never
//! changed. It is written beside its place under a name of its own and then renamed, so that others see all of
//! it or nothing; whoever comes second replaces it by the same bytes. It carries a checksum: what was torn or
//! tampered with is as good as absent, and is written anew.
//!
//! The cache is a convenience: if it cannot be read or written, kernels are compiled again.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use super::Source;

/// The first bytes of a file; another layout gets another number.
const MAGIC: &[u8; 16] = b"glassbox kernel1";

/// The bytes of a SHA-256.
const HASH: usize = 32;

/// A folder of compiled kernels, or none.
#[derive(Debug, Clone, Default)]
pub struct Cache {
    folder: Option<PathBuf>,
}

/// A hash of all that decides the contents of a compiled module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key([u8; HASH]);

impl Key {
    /// The key of a source, the compiler's options, which name the architecture, and the versions of compiler and
    /// driver.
    #[must_use]
    pub fn new(source: &Source<'_>, options: &[String], versions: [(u32, u32); 2]) -> Self {
        let mut hash = Sha256::new();
        // Lists with their numbers and parts with their lengths before them, so that no two are the same bytes.
        let mut list = |parts: Vec<&str>| {
            hash.update((parts.len() as u64).to_le_bytes());
            for part in parts {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part);
            }
        };
        list(vec![source.name, source.text]);
        list(source.headers.iter().flat_map(|(name, text)| [*name, *text]).collect());
        list(options.iter().map(String::as_str).collect());
        list(versions.map(|(major, minor)| format!("{major}.{minor}")).iter().map(String::as_str).collect());
        Self(hash.finalize().into())
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Cache {
    /// The cache in a folder, which is made when it is needed.
    #[must_use]
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self { folder: Some(folder.into()) }
    }

    /// No cache: everything is compiled each time.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The compiled module of that key; `None` if it is absent or not whole.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Vec<u8>> {
        let mut file = fs::read(self.path(key)?).ok()?;
        let (head, image) = file.split_at_checked(MAGIC.len() + 2 * HASH)?;
        let whole = head.starts_with(MAGIC)
            && head[MAGIC.len()..][..HASH] == key.0
            && head[MAGIC.len() + HASH..] == checksum(image)
            && !image.is_empty();
        whole.then(|| file.split_off(MAGIC.len() + 2 * HASH))
    }

    /// Keeps a compiled module.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn put(&self, key: &Key, image: &[u8]) -> io::Result<()> {
        let (Some(folder), Some(path)) = (&self.folder, self.path(key)) else { return Ok(()) };
        fs::create_dir_all(folder)?;
        let mut file = tempfile::Builder::new().prefix(".kernel-").tempfile_in(folder)?;
        for part in [&MAGIC[..], &key.0, &checksum(image), image] {
            file.write_all(part)?;
        }
        // The name must not be there before the bytes are, even if the power fails.
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }

    fn path(&self, key: &Key) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(format!("{key}.bin")))
    }
}

fn checksum(image: &[u8]) -> [u8; HASH] {
    Sha256::digest(image).into()
}

#[cfg(test)]
mod tests {
    use super::super::nvrtc::Nvrtc;
    use super::*;

    fn source<'a>(text: &'a str, headers: &'a [(&'a str, &'a str)]) -> Source<'a> {
        Source { name: "a.cu", text, headers }
    }

    fn key(text: &str) -> Key {
        Key::new(&source(text, &[]), &Nvrtc::options("sm_90"), [(13, 0), (13, 0)])
    }

    #[test]
    fn everything_that_decides_is_in_the_key() {
        let (versions, options) = ([(13, 0), (13, 0)], Nvrtc::options("sm_90"));
        let more = [options.clone(), vec!["-a".to_string()]].concat();
        let plain = source("text", &[]);
        let keys = [
            Key::new(&plain, &options, versions),
            Key::new(&plain, &Nvrtc::options("sm_80"), versions),
            Key::new(&plain, &options, [(13, 1), (13, 0)]),
            Key::new(&plain, &options, [(13, 0), (13, 1)]),
            Key::new(&plain, &more, versions),
            Key::new(&source("texts", &[]), &options, versions),
            Key::new(&source("text", &[("h", "x")]), &options, versions),
            Key::new(&source("text", &[("hx", "")]), &options, versions),
            Key::new(&Source { name: "b.cu", ..plain }, &options, versions),
        ];
        for (i, a) in keys.iter().enumerate() {
            assert!(keys[i + 1..].iter().all(|b| a != b), "{i}");
        }
    }

    #[test]
    fn what_is_kept_is_found_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::in_folder(folder.path().join("made/when/needed"));
        assert_eq!(cache.get(&key("a")), None);
        cache.put(&key("a"), b"image").unwrap();
        assert_eq!(cache.get(&key("a")).as_deref(), Some(&b"image"[..]));
        assert_eq!(cache.get(&key("b")), None);
        assert_eq!(Cache::none().get(&key("a")), None);
        Cache::none().put(&key("a"), b"image").unwrap();
    }

    #[test]
    fn a_file_that_was_torn_or_tampered_with_is_absent_and_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::in_folder(folder.path());
        let key = key("a");
        cache.put(&key, b"image").unwrap();
        let path = cache.path(&key).unwrap();
        let whole = fs::read(&path).unwrap();
        for len in 0..whole.len() {
            fs::write(&path, &whole[..len]).unwrap();
            assert_eq!(cache.get(&key), None, "{len} bytes");
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&path, &bytes).unwrap();
            assert_eq!(cache.get(&key), None, "byte {at}");
        }
        // Another module's file under this name.
        cache.put(&self::key("b"), b"image").unwrap();
        fs::copy(cache.path(&self::key("b")).unwrap(), &path).unwrap();
        assert_eq!(cache.get(&key), None);
        cache.put(&key, b"image").unwrap();
        assert_eq!(fs::read(&path).unwrap(), whole);
    }

    /// Many write and read the same module at once: whoever finds it finds all of it, and nothing is left over.
    #[test]
    fn concurrent_writers_and_readers_see_whole_files() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::in_folder(folder.path());
        let image: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        cache.put(&key("a"), &image).unwrap();
                        assert_eq!(cache.get(&key("a")).as_ref(), Some(&image));
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error_that_the_caller_may_ignore() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let cache = Cache::in_folder(file.path().join("below a file"));
        assert!(cache.put(&key("a"), b"image").is_err());
        assert_eq!(cache.get(&key("a")), None);
    }
}
