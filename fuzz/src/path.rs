//! Paths and queries: byte rules as listed, readings that are closed, a canonical form that is
//! stable, prefixes by whole elements.

use adit_route::path::{canonical, check_target, has_prefix, is_plain, readings};

use crate::Target;
use crate::reference::head::{good_path, good_query};

pub(crate) const TARGET: Target = Target {
    name: "path",
    run,
    words: &[
        b"/", b"//", b"/.", b"/..", b"/../", b"%2e", b"%2F", b"%252e", b"%5c", b"\\", b";a=b",
        b"%3b", b"?q=1", b"admin", b"%00", b"%c0%af", b"/a/b/c", b"%61",
    ],
};

fn run(input: &[u8]) {
    let query = input.iter().position(|&byte| byte == b'?');
    let (path, query) = input.split_at(query.unwrap_or(input.len()));
    let good = good_path(path) && good_query(query);
    let query = query.strip_prefix(b"?");
    assert_eq!(check_target(path, query).is_ok(), good, "N-08");
    let Some(path) = std::str::from_utf8(path)
        .ok()
        .filter(|path| path.starts_with('/'))
    else {
        return;
    };
    if !good {
        return;
    }
    let Ok(all) = readings(path) else {
        assert!(!is_plain(path), "a plain path has one reading");
        return;
    };
    assert_eq!(all[0], path, "as sent first");
    assert_eq!(all.len() == 1, is_plain(path) || unmoved(path), "{all:?}");
    for reading in &all {
        assert!(reading.starts_with('/'), "{reading:?}");
    }
    if let Some(form) = canonical(path) {
        assert_eq!(canonical(&form).as_deref(), Some(&*form), "stable");
        let dots = |text: &String| text.split('/').any(|part| part == "." || part == "..");
        assert!(!readings(&form).unwrap().iter().any(dots), "no dots (N-12)");
    }
    for (at, _) in path.match_indices('/') {
        let prefix = &path[..at];
        assert!(has_prefix(path, prefix), "{prefix:?} covers it");
        let longer = format!("{path}x");
        assert!(!has_prefix(&longer, path) || path.ends_with('/'), "N-11");
    }
}

/// A path with marks of other readings that come to the same text.
fn unmoved(path: &str) -> bool {
    let dots = |part: &str| part == "." || part == "..";
    !path.contains(['%', ';', '\\']) && !path.contains("//") && !path.split('/').any(dots)
}
