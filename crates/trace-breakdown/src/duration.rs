//! Durations in the names of Milvus's events, as Go writes them.

/// Nanoseconds of a duration such as `933ns`, `27.98µs`, `1.096466ms`, `2.5s` or `1m2.5s`; `None` where it is none, or longer than 584 years.
pub fn go_duration(text: &str) -> Option<u64> {
    /// The longer of two units that begin alike comes first.
    const UNITS: [(&str, u64); 7] = [
        ("ns", 1),
        ("µs", 1_000),
        ("μs", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    if text == "0" {
        return Some(0);
    }
    let mut rest = text;
    let mut total = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let (unit, size) = UNITS.iter().find(|(unit, _)| after.starts_with(unit))?;
        total = total.checked_add(scaled(number, *size)?)?;
        rest = &after[unit.len()..];
    }
    (!text.is_empty()).then_some(total)
}

/// The duration at the end of an event's name: `search request enqueue, cost 533µs`.
pub fn cost(event: &str) -> Option<u64> {
    let (_, cost) = event.rsplit_once("cost ")?;
    go_duration(cost)
}

/// `number` times `size`, without the part below one.
fn scaled(number: &str, size: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let digits = |text: &str| match text {
        "" => Some(0),
        text => text.parse::<u64>().ok(),
    };
    // Go writes no more digits than the unit has; what is beyond them is less than a nanosecond.
    let fraction = fraction.get(..fraction.len().min(12))?;
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let part = u128::from(digits(fraction)?) * u128::from(size) / scale;
    let whole = digits(whole)?.checked_mul(size)?;
    whole.checked_add(u64::try_from(part).ok()?)
}

#[cfg(test)]
mod tests {
    use super::{cost, go_duration};

    #[test]
    fn durations_of_go_are_read() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(go_duration(text), expected, "{text:?}");
        };
        check("0", Some(0));
        check("0s", Some(0));
        check("933ns", Some(933));
        check("27.98µs", Some(27_980));
        check("5.57536ms", Some(5_575_360));
        check("714.744895ms", Some(714_744_895));
        check("2.5s", Some(2_500_000_000));
        check("1m2.5s", Some(62_500_000_000));
        check("1h0m0s", Some(3_600_000_000_000));
        for wrong in [
            "",
            "s",
            ".s",
            "5",
            "5 ms",
            "1.2.3s",
            "-1s",
            "1e3s",
            "99999999999999h",
            "five",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn a_cost_stands_at_the_end_of_a_name() {
        let check = |event: &str, expected: Option<u64>| {
            assert_eq!(cost(event), expected, "{event:?}");
        };
        check("search request enqueue, cost 533µs", Some(533_000));
        check(
            "search segments done, channel = c_1v0, segmentIDs = [1 2], cost 4.01ms",
            Some(4_010_000),
        );
        check("done, cost ", None);
        check("done", None);
    }
}
