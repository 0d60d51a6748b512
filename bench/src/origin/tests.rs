//! An origin seen from a plain socket: the tests of adit lean on every byte of it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use super::{Kind, Origin};

fn origin() -> Origin {
    Origin::start(Kind::Http1, "one", (Ipv4Addr::LOCALHOST, 0).into()).unwrap()
}

/// Sends `request`, whose last answer closes the connection, and reads to the end.
fn ask(origin: &Origin, request: &str) -> String {
    let mut stream = TcpStream::connect(origin.addr()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

#[test]
fn each_path_answers_on_one_connection_until_it_is_closed() {
    let origin = origin();
    let answer = ask(
        &origin,
        "GET /a?b=c HTTP/1.1\r\nHost: x\r\nX-A:  \"1\" \r\n\r\n\
         POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
         3\r\nabc\r\n10;ext\r\n0123456789abcdef\r\n0\r\nT: 1\r\n\r\n\
         HEAD /size/5 HTTP/1.1\r\nHost: x\r\n\r\n\
         GET /chunked/18 HTTP/1.1\r\nHost: x\r\n\r\n\
         GET /trailers HTTP/1.1\r\nHost: x\r\n\r\n\
         POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc\
         GET /status/204 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    for part in [
        "\"request\": \"GET /a?b=c HTTP/1.1\"",
        "\"X-A: \\\"1\\\"\"",
        "\r\n\r\n19\n",
        "content-length: 5\r\n\r\nHTTP/1.1 200",
        "12\r\nabcdefghijklmnopab\r\n0\r\n\r\n",
        "0\r\nx-checksum: a5\r\nx-last: yes\r\n\r\n",
        "answered before",
        "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n",
    ] {
        assert!(answer.contains(part), "{part:?} in {answer}");
    }
}

#[test]
fn a_request_with_two_framings_is_refused() {
    let origin = origin();
    for fields in [
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 3\r\nContent-Length: 3\r\n",
        "Content-Length: +3\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Bad Name: 1\r\n",
    ] {
        let answer = ask(
            &origin,
            &format!("POST / HTTP/1.1\r\n{fields}\r\n3\r\nabc\r\n0\r\n\r\n"),
        );
        assert!(
            answer.starts_with("HTTP/1.1 400 "),
            "{fields:?} got {answer}"
        );
    }
}

#[test]
fn a_body_is_asked_for_only_when_it_is_read() {
    let origin = origin();
    let head =
        "HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\nConnection: close\r\n";
    let answer = ask(&origin, &format!("POST /echo {head}\r\nabc"));
    assert!(answer.contains("HTTP/1.1 100 Continue\r\n\r\n"), "{answer}");
    assert!(answer.contains("3\r\nabc\r\n0\r\n\r\n"), "{answer}");
    let answer = ask(&origin, &format!("POST /early {head}\r\n"));
    assert!(!answer.contains("100 Continue"), "{answer}");
}

#[test]
fn a_promise_of_bytes_can_be_broken() {
    let origin = origin();
    let answer = ask(&origin, "GET /truncate/100 HTTP/1.1\r\nHost: x\r\n\r\n");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-length: 100"));
    assert_eq!(body.len(), 50);
}
