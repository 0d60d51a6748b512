//! Durations and sizes, read and shown.

use std::time::Duration;

use super::{Misfit, Parsed};

/// `250ms`, `5s`, `2m`, `1h`.
pub(in crate::config) fn duration(text: &str) -> Parsed<Duration> {
    let digits = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let misfit = || Misfit::new(format!("`{text}` is not a duration"));
    let count: u64 = number.parse().map_err(|_| misfit())?;
    let factor: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "" => return Err(misfit().instead(format!("{count}s"))),
        other => {
            let usual = match other.trim().to_ascii_lowercase().as_str() {
                "sec" | "secs" | "second" | "seconds" | "s" => "s",
                "min" | "mins" | "minute" | "minutes" | "m" => "m",
                "hour" | "hours" | "h" => "h",
                "msec" | "millis" | "milliseconds" | "ms" => "ms",
                "d" | "day" | "days" => {
                    return Err(misfit().instead(format!("{}h", count.saturating_mul(24))));
                }
                _ => return Err(misfit()),
            };
            return Err(misfit().instead(format!("{count}{usual}")));
        }
    };
    count
        .checked_mul(factor)
        .map(Duration::from_millis)
        .ok_or_else(misfit)
}

/// `64KiB`, `10MiB`, `1GiB`, or plain bytes.
pub(in crate::config) fn size(text: &str) -> Parsed<u64> {
    let digits = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let misfit = || Misfit::new(format!("`{text}` is not a size"));
    let count: u64 = number.parse().map_err(|_| misfit())?;
    let factor = match unit {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        other => {
            let usual = match other.trim().to_ascii_lowercase().as_str() {
                "k" | "kb" | "ki" | "kib" => "KiB",
                "m" | "mb" | "mi" | "mib" => "MiB",
                "g" | "gb" | "gi" | "gib" => "GiB",
                "t" | "tb" | "ti" | "tib" => "TiB",
                "b" | "bytes" => "",
                _ => return Err(misfit()),
            };
            return Err(misfit().instead(format!("{count}{usual}")));
        }
    };
    count.checked_mul(factor).ok_or_else(misfit)
}

/// A duration as a person would write it.
pub(in crate::config) fn show_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    match millis {
        0 => "0s".to_owned(),
        _ if millis.is_multiple_of(3_600_000) => format!("{}h", millis / 3_600_000),
        _ if millis.is_multiple_of(60_000) => format!("{}m", millis / 60_000),
        _ if millis.is_multiple_of(1000) => format!("{}s", millis / 1000),
        _ => format!("{millis}ms"),
    }
}

/// A size as a person would write it.
pub(in crate::config) fn show_size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] = [
        (1 << 40, "TiB"),
        (1 << 30, "GiB"),
        (1 << 20, "MiB"),
        (1 << 10, "KiB"),
    ];
    let unit = UNITS
        .into_iter()
        .find(|(factor, _)| bytes >= *factor && bytes.is_multiple_of(*factor));
    unit.map_or_else(
        || bytes.to_string(),
        |(factor, unit)| format!("{}{unit}", bytes / factor),
    )
}
