//! Rates: so many in a time.

use adit_route::policy::Period;

use super::{Misfit, Parsed};

/// `10/s`, `300/m`, `1000/h`.
pub(in crate::config) fn rate(text: &str) -> Parsed<(u32, Period)> {
    let misfit = || Misfit::new(format!("`{text}` is not a rate"));
    let (count, unit) = text.split_once('/').ok_or_else(misfit)?;
    let digits = count.trim_end_matches('r').trim();
    let period = match unit.trim() {
        "s" | "sec" | "second" => Period::Second,
        "m" | "min" | "minute" => Period::Minute,
        "h" | "hour" => Period::Hour,
        _ => return Err(misfit()),
    };
    let number: u32 = digits.parse().map_err(|_| misfit())?;
    if number == 0 {
        return Err(Misfit::new("a rate of 0 would let nobody in"));
    }
    if unit == period.unit() && digits == count {
        Ok((number, period))
    } else {
        Err(misfit().instead(format!("{number}/{}", period.unit())))
    }
}
