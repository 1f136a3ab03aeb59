//! A small HTTP server on this machine, which may misbehave as a test likes.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// Answers each request by `answer(path, connection)`, on a thread of its own, for as long as the test runs;
/// gives the address to ask, as `http://127.0.0.1:PORT/`. The connection closes when `answer` returns.
pub(crate) fn serve(answer: impl Fn(&str, &mut TcpStream) + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let answer = answer.clone();
            thread::spawn(move || {
                if let Some(path) = request(&stream) {
                    answer(&path, &mut stream);
                }
            });
        }
    });
    format!("http://{address}/")
}

/// The path of a request, read to the end of its head.
fn request(stream: &TcpStream) -> Option<String> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    lines.find(String::is_empty)?;
    Some(path)
}

/// A head with `status` and `headers` (each ended by CRLF), then `body`; as much of it as the client takes.
pub(crate) fn respond(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {status}\r\n{headers}\r\n");
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}

/// A proper answer.
pub(crate) fn respond_with_file(stream: &mut TcpStream, body: &[u8]) {
    respond(stream, "200 OK", &format!("Content-Length: {}\r\n", body.len()), body);
}
