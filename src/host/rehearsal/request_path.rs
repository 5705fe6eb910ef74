//! The path of a request as web servers see it before they look for a location.

/// Decodes, merges slashes and resolves dots, as nginx does (`merge_slashes on`) and Apache (`MergeSlashes On`); `None` for
/// a path that climbs above the root, or is no path at all. Apache leaves an encoded slash alone where it takes one.
pub(super) fn normalised(path: &str, keep_encoded_slash: bool) -> Option<String> {
    let decoded = decoded(path, keep_encoded_slash)?;
    let rest = decoded.strip_prefix('/')?;
    let mut parts: Vec<&str> = Vec::new();
    for part in rest.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            other => parts.push(other),
        }
    }
    let is_folder = rest.ends_with(['/']) || matches!(rest.rsplit('/').next(), Some("." | ".."));
    let end = if is_folder && !parts.is_empty() { "/" } else { "" };
    Some(format!("/{}{end}", parts.join("/")))
}

fn decoded(path: &str, keep_encoded_slash: bool) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        let value = u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok().filter(|value| *value != 0)?;
        if value == b'/' && keep_encoded_slash {
            bytes.extend([b'%', digits[0], digits[1]]);
        } else {
            bytes.push(value);
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_what_they_mean() {
        for (path, means) in [
            ("/", Some("/")),
            ("//readyz", Some("/readyz")),
            ("/a/../b", Some("/b")),
            ("/a/./b/", Some("/a/b/")),
            ("/a/b/..", Some("/a/")),
            ("/%72eadyz", Some("/readyz")),
            ("/a%2Fb", Some("/a/b")),
            ("/..", None),
            ("/a/../../b", None),
            ("/%2e%2e/b", None),
            ("/%0", None),
            ("/%00", None),
            ("/%zz", None),
            ("x", None),
        ] {
            assert_eq!(normalised(path, false).as_deref(), means, "{path}");
        }
        assert_eq!(normalised("/a%2Fb", true).as_deref(), Some("/a%2Fb"));
    }
}
