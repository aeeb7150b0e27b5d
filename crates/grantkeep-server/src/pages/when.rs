//! Moments, as people read them: how long ago, with the exact time for whoever wants it.

use maud::{Markup, html};
use std::time::{SystemTime, UNIX_EPOCH};

const MINUTE_S: u64 = 60;
const HOUR_S: u64 = 60 * MINUTE_S;
const DAY_S: u64 = 24 * HOUR_S;

/// A moment as an element that says how far it is from now.
pub(super) fn when(at: SystemTime) -> Markup {
    let now = SystemTime::now();
    let (exact, machine) = exact(at);
    let words = match now.duration_since(at) {
        Ok(ago) => match span(ago.as_secs()) {
            Some(span) => format!("{span} ago"),
            None => "just now".to_owned(),
        },
        Err(ahead) => match span(ahead.duration().as_secs()) {
            Some(span) => format!("in {span}"),
            None => "now".to_owned(),
        },
    };
    html! { time datetime=(machine) title=(exact) { (words) } }
}

/// A stretch of time in its largest unit, to the nearest; `None` for less than a minute.
fn span(seconds: u64) -> Option<String> {
    let units = [(365 * DAY_S, "year"), (DAY_S, "day"), (HOUR_S, "hour"), (MINUTE_S, "minute")];
    let (unit_s, unit) = units.into_iter().find(|(unit_s, _)| seconds >= *unit_s)?;
    let count = (seconds + unit_s / 2) / unit_s;
    Some(format!("{count} {unit}{}", if count == 1 { "" } else { "s" }))
}

/// A moment of UTC, for people and for machines.
fn exact(at: SystemTime) -> (String, String) {
    let seconds = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (year, month, day) = date(seconds / DAY_S);
    let of_day = seconds % DAY_S;
    let (hour, minute, second) = (of_day / HOUR_S, of_day % HOUR_S / MINUTE_S, of_day % MINUTE_S);
    let date = format!("{year:04}-{month:02}-{day:02}");
    (
        format!("{date} {hour:02}:{minute:02} UTC"),
        format!("{date}T{hour:02}:{minute:02}:{second:02}Z"),
    )
}

/// The date of a day since 1970. Years begin in March here, so that a leap day is the last of its
/// year, and 400 of them have 146,097 days.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    // Goal: dates are those of the calendar, leap days among them. Method: known moments.
    #[test]
    fn dates_are_those_of_the_calendar() {
        let at = |seconds| exact(UNIX_EPOCH + Duration::from_secs(seconds)).1;
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(1_795_830_466), "2026-11-28T01:47:46Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00Z");
    }

    // Goal: a moment is told in its largest unit, before and after now. Method: one of each.
    #[test]
    fn moments_are_told_in_words() {
        let told = |at: SystemTime| when(at).into_string();
        let now = SystemTime::now();
        assert!(told(now).contains("just now"));
        assert!(told(now - Duration::from_secs(61)).contains("1 minute ago"));
        assert!(told(now - Duration::from_secs(7_300)).contains("2 hours ago"));
        assert!(told(now + Duration::from_secs(3 * DAY_S + 30)).contains("in 3 days"));
        assert!(told(now + Duration::from_secs(800 * DAY_S)).contains("in 2 years"));
        assert!(told(now + Duration::from_secs(12 * HOUR_S - 1)).contains("in 12 hours"));
    }
}
