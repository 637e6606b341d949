//! HTTP dates (RFC 9110 §5.6.7), and dates of RFC 3339.
//!
//! HTTP dates are parsed and formatted by `httpdate`, which on its own panics on times before 1970 and after 9999,
//! assigns a fixed century to two-digit years, and refuses leap seconds.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use httpdate::HttpDate;

/// The length of an IMF-fixdate: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub const IMF_FIXDATE_BYTES: usize = 29;

/// The last second that an IMF-fixdate can express: 9999-12-31T23:59:59Z.
const LAST_S: u64 = 253_402_300_799;

/// A formatted IMF-fixdate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImfFixdate([u8; IMF_FIXDATE_BYTES]);

impl ImfFixdate {
    /// The date of `unix_s`, in seconds since 1970; `None` after the year 9999.
    pub fn new(unix_s: u64) -> Option<ImfFixdate> {
        if unix_s > LAST_S {
            return None;
        }
        let mut text = FixedText([0; IMF_FIXDATE_BYTES], 0);
        write!(text, "{}", HttpDate::from(UNIX_EPOCH + Duration::from_secs(unix_s))).ok()?;
        (text.1 == IMF_FIXDATE_BYTES).then_some(ImfFixdate(text.0))
    }

    /// The date as a field value.
    pub fn as_bytes(&self) -> &[u8; IMF_FIXDATE_BYTES] {
        &self.0
    }
}

/// Formats into an array, so that a date needs no allocation.
struct FixedText([u8; IMF_FIXDATE_BYTES], usize);

impl std::fmt::Write for FixedText {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.1 + text.len();
        self.0.get_mut(self.1..end).ok_or(std::fmt::Error)?.copy_from_slice(text.as_bytes());
        self.1 = end;
        Ok(())
    }
}

/// A date and time of RFC 3339, in UTC and to the second: `1994-11-06T08:49:37Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rfc3339 {
    year: i64,
    month: i64,
    day: i64,
    second_of_day: i64,
}

const DAY_S: i64 = 86_400;

impl Rfc3339 {
    /// The date and time of `unix_s`, in seconds since 1970; `None` outside of the years 0 to 9999.
    pub fn new(unix_s: i128) -> Option<Rfc3339> {
        const FIRST_S: i128 = -62_167_219_200;
        if !(FIRST_S..=i128::from(LAST_S)).contains(&unix_s) {
            return None;
        }
        let unix_s = i64::try_from(unix_s).ok()?;
        // Years begin in March here, so that the leap day is the last day, and are counted in cycles of 400, which all
        // have the same number of days (Howard Hinnant, chrono-compatible low-level date algorithms).
        const CYCLE_DAYS: i64 = 146_097;
        const DAYS_FROM_MARCH_0_TO_1970: i64 = 719_468;
        let days = unix_s.div_euclid(DAY_S) + DAYS_FROM_MARCH_0_TO_1970;
        let day_of_cycle = days.rem_euclid(CYCLE_DAYS);
        let year_of_cycle = (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
        let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = days.div_euclid(CYCLE_DAYS) * 400 + year_of_cycle + i64::from(month <= 2);
        Some(Rfc3339 { year, month, day, second_of_day: unix_s.rem_euclid(DAY_S) })
    }
}

impl Rfc3339 {
    /// The text, in ASCII.
    pub fn text(&self) -> [u8; RFC_3339_BYTES] {
        let Rfc3339 { year, month, day, second_of_day } = self;
        let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
        let mut text = *b"0000-00-00T00:00:00Z";
        for (at, number) in
            [(0, year / 100), (2, year % 100), (5, *month), (8, *day), (11, hour), (14, minute), (17, second)]
        {
            // `new` makes each number less than 100.
            text[at] += (number / 10) as u8;
            text[at + 1] += (number % 10) as u8;
        }
        text
    }
}

/// The length of the text of [`Rfc3339`].
const RFC_3339_BYTES: usize = 20;

impl std::fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.text().iter().try_for_each(|byte| f.write_char(char::from(*byte)))
    }
}

/// Parses a date in any of the three forms, into seconds since 1970 (0 for an earlier date); `None` if `value` is not a
/// date.
///
/// `now_unix_s` decides the century of a two-digit year in the obsolete form: a date that appears to be more than 50
/// years in the future is in the most recent past year with the same digits.
pub fn parse(value: &[u8], now_unix_s: u64) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    if let Some(rest) = without_prefix(text, &["Mon, ", "Tue, ", "Wed, ", "Thu, ", "Fri, ", "Sat, ", "Sun, "]) {
        return has_shape(rest, "## aaa #### ##:##:## GMT").then(|| parse_civil(rest))?;
    }
    if let Some(rest) = without_prefix(text, &["Mon ", "Tue ", "Wed ", "Thu ", "Fri ", "Sat ", "Sun "]) {
        return parse_asctime(rest);
    }
    const LONG_WEEKDAYS: [&str; 7] =
        ["Monday, ", "Tuesday, ", "Wednesday, ", "Thursday, ", "Friday, ", "Saturday, ", "Sunday, "];
    parse_rfc850(without_prefix(text, &LONG_WEEKDAYS)?, now_unix_s)
}

fn without_prefix<'a>(text: &'a str, prefixes: &[&str]) -> Option<&'a str> {
    prefixes.iter().find_map(|prefix| text.strip_prefix(prefix))
}

/// Whether `text` has a digit wherever `shape` has `#`, a letter wherever it has `a`, and otherwise the bytes of
/// `shape`. After this check `text` can be sliced at fixed positions, and no byte between the slices is unchecked.
fn has_shape(text: &str, shape: &str) -> bool {
    text.len() == shape.len()
        && text.bytes().zip(shape.bytes()).all(|(byte, expected)| match expected {
            b'#' => byte.is_ascii_digit(),
            b'a' => byte.is_ascii_alphabetic(),
            _ => byte == expected,
        })
}

/// Parses the rfc850-date `Sunday, 06-Nov-94 08:49:37 GMT` from the day on: `06-Nov-94 08:49:37 GMT`.
fn parse_rfc850(rest: &str, now_unix_s: u64) -> Option<u64> {
    if !has_shape(rest, "##-aaa-## ##:##:## GMT") {
        return None;
    }
    let (day, month, time) = (&rest[..2], &rest[3..6], &rest[10..18]);
    let year_digits: u64 = rest[7..9].parse().ok()?;
    let now = ImfFixdate::new(now_unix_s)?;
    let now = std::str::from_utf8(now.as_bytes()).ok()?;
    let now_year: u64 = now[12..16].parse().ok()?;
    let mut year = now_year - now_year % 100 + year_digits;
    if year + 50 <= now_year {
        year += 100;
    }
    // Up to exactly fifty years in the future; later dates are in the past.
    let is_later_in_year = order_in_year(day, month, time)? > order_in_year(&now[5..7], &now[8..11], &now[17..25])?;
    if year > now_year + 50 || year == now_year + 50 && is_later_in_year {
        year -= 100;
    }
    parse_civil(&format!("{day} {month} {year:04} {time} GMT"))
}

/// A value that orders times within any one year.
fn order_in_year<'a>(day: &'a str, month: &str, time: &'a str) -> Option<(usize, &'a str, &'a str)> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    Some((MONTHS.iter().position(|name| *name == month)?, day, time))
}

/// Parses the asctime-date `Sun Nov  6 08:49:37 1994` from the month on: `Nov  6 08:49:37 1994`.
fn parse_asctime(rest: &str) -> Option<u64> {
    if !has_shape(rest, "aaa  # ##:##:## ####") && !has_shape(rest, "aaa ## ##:##:## ####") {
        return None;
    }
    let day = rest[4..6].replace(' ', "0");
    parse_civil(&format!("{day} {} {} {} GMT", &rest[..3], &rest[16..20], &rest[7..15]))
}

/// Parses `06 Nov 1994 08:49:37 GMT`. A leap second is treated as the second before it, a date before 1970 as the first
/// second of 1970.
fn parse_civil(text: &str) -> Option<u64> {
    let no_leap = match text.strip_suffix(":60 GMT") {
        Some(minute) => format!("{minute}:59 GMT"),
        None => text.to_owned(),
    };
    let year: u64 = no_leap.get(7..11)?.parse().ok()?;
    if year < 1970 {
        // Only checks that it is a date. 2000 was a leap year, so no valid day is refused.
        return parse_any_weekday(&format!("{}2000{}", &no_leap[..7], &no_leap[11..])).map(|_| 0);
    }
    parse_any_weekday(&no_leap)
}

/// Parses a date with any weekday. `httpdate` refuses a wrong one, but nothing depends on the weekday here, and that of
/// a date with a two-digit year may be that of the other century.
fn parse_any_weekday(text: &str) -> Option<u64> {
    ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].iter().find_map(|weekday| {
        let time: SystemTime = httpdate::parse_http_date(&format!("{weekday}, {text}")).ok()?;
        time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_3339_expresses_the_years_0_to_9999() {
        let text = |unix_s: i128| Rfc3339::new(unix_s).map(|date| date.to_string());
        for (unix_s, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (784_111_777, "1994-11-06T08:49:37Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (-62_167_219_200, "0000-01-01T00:00:00Z"),
        ] {
            assert_eq!(text(unix_s).as_deref(), Some(expected), "{unix_s}");
        }
        assert_eq!((text(253_402_300_800), text(-62_167_219_201), text(i128::MAX)), (None, None, None));
    }

    #[test]
    fn rfc_3339_agrees_with_imf_fixdate() {
        for day in 0..20_000_u64 {
            let unix_s = day * 86_400 * 7 + 12_345 * (day % 7);
            let (Some(fixdate), Some(date)) = (ImfFixdate::new(unix_s), Rfc3339::new(i128::from(unix_s))) else {
                continue;
            };
            let (fixdate, date) =
                (String::from_utf8(fixdate.as_bytes().to_vec()).unwrap_or_default(), date.to_string());
            assert_eq!((&fixdate[5..7], &fixdate[12..16], &fixdate[17..25]), (&date[8..10], &date[..4], &date[11..19]));
        }
    }

    fn year_of(unix_s: u64) -> u64 {
        ImfFixdate::new(unix_s)
            .map(|date| date.as_bytes()[12..16].iter().fold(0, |year, digit| year * 10 + u64::from(digit - b'0')))
            .unwrap_or(9999)
    }

    const NOV_1994: u64 = 784_111_777;

    #[test]
    fn the_three_forms_are_equivalent() {
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(parse(text.as_bytes(), NOV_1994 + 1000), Some(NOV_1994), "{text}");
        }
    }

    #[test]
    fn a_formatted_date_parses_to_the_same_second() {
        for unix_s in [0, NOV_1994, 951_782_400, LAST_S] {
            let date = ImfFixdate::new(unix_s).unwrap();
            assert_eq!(parse(date.as_bytes(), unix_s), Some(unix_s));
        }
        assert_eq!(ImfFixdate::new(NOV_1994).unwrap().as_bytes(), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(ImfFixdate::new(LAST_S + 1), None);
    }

    #[test]
    fn a_two_digit_year_is_at_most_fifty_years_ahead() {
        let in_2026 = parse(b"Mon, 23 Nov 2026 00:00:00 GMT", 0).unwrap();
        let year = |text: &[u8]| parse(text, in_2026).map(year_of);
        assert_eq!(year(b"Sunday, 06-Nov-76 08:49:37 GMT"), Some(2076));
        assert_eq!(year(b"Sunday, 06-Nov-77 08:49:37 GMT"), Some(1977));
        assert_eq!(year(b"Monday, 23-Nov-76 00:00:00 GMT"), Some(2076));
        assert_eq!(year(b"Monday, 23-Nov-76 00:00:01 GMT"), Some(1976));
        assert_eq!(year(b"Tuesday, 01-Dec-76 00:00:00 GMT"), Some(1976));
        assert_eq!(year(b"Sunday, 06-Nov-26 08:49:37 GMT"), Some(2026));
        assert_eq!(year(b"Sunday, 06-Nov-00 08:49:37 GMT"), Some(2000));
        let in_2094 = parse(b"Mon, 22 Nov 2094 00:00:00 GMT", 0).unwrap();
        assert_eq!(parse(b"Sunday, 06-Nov-10 08:49:37 GMT", in_2094).map(year_of), Some(2110));
    }

    #[test]
    fn a_leap_second_is_treated_as_the_second_before_it() {
        assert_eq!(parse(b"Sat, 31 Dec 2016 23:59:60 GMT", 0), parse(b"Sat, 31 Dec 2016 23:59:59 GMT", 0));
    }

    #[test]
    fn a_date_before_1970_is_treated_as_the_first_second_of_1970() {
        assert_eq!(parse(b"Sun, 06 Nov 1960 08:49:37 GMT", 0), Some(0));
        assert_eq!(parse(b"Sun, 31 Feb 1960 08:49:37 GMT", 0), None);
    }

    #[test]
    fn a_malformed_date_is_none() {
        for text in [
            &b""[..],
            b"0",
            b"Sun, 06 Nov 1994 08:49:37",
            b"Sun, 06 Nov 1994 08:49:37 UTC",
            b"Sun, 06 Nov 1994 24:49:37 GMT",
            b"Sun, 31 Feb 1994 08:49:37 GMT",
            b"Sunday, 06-Nov-9x 08:49:37 GMT",
            b"Sunday, 06-Nov-94x08:49:37 GMT",
            b"Xxx, 06 Nov 1994 08:49:37 GMT",
            b"Sun, 06 Nov +194 08:49:37 GMT",
            b"Sun Nov_ 6 08:49:37 1994",
            b"Sun Nov  6_08:49:37_1994",
            "S\u{fc}n, 6 Nov 1994 08:49:37 GMT".as_bytes(),
        ] {
            assert_eq!(parse(text, NOV_1994), None, "{}", text.escape_ascii());
        }
    }
}
