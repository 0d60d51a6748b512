//! Heads of responses: the gate against a plain reader and itself byte by byte.

use adit_proxy::h1::{BodyLength, parse_response};
use adit_proxy::limits::Limits;
use http::{Method, Version, header};

use crate::Target;
use crate::reference::head::{self, Length};
use crate::request::{hopeless, read_head, same_fields};

pub(crate) const TARGET: Target = Target {
    name: "response",
    run,
    words: &[
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 ",
        b"HTTP/1.1 204 ",
        b"HTTP/1.1 304",
        b"HTTP/1.1 101 ",
        b"999",
        b"Content-Length: 5\r\n",
        b"content-length: 05\r\n",
        b"content-length: 0\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"host: a\r\n",
        b" : ",
        b"\r\n ",
        b"set-cookie: a=b\r\n",
    ],
};

fn run(input: &[u8]) {
    let whole = read_head(std::iter::once(input), false);
    let cut = read_head(input.chunks(1), false);
    assert_eq!(whole, cut, "in one piece and byte by byte");
    let end = head::end(input);
    let found = match whole {
        Ok(None) => return assert!(end.is_none(), "a whole head is waited for"),
        Err(_) if end.is_none() => return assert!(hopeless(input), "refused too early"),
        Err(_) => None,
        Ok(Some(text)) => {
            assert_eq!(Some(text.len()), end, "the end of the head");
            Some(text)
        }
    };
    let plain = head::response(&input[..end.unwrap_or_default()]);
    for method in [Method::GET, Method::HEAD] {
        let parsed = found
            .as_ref()
            .and_then(|text| parse_response(text, &method, &Limits::default()).ok());
        match (parsed, &plain) {
            (None, None) => {}
            (Some(parsed), Some((status, minor, section))) => {
                assert_eq!(parsed.status.as_u16(), *status);
                assert_eq!(parsed.version == Version::HTTP_11, *minor == 1);
                assert_eq!(parsed.length, length(*status, &method, section.length));
                let mut others = section.others.clone();
                if let Some(host) = &section.host {
                    others.push(("host".into(), host.clone()));
                }
                let mut headers = parsed.headers;
                // Beside framing: how long the body would be.
                let told = headers.remove(header::CONTENT_LENGTH);
                let would = method == Method::HEAD || *status == 304;
                let silent = *status < 200 || *status == 204;
                match section.length {
                    Length::Exact(length) if would && !silent => {
                        assert_eq!(told.unwrap(), length.to_string());
                    }
                    _ => assert_eq!(told, None),
                }
                same_fields(&headers, &others);
            }
            (parsed, plain) => panic!("we read {parsed:?}, plainly it is {plain:?}"),
        }
    }
}

fn length(status: u16, method: &Method, said: Length) -> BodyLength {
    let bodyless = status < 200 || status == 204 || status == 304 || method == Method::HEAD;
    match said {
        _ if bodyless => BodyLength::None,
        Length::Exact(0) => BodyLength::None,
        Length::Exact(length) => BodyLength::Exact(length),
        Length::Chunked => BodyLength::Chunked,
        Length::Unsaid => BodyLength::UntilClose,
    }
}
