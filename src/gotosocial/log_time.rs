//! The two forms in which GoToSocial writes the time, in UTC.

/// Year, month, day, hour, minute and second of an instant. The days are counted as in Howard Hinnant's
/// "chrono-Compatible Low-Level Date Algorithms": years begin in March, eras have 400 years.
fn parts(seconds: u64) -> (u64, u64, u64, u64, u64, u64) {
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60)
}

/// `22/11/2026 18:30:16.000`, as in GoToSocial's log lines.
#[must_use]
pub fn gotosocial(seconds: u64) -> String {
    let (year, month, day, hour, minute, second) = parts(seconds);
    format!("{day:02}/{month:02}/{year} {hour:02}:{minute:02}:{second:02}.000")
}

/// `2026/11/22 20:05:40`, as Go's standard logger writes it.
#[must_use]
pub fn standard(seconds: u64) -> String {
    let (year, month, day, hour, minute, second) = parts(seconds);
    format!("{year}/{month:02}/{day:02} {hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants() {
        assert_eq!(standard(0), "1970/01/01 00:00:00");
        assert_eq!(gotosocial(1_767_225_600), "01/01/2026 00:00:00.000");
        assert_eq!(standard(1_709_210_096), "2024/02/29 12:34:56");
        assert_eq!(standard(1_795_377_940), "2026/11/22 20:05:40");
    }
}
