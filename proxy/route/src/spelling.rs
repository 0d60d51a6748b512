//! Nearest spellings, for messages: "no host `gti.example.com`; did you mean `git.example.com`?"
//!
//! Distance counts inserted, removed, changed and swapped neighbouring characters. Only candidates
//! near enough to be a slip of the hand are offered: a wrong hint is worse than none.

/// Up to `limit` candidates that may be meant by `word`, the nearest first.
pub fn nearest<C: AsRef<str>>(
    word: &str,
    candidates: impl IntoIterator<Item = C>,
    limit: usize,
) -> Vec<String> {
    const FARTHEST: usize = 2;
    let allowed = (word.chars().count() / 3).clamp(1, FARTHEST);
    let near = candidates.into_iter().filter_map(|candidate| {
        let found = distance(word, candidate.as_ref());
        (1..=allowed)
            .contains(&found)
            .then(|| (found, candidate.as_ref().to_owned()))
    });
    let mut near: Vec<_> = near.collect();
    near.sort();
    near.dedup();
    near.into_iter()
        .take(limit)
        .map(|(_, candidate)| candidate)
        .collect()
}

/// Optimal string alignment distance, ignoring ASCII case.
fn distance(one: &str, other: &str) -> usize {
    let letters = |text: &str| {
        text.chars()
            .map(|letter| letter.to_ascii_lowercase())
            .collect::<Vec<_>>()
    };
    let (one, other) = (letters(one), letters(other));
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=other.len()).collect();
    let mut last = None;
    for (row, &mine) in one.iter().enumerate() {
        let mut line = vec![row + 1];
        let mut previous = None;
        for (column, &theirs) in other.iter().enumerate() {
            let at = |cells: &[usize], column: usize| {
                cells.get(column).copied().unwrap_or(usize::MAX - 1)
            };
            let change = at(&above, column) + usize::from(mine != theirs);
            let mut best = change
                .min(at(&above, column + 1) + 1)
                .min(at(&line, column) + 1);
            if previous == Some(mine) && last == Some(theirs) && column > 0 {
                best = best.min(at(&before, column - 1) + 1);
            }
            line.push(best);
            previous = Some(theirs);
        }
        before = std::mem::replace(&mut above, line);
        last = Some(mine);
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_hand_are_recognised() {
        for (one, other, expected) in [
            ("git", "git", 0),
            ("gti", "git", 1),
            ("giit", "git", 1),
            ("gt", "git", 1),
            ("got", "git", 1),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("LAN", "lan", 0),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
        }
        let hosts = ["git.example.com", "gitea.example.com", "www.example.com"];
        assert_eq!(nearest("gti.example.com", hosts, 3), ["git.example.com"]);
        assert!(nearest("shop.test", hosts, 3).is_empty());
    }
}
