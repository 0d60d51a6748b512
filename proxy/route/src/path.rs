//! The one path function.

/// Whether `prefix` covers `path` by whole path elements (N-11): `/api` and `/api/` cover `/api`
/// and `/api/x`, never `/apix`.
pub fn has_prefix(path: &str, prefix: &str) -> bool {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
