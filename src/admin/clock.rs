//! Moments as people and programs write them: RFC 3339, in UTC, to the second.

use std::time::{SystemTime, UNIX_EPOCH};

const DAY: u64 = 86_400;

/// `2025-11-20T10:59:23Z`.
pub(super) fn rfc3339(moment: SystemTime) -> String {
    let seconds = moment
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let (year, month, day) = civil(seconds / DAY);
    let time = seconds % DAY;
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Whole days from now on, rounded down: -1 is a moment that passed within the last day.
pub(super) fn days_until(moment: SystemTime, now: SystemTime) -> i64 {
    let days =
        |seconds: u64| i64::try_from(seconds).map_or(i64::MAX, |seconds| seconds / DAY as i64);
    match moment.duration_since(now) {
        Ok(left) => days(left.as_secs()),
        Err(passed) => -1 - days(passed.duration().as_secs()),
    }
}

/// Year, month and day of a day since 1970. Years are counted from March, so that the leap day is
/// the last of its year; 400 years are 146 097 days.
fn civil(days: u64) -> (u64, u64, u64) {
    const TO_MARCH_OF_YEAR_0: u64 = 719_468;
    let days = days + TO_MARCH_OF_YEAR_0;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn moments_are_written_in_utc() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_763_636_363, "2025-11-20T10:59:23Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            let moment = UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(rfc3339(moment), text);
        }
    }

    #[test]
    fn what_has_passed_is_below_zero() {
        let now = UNIX_EPOCH + Duration::from_secs(100 * DAY);
        for (seconds, days) in [(200, 100), (101, 1), (100, 0), (99, -2)] {
            let moment = UNIX_EPOCH + Duration::from_secs(seconds * DAY);
            assert_eq!(days_until(moment, now), days, "{seconds}");
        }
        assert_eq!(days_until(now - Duration::from_secs(1), now), -1);
        assert_eq!(days_until(now + Duration::from_secs(DAY - 1), now), 0);
    }
}
