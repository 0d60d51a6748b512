//! `adit explain`.

use super::Exit;
use crate::cli::ExplainArgs;

pub(super) fn run(_: &ExplainArgs) -> Exit {
    Exit::Usage
}
