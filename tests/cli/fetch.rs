//! `glassbox data fetch` against a server on this machine. What the library does with servers that misbehave
//! is tested in the pipeline; here it is what a user sees.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;

use crate::kit::{fail, glassbox, home, succeed};
use glassbox_tests::real_data;

/// Serves a folder until the test ends; what is not in it is 404.
fn serve(folder: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}/", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut request = [0; 2048];
            let read = stream.read(&mut request).unwrap_or(0);
            let line = String::from_utf8_lossy(&request[..read]).into_owned();
            let path = line.split(' ').nth(1).unwrap_or("/").trim_start_matches('/').to_string();
            let (status, body) = match std::fs::read(folder.join(path)) {
                Ok(body) => ("200 OK", body),
                Err(_) => ("404 Not Found", vec![]),
            };
            let head =
                format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    address
}

#[test]
fn wrong_bytes_and_missing_files_leave_nothing_behind() {
    let home = home();
    // The twin has the right names and the wrong content.
    crate::kit::twin(home.path());
    let wrong = serve(home.path().join("nab"));
    let error = fail(glassbox(home.path()).args(["data", "fetch", "--base-url", &wrong]), 6);
    assert!(error.contains("SHA-256") && error.contains("c4b304229f69f108"), "{error}");

    let empty = serve(home.path().join("nothing"));
    let error = fail(glassbox(home.path()).args(["data", "fetch", "--base-url", &empty]), 6);
    assert!(error.contains("404"), "{error}");
    let nowhere = ["data", "fetch", "--base-url", "not an address"];
    let error = fail(glassbox(home.path()).args(nowhere), 6);
    assert!(error.contains("by other means and name its folder (--data)"), "{error}");

    let files = walk(&home.path().join("cache"));
    assert!(files.is_empty(), "{files:?}");
    let shown = succeed(glassbox(home.path()).args(["data", "show"]));
    assert!(shown.contains("the built-in synthetic copy"), "{shown}");
}

#[test]
fn fetched_files_are_used_and_not_fetched_again() {
    let Some(nab) = real_data("GLASSBOX_NAB") else { return };
    let home = home();
    let server = serve(nab);
    let fetch = || {
        let mut command = glassbox(home.path());
        command.args(["data", "fetch", "--base-url", &server]);
        command
    };
    assert_eq!(succeed(&mut fetch()).matches("downloaded and verified").count(), 2);
    assert_eq!(succeed(&mut fetch()).matches("already there, verified").count(), 2);
    assert_eq!(succeed(fetch().arg("--force")).matches("downloaded and verified").count(), 2);
    let shown = succeed(glassbox(home.path()).args(["data", "show", "--json"]));
    assert!(shown.contains("c4b304229f69f108eaa024fb2406fcd4510c5c5d95cd0053e2da6989682e4e6d"), "{shown}");

    // A cache that was damaged is not used, and not silently passed over.
    let file = walk(&home.path().join("cache")).pop().expect("a cached file");
    std::fs::write(file, "timestamp,value\n").expect("room");
    let error = fail(glassbox(home.path()).args(["data", "show"]), 3);
    assert!(error.contains("fetch it again (`glassbox data fetch`)"), "{error}");
}

fn walk(folder: &std::path::Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return vec![] };
    entries
        .flat_map(|entry| {
            let path = entry.expect("an entry").path();
            if path.is_dir() { walk(&path) } else { vec![path] }
        })
        .collect()
}
