//! What processes use, read from /proc: CPU time, memory, descriptors, system calls; and what the
//! machine is and does meanwhile.
//!
//! A [`Tree`] is a process with all of its descendants, because some proxies are several. CPU time
//! comes from the scheduler's own sums, in nanoseconds; the clock ticks of `stat` would be one part
//! in a hundred of a short run.

mod machine;
mod proc;
mod syscalls;

use std::time::{Duration, Instant};

pub use machine::{Load, Machine};
pub use proc::{Memory, Sample, Tree, Usage};
pub use syscalls::syscalls;

/// Lets time pass. Whoever calls has a thread of its own.
pub fn pause(time: Duration) {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        if left.is_zero() {
            return;
        }
        std::thread::park_timeout(left);
    }
}
