//! Times and dates as people read them.

use std::time::Duration;

/// `3:07`, or `1:02:03` from an hour on.
pub(crate) fn clock(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// `45 seconds`, `1 minute`, `2 hours 5 minutes`.
pub(crate) fn spoken(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    let unit = |count: u64, one: &str| if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") };
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match (hours, minutes) {
        (0, 0) => unit(seconds, "second"),
        (0, minutes) => unit(minutes, "minute"),
        (hours, 0) => unit(hours, "hour"),
        (hours, minutes) => format!("{} {}", unit(hours, "hour"), unit(minutes, "minute")),
    }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// `23 November 2026`, of seconds since 1970 (UTC).
pub(crate) fn date(unix: u64) -> String {
    let (year, month, day) = civil(unix / 86_400);
    format!("{day} {} {year}", MONTHS[month])
}

/// `23 November 2026, 21:05 UTC`, of seconds since 1970.
pub(crate) fn date_and_time(unix: u64) -> String {
    format!("{}, {:02}:{:02} UTC", date(unix), unix / 3600 % 24, unix / 60 % 60)
}

/// Year, month (0..=11) and day of a number of days since 1 January 1970 in the Gregorian calendar.
fn civil(mut days: u64) -> (u64, usize, u64) {
    // Far beyond any expiry, and it bounds the loop below.
    days = days.min(366 * 9000);
    let leap = |year: u64| (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
    let mut year = 1970;
    loop {
        let length = if leap(year) { 366 } else { 365 };
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let lengths = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while month < 11 && days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_shows_hours_only_when_there_are_some() {
        assert_eq!(clock(Duration::from_secs(0)), "0:00");
        assert_eq!(clock(Duration::from_secs(187)), "3:07");
        assert_eq!(clock(Duration::from_secs(3723)), "1:02:03");
    }

    #[test]
    fn spoken_times_have_the_right_number() {
        assert_eq!(spoken(Duration::from_secs(1)), "1 second");
        assert_eq!(spoken(Duration::from_secs(59)), "59 seconds");
        assert_eq!(spoken(Duration::from_secs(60)), "1 minute");
        assert_eq!(spoken(Duration::from_secs(7500)), "2 hours 5 minutes");
        assert_eq!(spoken(Duration::from_secs(3600)), "1 hour");
    }

    #[test]
    fn dates_know_leap_years() {
        assert_eq!(date(0), "1 January 1970");
        assert_eq!(date(951_782_400), "29 February 2000");
        assert_eq!(date(951_868_800), "1 March 2000");
        assert_eq!(date(1_798_675_200), "31 December 2026");
        assert_eq!(date_and_time(1_795_467_900), "23 November 2026, 21:05 UTC");
    }
}
