//! Trace context as it travels with requests (W3C Trace Context, Baggage).
//!
//! What a client says of its trace is believed only where its forwarding fields are (O-08);
//! everything else begins a trace of its own, and brings no state and no baggage along.

use adit_route::FieldList;
use http::{HeaderName, HeaderValue};

pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// Most bytes and members of `tracestate` that are passed on.
const STATE: (usize, usize) = (512, 32);

/// Most bytes and members of `baggage` that are passed on.
const LOAD: (usize, usize) = (8192, 64);

/// A place in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Context {
    pub trace: [u8; 16],
    /// The span that is the parent of whoever reads this.
    pub span: [u8; 8],
    pub sampled: bool,
}

impl Context {
    /// What a request says, if it says it once and well.
    pub(super) fn read(headers: &FieldList) -> Option<Self> {
        let name = &TRACEPARENT;
        let mut values = headers.get_all(name);
        let (Some(value), None) = (values.next(), values.next()) else {
            return None;
        };
        Self::parse(value.as_bytes())
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let (head, rest) = text.split_at_checked(55)?;
        let mut parts = head.split(|&byte| byte == b'-');
        let version = hex::<1>(parts.next()?)?;
        let trace = hex::<16>(parts.next()?)?;
        let span = hex::<8>(parts.next()?)?;
        let [flags] = hex::<1>(parts.next()?)?;
        // A later version may say more behind what we know; this one may not.
        let complete = match version {
            [0] => rest.is_empty(),
            [0xff] => false,
            _ => rest.is_empty() || rest.starts_with(b"-"),
        };
        let known = complete && parts.next().is_none() && trace != [0; 16] && span != [0; 8];
        known.then_some(Self {
            trace,
            span,
            sampled: flags & 1 == 1,
        })
    }

    /// The field that says it.
    pub(super) fn text(&self) -> String {
        let trace = u128::from_be_bytes(self.trace);
        let span = u64::from_be_bytes(self.span);
        format!("00-{trace:032x}-{span:016x}-{:02x}", u8::from(self.sampled))
    }
}

fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut out = [0; N];
    for (place, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *place = digit(*high)? << 4 | digit(*low)?;
    }
    Some(out)
}

/// Writes our place in the trace. `goes_on` says that the trace is the client's, whose state and
/// baggage then go on with it, within bounds; the state is given back.
pub(super) fn write(headers: &mut FieldList, context: &Context, goes_on: bool) -> String {
    if let Ok(value) = HeaderValue::try_from(context.text()) {
        headers.insert(TRACEPARENT, value);
    }
    let mut state = String::new();
    for (name, (bytes, members)) in [(TRACESTATE, STATE), (BAGGAGE, LOAD)] {
        if !headers.contains_key(&name) {
            continue;
        }
        let values: Vec<_> = headers
            .get_all(&name)
            .filter_map(|value| value.to_str().ok())
            .collect();
        let text = values.join(",");
        if !goes_on || text.len() > bytes || text.split(',').count() > members {
            headers.remove(&name);
        } else if name == TRACESTATE {
            state = text;
        }
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn fields(fields: &[(&'static str, &str)]) -> FieldList {
        let mut list = FieldList::new();
        for (name, value) in fields {
            list.append(
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        list
    }

    #[test]
    fn a_trace_is_read_as_w3c_writes_it() {
        let later = format!("cc{}-what-the-future", &GOOD[2..]);
        let cases = [
            (GOOD, true),
            (later.as_str(), true),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
                true,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
                false,
            ),
            (
                "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                false,
            ),
            (
                "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
                false,
            ),
            (
                "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                false,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
                false,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
                false,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
                false,
            ),
            ("", false),
        ];
        for (text, good) in cases {
            let read = Context::read(&fields(&[("traceparent", text)]));
            assert_eq!(read.is_some(), good, "{text}");
        }
        let read = Context::read(&fields(&[("traceparent", GOOD)])).unwrap();
        assert!(read.sampled);
        assert_eq!(read.text(), GOOD);
        let twice = fields(&[("traceparent", GOOD), ("traceparent", GOOD)]);
        assert_eq!(Context::read(&twice), None);
    }

    #[test]
    fn state_and_baggage_go_on_with_a_trusted_trace_within_bounds() {
        let context = Context::parse(GOOD.as_bytes()).unwrap();
        let long = format!("a={}", "x".repeat(8200));
        // Trusted, state, baggage, state and baggage afterwards.
        let cases = [
            (true, "a=1,b=2", "user=7", true, true),
            (false, "a=1", "user=7", false, false),
            (true, &long, &long, false, false),
            (
                true,
                &vec!["a=1"; 33].join(","),
                &vec!["a=1"; 65].join(","),
                false,
                false,
            ),
        ];
        for (trusted, state, baggage, keeps_state, keeps_baggage) in cases {
            let mut headers = fields(&[("tracestate", state), ("baggage", baggage)]);
            let kept = write(&mut headers, &context, trusted);
            assert_eq!(headers.contains_key("tracestate"), keeps_state);
            assert_eq!(headers.contains_key("baggage"), keeps_baggage);
            assert_eq!(kept.is_empty(), !keeps_state);
            assert_eq!(headers.get("traceparent").unwrap(), GOOD);
        }
    }
}
