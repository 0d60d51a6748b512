//! `adit status`.

use super::Exit;
use crate::cli::StatusArgs;

pub(super) fn run(_: &StatusArgs) -> Exit {
    Exit::Usage
}
