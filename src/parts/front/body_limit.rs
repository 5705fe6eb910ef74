//! How large a request may be, from the limits that `GoToSocial` itself has.

use crate::deployment::{ConfigValue, Passthrough};
use crate::gotosocial::Series;
use crate::gotosocial::config_keys::config_key;
use crate::gotosocial::value::size;

/// The settings that limit what people may upload.
const UPLOADS: [&str; 2] = ["media-local-max-size", "media-emoji-local-max-size"];

/// What a form has besides the file, in bytes: boundaries, names, and a description of at most a few thousand letters.
const FORM: u64 = 1024 * 1024;

/// The largest request body that is passed on, in bytes: the largest upload, and room for the form around it, since
/// the limits of `GoToSocial` are those of the file alone.
pub(super) fn body_limit(config: &Passthrough) -> u64 {
    // The defaults are the same in all series.
    let default = |key| config_key(key)?.default(Series::V0_20)?.as_u64();
    let limit = |key| config.get(key).and_then(bytes).or_else(|| default(key));
    UPLOADS.into_iter().filter_map(limit).max().unwrap_or_default().saturating_add(FORM)
}

/// A size in bytes; `None` for what is no size.
fn bytes(value: &ConfigValue) -> Option<u64> {
    match value {
        ConfigValue::Integer(bytes) => u64::try_from(*bytes).ok(),
        ConfigValue::Text(text) => size(text),
        _ => None,
    }
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
