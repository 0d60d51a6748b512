//! What a syntax error of YAML usually comes from, and the way out.
//!
//! A YAML parser says what it expected, which is rarely what went wrong. This file guesses from the
//! words of the parser and the line itself. A guess is only ever a hint: it changes nothing of what
//! is accepted.

/// The way out of an error that the parser described, at this line (from 1) and column (from 0).
pub(super) fn way_out(said: &str, text: &str, line: usize, column: usize) -> &'static str {
    let shown = line
        .checked_sub(1)
        .and_then(|at| text.lines().nth(at))
        .unwrap_or_default();
    let mut indentation = shown.chars().take_while(|letter| letter.is_whitespace());
    if said.contains("tab") || indentation.any(|letter| letter == '\t') {
        return "indent with spaces: YAML knows no tabs; most editors can turn them into spaces";
    }
    let at = shown.chars().nth(column);
    if at == Some('*') || said.contains("anchor") {
        return "a value that begins with `*` or `&` stands in quotes: `host: \"*.example.com\"`";
    }
    if unquoted_brackets(shown) {
        return "an IPv6 address in brackets stands in quotes: `bind: \"[::]:443\"`";
    }
    if matches!(at, Some('@' | '`' | '%' | '|' | '>')) {
        return "a value that begins with such a character stands in quotes";
    }
    if said.contains("flow") || said.contains("bracket") {
        return "above this place a `[` or `{` is not closed, or a comma between two entries is missing";
    }
    if said.contains("quoted") {
        return "a quote is not closed, or `\\` stands in double quotes: single quotes take it as it is";
    }
    if said.contains("mapping values") {
        return "a value that holds `: ` stands in quotes; else the indentation of this line, or of \
                the one above, is wrong";
    }
    "the indentation is probably wrong: keys of one mapping begin in one column, and so do the `-` \
     of one list"
}

/// Whether a value begins with an IPv6 address in brackets, which YAML takes for a list.
fn unquoted_brackets(line: &str) -> bool {
    line.match_indices('[').any(|(at, _)| {
        let (before, rest) = line.split_at(at);
        let address = rest
            .get(1..)
            .and_then(|rest| rest.split(']').next())
            .unwrap_or_default();
        let quoted = before.ends_with(['"', '\'', '/']);
        !quoted && address.parse::<std::net::Ipv6Addr>().is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_slips_are_told_apart() {
        for (text, line, column, said, expected) in [
            (
                "a:\n\t- b",
                2,
                1,
                "tabs disallowed in this context",
                "spaces",
            ),
            ("a: *.b", 1, 3, "found unknown anchor", "in quotes"),
            ("bind: [::]:80", 1, 10, "expected key", "[::]:443"),
            ("{bind: [::1]:80}", 1, 12, "flow mapping", "[::]:443"),
            (
                "a: [b\nc: d",
                2,
                0,
                "a flow sequence, expected",
                "not closed",
            ),
            ("a: \"b", 2, 0, "a quoted scalar, end of stream", "quote"),
            ("a: b: c", 1, 4, "mapping values are not allowed", "`: `"),
            ("a:\n  b: 1\n c: 2", 3, 1, "expected key", "indentation"),
            ("", 7, 3, "unexpected eof", "indentation"),
        ] {
            let way_out = way_out(said, text, line, column);
            assert!(way_out.contains(expected), "{text}: {way_out}");
        }
    }

    #[test]
    fn addresses_in_quotes_and_in_urls_are_no_slip() {
        assert!(!unquoted_brackets(r#"bind: "[::]:80""#));
        assert!(!unquoted_brackets("backends: [http://[::1]:80]"));
        assert!(!unquoted_brackets("cidrs: [192.168.1.0/24]"));
        assert!(!unquoted_brackets("[é"));
    }
}
