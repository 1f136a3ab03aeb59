//! Downloading the tutorial's files into the cache.
//!
//! A file enters the cache only if its SHA-256 is the published one. All files are downloaded into memory
//! and verified before the first is written, and each is written atomically, so a failed download leaves the
//! cache as it was, and a disk that refuses one file leaves whole ones only. What a server may do is bounded: the time to connect, each wait for more bytes, the time
//! of all, the number of redirects, the number of bytes.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{BASE_URL, PublishedFile, TEST, TRAIN};
use glassbox_formats::atomic;
use glassbox_formats::hash::Sha256;

/// How to download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchOptions {
    /// The address of the folder that the files lie below; [`BASE_URL`] by default.
    pub base_url: String,
    /// Download files too that the cache already has; not by default.
    pub force: bool,
    /// The longest time to find and reach a server; 10 s by default.
    pub connect_timeout: Duration,
    /// The longest wait for further bytes; 20 s by default.
    pub read_timeout: Duration,
    /// The longest time for a file, redirects and all; 120 s by default.
    pub overall_timeout: Duration,
    /// The most redirects to follow for a file; 5 by default.
    pub max_redirects: u32,
    /// The most bytes to take for a file; 4 MiB by default, some twenty times what the files have.
    pub max_bytes: u64,
    /// Whether to go through the proxy that the environment names (`HTTPS_PROXY` and its kin), if it names
    /// one; so by default.
    pub use_proxy: bool,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            base_url: BASE_URL.to_owned(),
            force: false,
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(20),
            overall_timeout: Duration::from_secs(120),
            max_redirects: 5,
            max_bytes: 4 << 20,
            use_proxy: true,
        }
    }
}

/// A file that is in the cache, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it was downloaded now, or had been there before.
    pub downloaded: bool,
}

/// A file could not be downloaded or written; nothing incomplete is left behind.
#[derive(Debug, thiserror::Error)]
#[error("cannot fetch {url}: {failure}")]
pub struct FetchError {
    /// The address that was asked for.
    pub url: String,
    /// What happened.
    pub failure: FetchFailure,
}

/// What happened to a download; its `Display` ends with what to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum FetchFailure {
    /// The server answered with another status than 200.
    Status(u16),
    /// It went on redirecting.
    TooManyRedirects {
        /// How many were followed.
        followed: u32,
    },
    /// It took too long.
    TimedOut {
        /// What took too long.
        waiting_for: String,
        /// Bytes of the file that had come by then.
        got: u64,
    },
    /// The connection ended before the file did.
    Truncated {
        /// Bytes that came.
        got: u64,
        /// Bytes that the server had announced, if it had.
        announced: Option<u64>,
    },
    /// More bytes came, or were announced, than are taken.
    TooLarge {
        /// The most bytes that are taken.
        limit: u64,
    },
    /// The content is another one.
    WrongChecksum {
        /// Its hash.
        found: Sha256,
        /// The published hash.
        expected: Sha256,
        /// Its length in bytes.
        found_bytes: u64,
        /// The published length in bytes.
        expected_bytes: u64,
    },
    /// No connection, or none that could be understood.
    Connection(String),
    /// The file came, and could not be written.
    Write(atomic::WriteError),
}

impl fmt::Display for FetchFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(
                f,
                "the server answered with status {status}; check the address, or try later where it is 5xx"
            ),
            Self::TooManyRedirects { followed } => {
                write!(f, "still redirected after {followed} redirects; check the address")
            }
            Self::TimedOut { waiting_for, got } => write!(
                f,
                "timed out waiting for {waiting_for}, after {got} bytes of the file; check the network and try again"
            ),
            Self::Truncated { got, announced: Some(announced) } => {
                write!(f, "truncated: got {got} of {announced} bytes; try again")
            }
            Self::Truncated { got, announced: None } => {
                write!(f, "truncated: the connection broke after {got} bytes; try again")
            }
            Self::TooLarge { limit } => {
                write!(f, "it has more than the {limit} bytes that are taken; check the address")
            }
            Self::WrongChecksum { found, expected, found_bytes, expected_bytes } => write!(
                f,
                "wrong content: {found_bytes} bytes with SHA-256 {found}, expected {expected_bytes} bytes with \
                 {expected}; check the address, and that no proxy answers in the server's place"
            ),
            Self::Connection(cause) => write!(
                f,
                "{cause}; check the network, or get the file by other means and name its folder with --data"
            ),
            Self::Write(cause) => write!(f, "{cause}"),
        }
    }
}

/// Downloads the tutorial's two files into the folder `cache`, unless they are there and whole.
///
/// # Errors
/// If one cannot be had or written; nothing incomplete is left behind, and files that were there stay.
pub fn fetch(cache: &Path, options: &FetchOptions) -> Result<Vec<Fetched>, FetchError> {
    fetch_files(cache, &[TRAIN, TEST], options)
}

/// Downloads `files` from below the base address into the same paths below `cache`, unless they are there
/// and whole.
///
/// # Errors
/// As [`fetch`].
pub fn fetch_files(
    cache: &Path,
    files: &[PublishedFile],
    options: &FetchOptions,
) -> Result<Vec<Fetched>, FetchError> {
    let agent = agent(options);
    // 1. Everything into memory, verified.
    let mut contents = Vec::new();
    for file in files {
        let path = cache.join(file.path);
        let url = format!("{}/{}", options.base_url.trim_end_matches('/'), file.path);
        let content = if !options.force && is_whole(&path, file) {
            None
        } else {
            let failed = |failure| FetchError { url: url.clone(), failure };
            Some(download(&agent, &url, file, options).map_err(failed)?)
        };
        contents.push((path, url, content));
    }
    // 2. Then to the disk.
    let mut fetched = Vec::new();
    for (path, url, content) in contents {
        if let Some(bytes) = &content {
            atomic::write(&path, bytes)
                .map_err(|cause| FetchError { url, failure: FetchFailure::Write(cause) })?;
        }
        fetched.push(Fetched { path, downloaded: content.is_some() });
    }
    Ok(fetched)
}

fn is_whole(path: &Path, file: &PublishedFile) -> bool {
    std::fs::read(path).is_ok_and(|bytes| Sha256::of(&bytes) == file.sha256)
}

fn agent(options: &FetchOptions) -> ureq::Agent {
    let mut config = ureq::Agent::config_builder()
        .user_agent(concat!("glassbox/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(Some(options.connect_timeout))
        .timeout_connect(Some(options.connect_timeout))
        .timeout_per_read(Some(options.read_timeout))
        .timeout_global(Some(options.overall_timeout))
        .max_redirects(options.max_redirects)
        // A kept connection that the server closes meanwhile fails the next file, and two are not worth it.
        .max_idle_connections(0);
    if !options.use_proxy {
        config = config.proxy(None);
    }
    config.build().new_agent()
}

fn download(
    agent: &ureq::Agent,
    url: &str,
    file: &PublishedFile,
    options: &FetchOptions,
) -> Result<Vec<u8>, FetchFailure> {
    let failed = |error, got, announced| failure(error, got, announced, options);
    let mut response = agent.get(url).call().map_err(|error| failed(error, 0, None))?;
    // Errors of 4xx and 5xx have been told; answers that hold no file are left, such as 204.
    if response.status() != 200 {
        return Err(FetchFailure::Status(response.status().as_u16()));
    }
    let limit = options.max_bytes;
    let announced = response.body().content_length();
    if announced.is_some_and(|announced| announced > limit) {
        return Err(FetchFailure::TooLarge { limit });
    }
    let mut bytes = Vec::new();
    // One byte above the limit tells a file that is too large from one that just fits.
    let read = response.body_mut().as_reader().take(limit.saturating_add(1)).read_to_end(&mut bytes);
    let got = bytes.len() as u64;
    read.map_err(|error| failed(error.into(), got, announced))?;
    if got > limit {
        return Err(FetchFailure::TooLarge { limit });
    }
    // What the connection's end hides where the library does not count.
    if announced.is_some_and(|announced| announced != got) {
        return Err(FetchFailure::Truncated { got, announced });
    }
    let found = Sha256::of(&bytes);
    if found != file.sha256 {
        let (expected, expected_bytes) = (file.sha256, file.bytes);
        return Err(FetchFailure::WrongChecksum { found, expected, found_bytes: got, expected_bytes });
    }
    Ok(bytes)
}

/// What `error` means, after `got` bytes of a body of `announced`.
fn failure(error: ureq::Error, got: u64, announced: Option<u64>, options: &FetchOptions) -> FetchFailure {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof};
    match error {
        ureq::Error::StatusCode(status) => FetchFailure::Status(status),
        ureq::Error::TooManyRedirects => FetchFailure::TooManyRedirects { followed: options.max_redirects },
        ureq::Error::Timeout(what) => {
            let (waiting_for, limit) = match what {
                ureq::Timeout::Resolve | ureq::Timeout::Connect => ("a connection", options.connect_timeout),
                ureq::Timeout::PerRead => ("further bytes", options.read_timeout),
                _ => ("the whole file", options.overall_timeout),
            };
            FetchFailure::TimedOut { waiting_for: format!("{waiting_for} ({limit:?})"), got }
        }
        ureq::Error::Io(cause) if cause.kind() == TimedOut => {
            FetchFailure::TimedOut { waiting_for: format!("the network ({cause})"), got }
        }
        ureq::Error::Io(cause)
            if matches!(cause.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted)
                && (got > 0 || announced.is_some()) =>
        {
            FetchFailure::Truncated { got, announced }
        }
        other => FetchFailure::Connection(other.to_string()),
    }
}
