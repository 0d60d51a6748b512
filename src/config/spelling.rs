//! The nearest spelling of a word among the known ones.

use adit_route::spelling;

/// The known word that `word` was probably meant to be, if one is near enough.
pub(super) fn nearest<'k>(
    word: &str,
    known: impl IntoIterator<Item = &'k str> + Clone,
) -> Option<&'k str> {
    let folded = fold(word);
    let same = known
        .clone()
        .into_iter()
        .find(|candidate| fold(candidate) == folded);
    same.or_else(|| {
        let near = spelling::nearest(word, known.clone(), 1).pop()?;
        known.into_iter().find(|candidate| *candidate == near)
    })
}

/// `proxy_protocol`, `proxy-protocol` and `ProxyProtocol` are spellings of one word.
fn fold(word: &str) -> String {
    let letters = word
        .chars()
        .filter(|letter| !matches!(letter, '-' | '_' | ' '));
    letters.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognised() {
        let known = [
            "listeners",
            "routes",
            "rules",
            "proxyProtocol",
            "lan",
            "off",
        ];
        for (word, expected) in [
            ("listener", Some("listeners")),
            ("lsiteners", Some("listeners")),
            ("proxy_protocol", Some("proxyProtocol")),
            ("ruels", Some("rules")),
            ("Lan", Some("lan")),
            ("zzz", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
    }
}
