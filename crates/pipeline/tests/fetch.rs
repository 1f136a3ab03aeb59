//! Downloading, against a server on this machine that does everything wrong that a server can.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use glassbox_formats::hash::Sha256;
use glassbox_pipeline::Error;
use glassbox_pipeline::nab::{FetchFailure, FetchOptions, Fetched, PublishedFile, fetch_files};

#[path = "common/server.rs"]
mod server;

use server::{respond, respond_with_file, serve};

const ONE: &[u8] = b"timestamp,value\n2014-04-01 00:00:00,1\n";
const TWO: &[u8] = b"timestamp,value\n2014-04-01 00:00:00,2\n";

/// Small files in place of the published ones.
fn files() -> [PublishedFile; 2] {
    [("a/one.csv", ONE), ("b/two.csv", TWO)].map(|(path, content)| PublishedFile {
        path,
        sha256: Sha256::of(content),
        bytes: content.len() as u64,
    })
}

fn options(base_url: &str) -> FetchOptions {
    FetchOptions {
        base_url: base_url.to_owned(),
        connect_timeout: Duration::from_secs(5),
        read_timeout: Duration::from_secs(5),
        overall_timeout: Duration::from_secs(20),
        max_bytes: 100_000,
        // A proxy of the environment is no matter of these tests.
        use_proxy: false,
        ..FetchOptions::default()
    }
}

/// Every file and folder below `folder`.
fn everything_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(everything_below(&path));
        }
        found.push(path);
    }
    found
}

/// Fetches from a server that gives the first file and answers for the second by `answer`; checks that the
/// failure names the address and leaves nothing behind; gives what happened, and how it is told.
fn failure(
    change: impl Fn(&mut FetchOptions),
    answer: impl Fn(&mut TcpStream) + Clone + Send + 'static,
) -> (FetchFailure, String) {
    let base = serve(move |path, stream| match path {
        "/a/one.csv" => respond_with_file(stream, ONE),
        _ => answer(stream),
    });
    let mut options = options(&base);
    change(&mut options);
    let cache = tempfile::tempdir().unwrap();
    let error = fetch_files(cache.path(), &files(), &options).unwrap_err();
    assert_eq!(everything_below(cache.path()), Vec::<PathBuf>::new(), "{error}");
    let text = error.to_string();
    assert!(text.contains(&format!("{base}b/two.csv")), "{text}");
    (reason(error), text)
}

/// The reason why a download failed.
fn reason(error: Error) -> FetchFailure {
    match error {
        Error::Fetch { failure, .. } => failure,
        other => panic!("{other}"),
    }
}

/// As [`failure`], with nothing changed.
fn failure_of(answer: impl Fn(&mut TcpStream) + Clone + Send + 'static) -> (FetchFailure, String) {
    failure(|_| (), answer)
}

fn downloaded(fetched: &[Fetched]) -> Vec<bool> {
    fetched.iter().map(|file| file.downloaded).collect()
}

#[test]
fn whole_files_are_fetched_once() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let base = serve(move |path, stream| {
        counter.fetch_add(1, Ordering::SeqCst);
        respond_with_file(stream, if path == "/a/one.csv" { ONE } else { TWO });
    });
    let cache = tempfile::tempdir().unwrap();
    let fetch = |options| fetch_files(cache.path(), &files(), &options).unwrap();

    let fetched = fetch(options(&base));
    assert_eq!(downloaded(&fetched), [true, true]);
    assert_eq!(std::fs::read(&fetched[0].path).unwrap(), ONE);
    assert_eq!(std::fs::read(&fetched[1].path).unwrap(), TWO);
    assert_eq!(everything_below(cache.path()).len(), 4);
    // They are there: nobody is asked.
    assert_eq!(downloaded(&fetch(options(&base))), [false, false]);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    // A damaged one is not there. The base address may lack its last slash.
    std::fs::write(&fetched[1].path, &TWO[1..]).unwrap();
    assert_eq!(downloaded(&fetch(options(base.trim_end_matches('/')))), [false, true]);
    assert_eq!(std::fs::read(&fetched[1].path).unwrap(), TWO);
    assert_eq!(downloaded(&fetch(FetchOptions { force: true, ..options(&base) })), [true, true]);
    assert_eq!(asked.load(Ordering::SeqCst), 5);
}

#[test]
fn a_failure_leaves_files_that_were_there() {
    let cache = tempfile::tempdir().unwrap();
    let path = cache.path().join("a/one.csv");
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    std::fs::write(&path, ONE).unwrap();
    let base = serve(|_, stream| respond(stream, "503 Service Unavailable", "", b""));
    fetch_files(cache.path(), &files(), &FetchOptions { force: true, ..options(&base) }).unwrap_err();
    assert_eq!(std::fs::read(&path).unwrap(), ONE);
    assert_eq!(everything_below(cache.path()).len(), 2);
}

#[test]
fn a_status_other_than_200_is_told() {
    for (line, status) in
        [("404 Not Found", 404), ("500 Internal Server Error", 500), ("204 No Content", 204)]
    {
        let (failure, text) = failure_of(move |stream| respond(stream, line, "Content-Length: 0\r\n", b""));
        assert!(matches!(failure, FetchFailure::Status(found) if found == status), "{failure:?}");
        assert!(text.contains(&status.to_string()), "{text}");
    }
}

#[test]
fn a_truncated_file_is_told_with_its_bytes() {
    let (failure, text) =
        failure_of(|stream| respond(stream, "200 OK", "Content-Length: 1000\r\n", &[b'x'; 100]));
    assert!(matches!(failure, FetchFailure::Truncated { got: 100, announced: Some(1000) }), "{failure:?}");
    assert!(text.contains("got 100 of 1000 bytes"), "{text}");
    // A chunk of sixteen bytes that ends after four.
    let (failure, _) =
        failure_of(|stream| respond(stream, "200 OK", "Transfer-Encoding: chunked\r\n", b"10\r\n0123"));
    assert!(matches!(failure, FetchFailure::Truncated { announced: None, .. }), "{failure:?}");
    // Where the end of the connection is the end of the file, only its hash can tell.
    let (failure, text) = failure_of(|stream| respond(stream, "200 OK", "Connection: close\r\n", &TWO[..20]));
    assert!(matches!(failure, FetchFailure::WrongChecksum { found_bytes: 20, .. }), "{failure:?}");
    assert!(text.contains(&format!("20 bytes with SHA-256 {}", Sha256::of(&TWO[..20]))), "{text}");
}

#[test]
fn wrong_bytes_are_told_with_both_hashes() {
    let (failure, text) = failure_of(|stream| respond_with_file(stream, ONE));
    assert!(matches!(failure, FetchFailure::WrongChecksum { .. }), "{failure:?}");
    for hash in [Sha256::of(ONE), Sha256::of(TWO)] {
        assert!(text.contains(&hash.to_string()), "{text}");
    }
}

/// Sends nothing more, until the client gives up.
fn stall(stream: &mut TcpStream) {
    let _ = stream.read(&mut [0; 64]);
}

#[test]
fn a_server_that_stalls_is_left() {
    // Long enough for the first file to come from a busy machine.
    let soon = |options: &mut FetchOptions| options.read_timeout = Duration::from_millis(800);
    let start = Instant::now();
    let (silent, _) = failure(soon, stall);
    assert!(matches!(silent, FetchFailure::TimedOut { got: 0, .. }), "{silent:?}");
    let (halfway, text) = failure(soon, |stream| {
        respond(stream, "200 OK", "Content-Length: 1000\r\n", &[b'x'; 100]);
        stall(stream);
    });
    assert!(matches!(halfway, FetchFailure::TimedOut { got: 100, .. }), "{halfway:?}");
    assert!(text.contains("further bytes (800ms), after 100 bytes"), "{text}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn a_server_that_drips_is_left_too() {
    let soon = |options: &mut FetchOptions| options.overall_timeout = Duration::from_millis(1500);
    let start = Instant::now();
    let (failure, text) = failure(soon, |stream| {
        respond(stream, "200 OK", "Content-Length: 1000\r\n", b"");
        while stream.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    assert!(matches!(failure, FetchFailure::TimedOut { .. }), "{failure:?}");
    assert!(text.contains("the whole file"), "{text}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn redirects_are_followed_and_counted() {
    let base = serve(|path, stream| match path {
        "/old/a/one.csv" => respond(stream, "301 Moved", "Location: /new/one\r\nContent-Length: 0\r\n", b""),
        "/old/b/two.csv" => respond(stream, "302 Found", "Location: /new/two\r\nContent-Length: 0\r\n", b""),
        "/new/one" => respond_with_file(stream, ONE),
        _ => respond_with_file(stream, TWO),
    });
    let cache = tempfile::tempdir().unwrap();
    let fetched = fetch_files(cache.path(), &files(), &options(&format!("{base}old/"))).unwrap();
    assert_eq!(downloaded(&fetched), [true, true]);

    let (failure, text) = failure_of(|stream| {
        respond(stream, "302 Found", "Location: /b/two.csv\r\nContent-Length: 0\r\n", b"");
    });
    assert!(matches!(failure, FetchFailure::TooManyRedirects { followed: 5 }), "{failure:?}");
    assert!(text.contains("after 5 redirects"), "{text}");
}

#[test]
fn a_body_without_an_end_is_cut() {
    let (failure, text) = failure_of(|stream| {
        respond(stream, "200 OK", "Connection: close\r\n", b"");
        while stream.write_all(&[b'x'; 1 << 14]).is_ok() {}
    });
    assert!(matches!(failure, FetchFailure::TooLarge { limit: 100_000 }), "{failure:?}");
    assert!(text.contains("100000 bytes"), "{text}");
    let (announced, _) =
        failure_of(|stream| respond(stream, "200 OK", "Content-Length: 99999999999\r\n", b"x"));
    assert!(matches!(announced, FetchFailure::TooLarge { .. }), "{announced:?}");
}

#[test]
fn no_server_and_no_http_are_told() {
    let (failure, _) = failure_of(|stream| stream.write_all(b"220 mail.example ESMTP\r\n\r\n").unwrap());
    assert!(matches!(failure, FetchFailure::Connection(_)), "{failure:?}");
    // A redirect to nowhere.
    let (failure, _) = failure_of(|stream| respond(stream, "302 Found", "Content-Length: 0\r\n", b""));
    assert!(matches!(failure, FetchFailure::Connection(_)), "{failure:?}");
    // Hangs up without a word.
    let (failure, _) = failure_of(|_| ());
    assert!(matches!(failure, FetchFailure::Connection(_)), "{failure:?}");
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for address in [format!("http://127.0.0.1:{port}/"), "not an address".into(), String::new()] {
        let cache = tempfile::tempdir().unwrap();
        let error = fetch_files(cache.path(), &files(), &options(&address)).unwrap_err();
        assert!(error.to_string().contains("by other means"), "{error}");
        assert!(matches!(reason(error), FetchFailure::Connection(_)));
        assert!(everything_below(cache.path()).is_empty());
    }
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let base = serve(|path, stream| respond_with_file(stream, if path == "/a/one.csv" { ONE } else { TWO }));
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    std::fs::write(&cache, b"a file where the folder should be").unwrap();
    let error = fetch_files(&cache, &files(), &options(&base)).unwrap_err();
    assert!(error.to_string().contains("one.csv"), "{error}");
    assert!(matches!(reason(error), FetchFailure::Write(_)));
    assert_eq!(everything_below(folder.path()), [cache]);
}
