//! The tutorial's two files, and the three sources that they can come from.
//!
//! The first of these that applies is used:
//! 1. a **folder** that the user names (an argument, else `$GLASSBOX_NAB`): the `data` folder of a checkout of
//!    numenta/NAB. If a folder is named, no other source is used: a missing file is an error. A file that differs from
//!    the published one is used (the user may have edited it) and reported.
//! 2. the **cache**, if files were downloaded ([`fetch()`]). The SHA-256 of each is checked when it is read; a damaged
//!    or missing file is an error that says to fetch again.
//! 3. the built-in **synthetic data** ([`crate::synthetic`]), which needs no files.
//!
//! The cache is the folder `glassbox/nab` in the user's cache folder (`$XDG_CACHE_HOME`, else `~/.cache`; on
//! Windows the local application data), or `$GLASSBOX_CACHE/nab` if that is set. It has the layout of NAB's `data`
//! folder, so it can be named as a folder too. A variable with an empty value counts as unset.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::series::{self, Columns, Series};
use crate::synthetic::{self, Subset};
use glassbox_formats::hash::Sha256;

mod fetch;

pub use crate::error::FetchFailure;
pub use fetch::{FetchOptions, Fetched, fetch, fetch_files};

/// The environment variable that names NAB's `data` folder.
pub const DATA_VARIABLE: &str = "GLASSBOX_NAB";
/// The environment variable that names another base URL than [`BASE_URL`].
pub const BASE_URL_VARIABLE: &str = "GLASSBOX_BASE_URL";
/// The base URL of NAB's published `data` folder.
pub const BASE_URL: &str = "https://raw.githubusercontent.com/numenta/NAB/master/data/";

/// A published file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishedFile {
    /// Its path below NAB's `data` folder, with `/` between folders.
    pub path: &'static str,
    /// The SHA-256 of its content.
    pub sha256: Sha256,
    /// Its length in bytes.
    pub bytes: u64,
}

/// The tutorial's training file.
pub const TRAIN: PublishedFile = PublishedFile {
    path: "artificialNoAnomaly/art_daily_small_noise.csv",
    sha256: Sha256::from_hex("c4b304229f69f108eaa024fb2406fcd4510c5c5d95cd0053e2da6989682e4e6d"),
    bytes: 140187,
};

/// The tutorial's test file, which has an anomaly.
pub const TEST: PublishedFile = PublishedFile {
    path: "artificialWithAnomaly/art_daily_jumpsup.csv",
    sha256: Sha256::from_hex("f79f92b93ee4f9c10e2dc552505e8880b0c618639ed5e0f9816e044b75c26456"),
    bytes: 140548,
};

/// The places that may have the tutorial's files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Places {
    /// A folder with the layout of NAB's `data`, named by the user.
    pub data: Option<PathBuf>,
    /// The cache folder; `None` if the system has none.
    pub cache: Option<PathBuf>,
}

impl Places {
    /// The given folder, or else the one that the environment names; and the cache folder.
    #[must_use]
    pub fn from_env(data: Option<PathBuf>) -> Self {
        Self::from_variables(data, |variable| env::var_os(variable))
    }

    fn from_variables(data: Option<PathBuf>, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        Self {
            data: data.or_else(|| set(&variable, DATA_VARIABLE)),
            cache: glassbox::cache::folder_from(variable(glassbox::cache::VARIABLE))
                .map(|folder| folder.join("nab")),
        }
    }
}

/// The base URL that the environment names, if it names one.
#[must_use]
pub fn base_url_from_env() -> Option<String> {
    let url = env::var_os(BASE_URL_VARIABLE).filter(|url| !url.is_empty());
    url.map(|url| url.to_string_lossy().into_owned())
}

/// The folder that an environment variable names.
fn set(variable: &impl Fn(&str) -> Option<OsString>, name: &str) -> Option<PathBuf> {
    variable(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The source of the tutorial's two series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A folder with the layout of NAB's `data`, named by the user.
    Directory(PathBuf),
    /// The cache folder, with downloaded files.
    Cache(PathBuf),
    /// The built-in synthetic data.
    Twin {
        /// The seed of its noise.
        seed: u64,
    },
}

impl Source {
    /// Chooses the first of `places` that applies, else synthetic data with `seed`. The files may still be missing or
    /// damaged, which [`load`] reports.
    #[must_use]
    pub fn choose(places: &Places, seed: u64) -> Self {
        if let Some(data) = &places.data {
            return Self::Directory(data.clone());
        }
        // A cache with one of the two files counts, and so does one that cannot be read, so that the problem is
        // reported and not skipped.
        let there = |cache: &&PathBuf| {
            [TRAIN, TEST].iter().any(|file| cache.join(file.path).try_exists().unwrap_or(true))
        };
        match places.cache.as_ref().filter(there) {
            Some(cache) => Self::Cache(cache.clone()),
            None => Self::Twin { seed },
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(folder) => write!(f, "the files in {}", folder.display()),
            Self::Cache(folder) => write!(f, "the downloaded files in {}", folder.display()),
            Self::Twin { seed } => write!(f, "the built-in synthetic copy (seed {seed})"),
        }
    }
}

/// A warning about data that is used all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DataWarning {
    /// Irregular timestamps, or an extreme value in the series to train on.
    Series(series::Warning),
    /// The file differs from the published one.
    NotPublished {
        /// The file.
        path: PathBuf,
        /// Its checksum.
        found: Sha256,
        /// The checksum of the published file.
        expected: Sha256,
    },
}

impl fmt::Display for DataWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Series(warning) => warning.fmt(f),
            Self::NotPublished { path, found, expected } => write!(
                f,
                "{} differs from the published file (SHA-256 {found}, published {expected}); it is used as it is, \
                 but the results may differ from the tutorial's",
                path.display()
            ),
        }
    }
}

/// One of the two series, loaded.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedPart {
    /// The series.
    pub series: Series,
    /// The SHA-256 of its file; of synthetic data, that of its CSV as [`series::write_csv`] writes it.
    pub sha256: Sha256,
    /// Warnings about it.
    pub warnings: Vec<DataWarning>,
}

/// The tutorial's two series.
#[derive(Debug, Clone, PartialEq)]
pub struct TutorialData {
    /// The training series.
    pub train: LoadedPart,
    /// The test series, which has the anomaly.
    pub test: LoadedPart,
    /// The source of both.
    pub source: Source,
}

/// Loads both series from `source`.
///
/// # Errors
/// If a file is missing, cannot be read, is not a valid CSV of a series, or, in the cache, is not the published one.
pub fn load(source: &Source) -> Result<TutorialData> {
    Ok(TutorialData {
        train: load_part(source, Subset::Train)?,
        test: load_part(source, Subset::Test)?,
        source: source.clone(),
    })
}

fn load_part(source: &Source, subset: Subset) -> Result<LoadedPart> {
    let file = match subset {
        Subset::Train => TRAIN,
        Subset::Test => TEST,
    };
    let (folder, cached) = match source {
        Source::Directory(folder) => (folder, false),
        Source::Cache(folder) => (folder, true),
        Source::Twin { seed } => return Ok(twin(subset, *seed)),
    };
    let path = folder.join(file.path);
    let bytes = std::fs::read(&path).map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound if cached => Error::MissingFromCache { path: path.clone() },
        io::ErrorKind::NotFound => missing(folder, file),
        _ => Error::Unreadable { path: path.clone(), cause },
    })?;
    let (found, expected) = (Sha256::of(&bytes), file.sha256);
    if cached && found != expected {
        return Err(Error::Damaged { path, found, expected });
    }
    let loaded = series::parse_csv(&bytes, &path.display().to_string(), &Columns::default())?;
    // In the test series an extreme value may be the anomaly.
    let extreme = loaded.extreme.filter(|_| subset == Subset::Train);
    let mut warnings: Vec<_> = loaded.warnings.into_iter().chain(extreme).map(DataWarning::Series).collect();
    if found != expected {
        warnings.push(DataWarning::NotPublished { path, found, expected });
    }
    Ok(LoadedPart { series: loaded.series, sha256: found, warnings })
}

fn missing(folder: &Path, file: PublishedFile) -> Error {
    // The likeliest mistake is to name the checkout and not its `data` folder.
    let below = folder.join("data");
    let below = below.join(file.path).is_file().then_some(below);
    Error::MissingFile { folder: folder.to_owned(), file: file.path, below }
}

fn twin(subset: Subset, seed: u64) -> LoadedPart {
    let series = synthetic::series(subset, seed);
    let mut csv = Vec::new();
    series::write_csv(&series, &Columns::default(), &mut csv).expect("memory takes every byte");
    LoadedPart { series, sha256: Sha256::of(&csv), warnings: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_goes_before_the_environment() {
        let variables = |name: &str| {
            Some(OsString::from(match name {
                DATA_VARIABLE => "from/environment",
                glassbox::cache::VARIABLE => "cache",
                _ => return None,
            }))
        };
        let places = Places::from_variables(Some("from/command".into()), variables);
        assert_eq!(places.data, Some("from/command".into()));
        assert_eq!(places.cache, Some(Path::new("cache").join("nab")));
        assert_eq!(Places::from_variables(None, variables).data, Some("from/environment".into()));
        // An empty value counts as unset.
        let places = Places::from_variables(None, |_| Some(OsString::new()));
        assert_eq!(places.data, None);
        assert!(places.cache.is_none_or(|cache| cache.ends_with("glassbox/nab")));
    }
}
