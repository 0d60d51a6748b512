//! Figures of the process itself, from `/proc/self`.
//!
//! A figure that cannot be read (another system, a tight sandbox) is left out, never guessed.

use std::fs;

/// What the kernel says of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct ProcessReading {
    pub(super) resident_bytes: Option<u64>,
    pub(super) open_descriptors: Option<u64>,
    pub(super) descriptor_limit: Option<u64>,
    pub(super) threads: Option<u64>,
    pub(super) cpu_seconds: Option<f64>,
}

pub(super) fn read() -> ProcessReading {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    ProcessReading {
        resident_bytes: pages.map(|pages| pages * rustix::param::page_size() as u64),
        // The directory lists the descriptor that reads it, too.
        open_descriptors: fs::read_dir("/proc/self/fd")
            .ok()
            .map(|entries| (entries.count() as u64).saturating_sub(1)),
        descriptor_limit: limit.current,
        threads: field(&stat, 20),
        cpu_seconds: field(&stat, 14)
            .zip(field(&stat, 15))
            .map(|(user, system)| {
                (user + system) as f64 / rustix::param::clock_ticks_per_second() as f64
            }),
    }
}

/// A field of `/proc/self/stat` by its number in proc(5). The name, in brackets, may contain
/// anything, so counting starts behind its last bracket.
fn field(stat: &str, number: usize) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(number.checked_sub(3)?)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_threads_and_descriptors() {
        let reading = read();
        assert!(reading.resident_bytes.unwrap() > 100_000);
        assert!(reading.open_descriptors.unwrap() >= 3);
        assert!(reading.threads.unwrap() >= 1);
        assert!(reading.cpu_seconds.unwrap() >= 0.0);
    }

    #[test]
    fn a_strange_process_name_does_not_shift_the_fields() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 9 0 1 1 1";
        assert_eq!(
            (field(stat, 14), field(stat, 15), field(stat, 20)),
            (Some(250), Some(50), Some(9))
        );
        assert_eq!(field("", 20), None);
    }
}
