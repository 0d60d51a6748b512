//! Limits: one row per key, with the id of the security reference and the field that it sets.
//!
//! The rows stand in files by what they limit; their order here is that of the reference page. A
//! new limit is one row and one field of [`Limits`].

mod http2;
mod message;
mod process;
mod time;

use std::time::Duration;

use adit_proxy::limits::Limits;
use adit_route::CidrSet;

use super::{Key, Table};

/// The field of a limit.
#[derive(Clone, Copy)]
pub(in crate::config) enum Slot {
    Size(fn(&mut Limits) -> &mut usize),
    Size32(fn(&mut Limits) -> &mut u32),
    Count(fn(&mut Limits) -> &mut usize),
    Count32(fn(&mut Limits) -> &mut u32),
    Time(fn(&mut Limits) -> &mut Duration),
    Blocks(fn(&mut Limits) -> &mut CidrSet),
}

type Row = (Key, &'static str, Slot);

static ROWS: [&[Row]; 4] = [message::ROWS, http2::ROWS, time::ROWS, process::ROWS];

/// Key, id and field of every limit.
pub(in crate::config) fn rows() -> impl Iterator<Item = &'static Row> {
    ROWS.into_iter().flatten()
}

pub(in crate::config) static LIMITS: Table = Table {
    name: "limits",
    doc: "Every limit of the data plane. What a client, a backend or a peer does \
            beyond it is refused or closed.",
    keys: &KEYS,
    includes: &[],
    planned: &[
        (
            "body",
            "request bodies are unlimited unless a route sets `limits: {body: …}`",
        ),
        ("maxConnections", "the key is `connections`"),
    ],
};

const COUNT: usize =
    message::ROWS.len() + http2::ROWS.len() + time::ROWS.len() + process::ROWS.len();

static KEYS: [Key; COUNT] = keys();

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, never at run time"
)]
const fn keys() -> [Key; COUNT] {
    let mut keys = [ROWS[0][0].0; COUNT];
    let (mut group, mut row, mut index) = (0, 0, 0);
    while index < COUNT {
        if row == ROWS[group].len() {
            group += 1;
            row = 0;
        } else {
            keys[index] = ROWS[group][row].0;
            index += 1;
            row += 1;
        }
    }
    keys
}
