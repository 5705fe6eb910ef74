//! How large a request may be, from the limits that `GoToSocial` itself has.

use crate::deployment::{ConfigValue, Passthrough};

/// The settings that limit what people may upload, with `GoToSocial`'s defaults in bytes (docs/configuration/media.md:
/// 40 MiB and 50 KiB).
const UPLOADS: [(&str, u64); 2] =
    [("media-local-max-size", 40 * 1024 * 1024), ("media-emoji-local-max-size", 50 * 1024)];

/// What a form has besides the file, in bytes: boundaries, names, and a description of at most a few thousand letters.
const FORM: u64 = 1024 * 1024;

/// The largest request body that is passed on, in bytes: the largest upload, and room for the form around it, since
/// the limits of `GoToSocial` are those of the file alone.
pub(super) fn body_limit(config: &Passthrough) -> u64 {
    let largest = UPLOADS.into_iter().map(|(key, default)| config.get(key).and_then(bytes).unwrap_or(default)).max();
    largest.unwrap_or_default().saturating_add(FORM)
}

/// A size in bytes, as go-bytesize reads it (`ParseSize()` in `bytesize.go`): `k`, `M`, … are powers of 1000, `ki`,
/// `Mi`, … of 1024, and a `B` behind them says nothing. `None` for what is no size.
fn bytes(value: &ConfigValue) -> Option<u64> {
    let text = match value {
        ConfigValue::Integer(bytes) => return u64::try_from(*bytes).ok(),
        ConfigValue::Text(text) => text.as_str(),
        _ => return None,
    };
    let text = text.strip_suffix('B').unwrap_or(text);
    let (text, base) = text.strip_suffix('i').map_or((text, 1000_f64), |text| (text, 1024_f64));
    let unit = text.chars().next_back()?;
    let power = match unit.to_ascii_lowercase() {
        'k' => 1,
        'm' => 2,
        'g' => 3,
        't' => 4,
        'p' => 5,
        'e' => 6,
        _ => 0,
    };
    let number: f64 = if power == 0 { text } else { text.strip_suffix(unit)? }.parse().ok()?;
    let size = number * base.powi(power);
    // Within what u64 holds the conversion only cuts the fraction off, as Go's does.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    (0.0..1.8e19).contains(&size).then_some(size as u64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::deployment::{Answers, Secrets};

    fn limit(config: &str) -> u64 {
        let answers = format!("host = \"a.example\"\nexposure.mode = \"nginx\"\n[config]\n{config}");
        let deployment = Answers::parse(&answers, "t").unwrap().deployment(&Secrets::default()).unwrap();
        body_limit(&deployment.config) - FORM
    }

    #[test]
    fn the_largest_upload_decides() {
        assert_eq!(limit(""), 41_943_040);
        assert_eq!(limit("media-local-max-size = \"100MiB\""), 104_857_600);
        assert_eq!(limit("media-local-max-size = 1000\nmedia-emoji-local-max-size = 2000"), 2000);
        assert_eq!(limit("media-local-max-size = \"1k\""), 50 * 1024);
    }

    #[test]
    fn sizes_are_read_as_the_server_reads_them() {
        for (text, expected) in [
            ("60000000", Some(60_000_000)),
            ("60000000B", Some(60_000_000)),
            ("1.5GiB", Some(1_610_612_736)),
            ("2M", Some(2_000_000)),
            ("2MB", Some(2_000_000)),
            ("2Ki", Some(2048)),
            ("", None),
            ("much", None),
            ("99E", None),
        ] {
            assert_eq!(bytes(&ConfigValue::Text(text.to_owned())), expected, "{text}");
        }
        assert_eq!(bytes(&ConfigValue::Integer(-1)), None);
        assert_eq!(bytes(&ConfigValue::Boolean(true)), None);
    }
}
