//! Downloads the tutorial's files into the cache.
//!
//! A file enters the cache only if its SHA-256 is the published one. All files are downloaded into memory and verified
//! before the first is written, and each is written atomically. So a failed download leaves the cache unchanged, and a
//! failed write leaves complete files only. A server is subject to limits: the time to connect, each wait for more
//! bytes, the total time, the number of redirects, the number of bytes.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{BASE_URL, PublishedFile, TEST, TRAIN};
use crate::error::{Error, FetchFailure, Result};
use glassbox_formats::atomic;
use glassbox_formats::hash::Sha256;

/// The options of a download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchOptions {
    /// The URL of the folder that has the files; [`BASE_URL`] by default.
    pub base_url: String,
    /// If true, files that are in the cache already are downloaded too; false by default.
    pub force: bool,
    /// Maximum time to resolve and connect to a server; 10 s by default.
    pub connect_timeout: Duration,
    /// Maximum wait for further bytes; 20 s by default.
    pub read_timeout: Duration,
    /// Maximum total time for a file, including redirects; 120 s by default.
    pub overall_timeout: Duration,
    /// Maximum number of redirects for a file; 5 by default.
    pub max_redirects: u32,
    /// Maximum number of bytes of a file; 4 MiB by default, about twenty times the size of the files.
    pub max_bytes: u64,
    /// If true, the proxy that the environment names (`HTTPS_PROXY` and related variables) is used; true by default.
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

/// A complete file in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its path.
    pub path: PathBuf,
    /// True if it was downloaded now, false if it was in the cache before.
    pub downloaded: bool,
}

/// Downloads the tutorial's two files into the folder `cache`, unless valid copies are there.
///
/// # Errors
/// If a file cannot be downloaded or written. No incomplete file is left behind, and existing files are kept.
pub fn fetch(cache: &Path, options: &FetchOptions) -> Result<Vec<Fetched>> {
    fetch_files(cache, &[TRAIN, TEST], options)
}

/// Downloads `files` from the base URL into the same paths in `cache`, unless valid copies are there.
///
/// # Errors
/// As [`fetch`].
pub fn fetch_files(cache: &Path, files: &[PublishedFile], options: &FetchOptions) -> Result<Vec<Fetched>> {
    let agent = agent(options);
    // 1. Download everything into memory and verify it.
    let mut contents = Vec::new();
    for file in files {
        let path = cache.join(file.path);
        let url = format!("{}/{}", options.base_url.trim_end_matches('/'), file.path);
        let content = if !options.force && is_whole(&path, file) {
            None
        } else {
            let failed = |failure| Error::Fetch { url: url.clone(), failure };
            Some(download(&agent, &url, file, options).map_err(failed)?)
        };
        contents.push((path, url, content));
    }
    // 2. Write the files to the disk.
    let mut fetched = Vec::new();
    for (path, url, content) in contents {
        if let Some(bytes) = &content {
            atomic::write(&path, bytes).map_err(|cause| Error::Fetch { url, failure: cause.into() })?;
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
        // A kept connection that the server closes would make the next file fail; it is not worth it for two files.
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
    // Errors of 4xx and 5xx were handled above; answers without a file are left, such as 204.
    if response.status() != 200 {
        return Err(FetchFailure::Status(response.status().as_u16()));
    }
    let limit = options.max_bytes;
    let announced = response.body().content_length();
    if announced.is_some_and(|announced| announced > limit) {
        return Err(FetchFailure::TooLarge { limit });
    }
    let mut bytes = Vec::new();
    // One byte above the limit distinguishes a file that is too large from one that just fits.
    let read = response.body_mut().as_reader().take(limit.saturating_add(1)).read_to_end(&mut bytes);
    let got = bytes.len() as u64;
    read.map_err(|error| failed(error.into(), got, announced))?;
    if got > limit {
        return Err(FetchFailure::TooLarge { limit });
    }
    // Detects a connection that ended early, where the library does not count.
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

/// Classifies `error`, which occurred after `got` bytes of a body of `announced`.
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
