//! Times in UTC, as people, file names and logs write them. They are counted in seconds since 1970.

use time::format_description::StaticFormatDescription;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

const DATE: StaticFormatDescription =
    format_description!("[month repr:short] [day padding:none] [year] [hour]:[minute] UTC");
const STAMP: StaticFormatDescription = format_description!("[year][month][day]T[hour][minute][second]Z");
const GOTOSOCIAL_LOG: StaticFormatDescription =
    format_description!("[day]/[month]/[year] [hour]:[minute]:[second].000");
const GO_LOG: StaticFormatDescription = format_description!("[year]/[month]/[day] [hour]:[minute]:[second]");

/// `Jan 1 2026 00:00 UTC`, for messages.
pub fn date(seconds: u64) -> String {
    written(seconds, DATE)
}

/// `20260101T000000Z`, for names (ISO 8601, basic format). Sorts by time.
pub fn stamp(seconds: u64) -> String {
    written(seconds, STAMP)
}

/// The time that [`stamp`] wrote.
pub fn of_stamp(text: &str) -> Option<u64> {
    u64::try_from(PrimitiveDateTime::parse(text, STAMP).ok()?.assume_utc().unix_timestamp()).ok()
}

/// `22/11/2026 18:30:16.000`, as in GoToSocial's log lines.
pub fn gotosocial_log(seconds: u64) -> String {
    written(seconds, GOTOSOCIAL_LOG)
}

/// The time of such a line, of any time zone, in seconds.
pub fn of_gotosocial_log(text: &str) -> Option<i64> {
    const LENGTH: usize = "22/11/2026 18:30:16".len();
    let whole = format!("{}.000", text.get(..LENGTH)?);
    Some(PrimitiveDateTime::parse(&whole, GOTOSOCIAL_LOG).ok()?.assume_utc().unix_timestamp())
}

/// `2026/11/22 20:05:40`, as Go's standard logger writes it.
pub fn go_log(seconds: u64) -> String {
    written(seconds, GO_LOG)
}

/// A clock beyond the year 9999 is broken, and stays there.
fn written(seconds: u64, format: StaticFormatDescription) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.unwrap_or(PrimitiveDateTime::MAX.assume_utc()).format(format).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_instants() {
        // By `date -u -r SECONDS +%Y%m%dT%H%M%SZ`.
        for (seconds, text) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (1_767_225_600, "20260101T000000Z"),
            (1_798_761_599, "20261231T235959Z"),
            (4_107_542_400, "21000301T000000Z"),
        ] {
            assert_eq!((stamp(seconds).as_str(), of_stamp(text)), (text, Some(seconds)));
        }
        assert_eq!(stamp(u64::MAX), "99991231T235959Z");
        assert_eq!(date(1_767_225_660), "Jan 1 2026 00:01 UTC");
        assert_eq!(gotosocial_log(1_767_225_600), "01/01/2026 00:00:00.000");
        assert_eq!(of_gotosocial_log("01/01/2026 00:00:00.987"), Some(1_767_225_600));
        assert_eq!((of_gotosocial_log("yesterday"), of_gotosocial_log("")), (None, None));
        assert_eq!(go_log(1_709_210_096), "2024/02/29 12:34:56");
    }

    #[test]
    fn what_is_no_stamp_is_no_time() {
        for text in [
            "",
            "20260101",
            "20241329T123456Z",
            "2024022912345678",
            "+0240229T123456Z",
            "19691231T235959Z",
            "äöü0229T123456Z",
        ] {
            assert_eq!(of_stamp(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn stamps_are_read_back_and_sort_as_times_do(a in 0..250_000_000_000_u64, b in 0..250_000_000_000_u64) {
            prop_assert_eq!(of_stamp(&stamp(a)), Some(a));
            prop_assert_eq!(a.cmp(&b), stamp(a).cmp(&stamp(b)));
        }
    }
}
