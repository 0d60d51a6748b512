//! Timestamps in UTC, made once per second and patched per millisecond.

use std::time::{Duration, SystemTime};

use super::text;

/// How a timestamp looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `2025-11-20T10:59:23.123Z`
    Rfc3339,
    /// `20/Nov/2025:10:59:23 +0000`
    Common,
}

/// The text of the current second.
#[derive(Debug)]
pub(super) struct Clock {
    style: Style,
    second: Option<u64>,
    text: Vec<u8>,
}

impl Clock {
    pub(super) fn new(style: Style) -> Self {
        Self {
            style,
            second: None,
            text: Vec::with_capacity(32),
        }
    }

    pub(super) fn write(&mut self, out: &mut Vec<u8>, time: SystemTime) {
        let since = time
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        if self.second != Some(since.as_secs()) {
            self.second = Some(since.as_secs());
            self.text.clear();
            Civil::of(since.as_secs()).write(&mut self.text, self.style);
        }
        out.extend_from_slice(&self.text);
        match self.style {
            Style::Rfc3339 => {
                out.push(b'.');
                padded(out, since.subsec_millis().into(), 100);
                out.push(b'Z');
            }
            Style::Common => out.extend_from_slice(b" +0000"),
        }
    }
}

/// A time as nginx writes it in `$time_iso8601`: `2025-11-20T10:59:23+00:00`.
pub(crate) fn iso8601(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    let mut text = Vec::with_capacity(32);
    Civil::of(since.unwrap_or_default().as_secs()).write(&mut text, Style::Rfc3339);
    text.extend_from_slice(b"+00:00");
    String::from_utf8_lossy(&text).into_owned()
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// A second of the Gregorian calendar.
#[derive(Debug, PartialEq, Eq)]
struct Civil {
    year: u64,
    month: u64,
    day: u64,
    second: u64,
}

impl Civil {
    /// Counts in years that begin in March, so that the leap day is the last of its year.
    fn of(seconds: u64) -> Self {
        const DAYS_TO_1970: u64 = 719_468;
        const DAYS_IN_400_YEARS: u64 = 146_097;
        let days = seconds / 86_400 + DAYS_TO_1970;
        let day_of_era = days % DAYS_IN_400_YEARS;
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let month = if shifted < 10 {
            shifted + 3
        } else {
            shifted - 9
        };
        Self {
            year: days / DAYS_IN_400_YEARS * 400 + year_of_era + u64::from(month <= 2),
            month,
            day: day_of_year - (153 * shifted + 2) / 5 + 1,
            second: seconds % 86_400,
        }
    }

    fn write(&self, out: &mut Vec<u8>, style: Style) {
        match style {
            Style::Rfc3339 => {
                padded(out, self.year, 1_000);
                out.push(b'-');
                padded(out, self.month, 10);
                out.push(b'-');
                padded(out, self.day, 10);
                out.push(b'T');
            }
            Style::Common => {
                padded(out, self.day, 10);
                out.push(b'/');
                let month = MONTHS
                    .get(self.month.saturating_sub(1) as usize)
                    .unwrap_or(&"");
                out.extend_from_slice(month.as_bytes());
                out.push(b'/');
                padded(out, self.year, 1_000);
                out.push(b':');
            }
        }
        padded(out, self.second / 3_600, 10);
        out.push(b':');
        padded(out, self.second / 60 % 60, 10);
        out.push(b':');
        padded(out, self.second % 60, 10);
    }
}

/// A number with leading zeros down from the digit of `unit`.
fn padded(out: &mut Vec<u8>, value: u64, unit: u64) {
    let mut unit = unit;
    while unit > 1 && value < unit {
        out.push(b'0');
        unit /= 10;
    }
    text::number(out, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(style: Style, millis: u64) -> String {
        let mut out = Vec::new();
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        Clock::new(style).write(&mut out, time);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (millis, rfc3339, common) in [
            (0, "1970-01-01T00:00:00.000Z", "01/Jan/1970:00:00:00 +0000"),
            (
                951_782_399_999,
                "2000-02-28T23:59:59.999Z",
                "28/Feb/2000:23:59:59 +0000",
            ),
            (
                951_782_400_007,
                "2000-02-29T00:00:00.007Z",
                "29/Feb/2000:00:00:00 +0000",
            ),
            (
                951_868_800_050,
                "2000-03-01T00:00:00.050Z",
                "01/Mar/2000:00:00:00 +0000",
            ),
            (
                1_763_636_363_123,
                "2025-11-20T10:59:23.123Z",
                "20/Nov/2025:10:59:23 +0000",
            ),
            (
                2_147_483_648_000,
                "2038-01-19T03:14:08.000Z",
                "19/Jan/2038:03:14:08 +0000",
            ),
            (
                4_107_542_400_000,
                "2100-03-01T00:00:00.000Z",
                "01/Mar/2100:00:00:00 +0000",
            ),
        ] {
            assert_eq!(show(Style::Rfc3339, millis), rfc3339);
            assert_eq!(show(Style::Common, millis), common);
        }
    }

    #[test]
    fn a_clock_that_jumps_back_is_followed() {
        let mut clock = Clock::new(Style::Rfc3339);
        let mut out = Vec::new();
        for millis in [5_000, 5_999, 1_000] {
            clock.write(
                &mut out,
                SystemTime::UNIX_EPOCH + Duration::from_millis(millis),
            );
            out.push(b' ');
        }
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "1970-01-01T00:00:05.000Z 1970-01-01T00:00:05.999Z 1970-01-01T00:00:01.000Z "
        );
    }
}
