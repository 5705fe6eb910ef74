//! Which paths an archive may hold.

use serde::{Deserialize, Serialize};

/// The longest path of an entry, in bytes. FreeBSD's `PATH_MAX` is 1024 (`sys/syslimits.h`); this leaves half for
/// the folder that the archive is unpacked into. Upstream's longest has under 100.
const MAX_PATH_BYTES: usize = 512;

/// The longest single name, in bytes: FreeBSD's `NAME_MAX` (`sys/syslimits.h`).
const MAX_NAME_BYTES: usize = 255;

/// Why a path in an archive is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum PathRefusal {
    /// It begins with a slash.
    #[error("it begins at the root of the file system")]
    Absolute,
    /// It has a `..`.
    #[error("it leads out of its folder with \"..\"")]
    Parent,
    /// It is not UTF-8.
    #[error("its name is not UTF-8 text")]
    NotUtf8,
    /// It has a control character.
    #[error("its name holds a control character")]
    ControlCharacter,
    /// It is longer than 512 bytes, or a name in it longer than 255.
    #[error("its name is too long")]
    TooLong,
    /// It is empty, or a name in it is.
    #[error("its name, or a part of it, is empty")]
    Empty,
    /// It is the name of this program's own file.
    #[error("its name is reserved for the manifest")]
    Reserved,
}

/// Checks the path of an entry and brings it into its one form: names joined by single slashes, with neither a
/// leading `./` nor, for a folder, a trailing slash.
pub(crate) fn clean(bytes: &[u8], is_folder: bool) -> Result<String, PathRefusal> {
    if bytes.len() > MAX_PATH_BYTES {
        return Err(PathRefusal::TooLong);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| PathRefusal::NotUtf8)?;
    if text.contains(char::is_control) {
        return Err(PathRefusal::ControlCharacter);
    }
    if text.starts_with('/') {
        return Err(PathRefusal::Absolute);
    }
    let text = text.strip_prefix("./").unwrap_or(text);
    let text = if is_folder { text.strip_suffix('/').unwrap_or(text) } else { text };
    for name in text.split('/') {
        match name {
            ".." => return Err(PathRefusal::Parent),
            "" | "." => return Err(PathRefusal::Empty),
            _ if name.len() > MAX_NAME_BYTES => return Err(PathRefusal::TooLong),
            _ => {}
        }
    }
    if text == super::manifest::FILE_NAME {
        return Err(PathRefusal::Reserved);
    }
    Ok(text.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::{Component, Path};

    #[test]
    fn plain_paths_pass_unchanged() {
        for path in ["gotosocial", "web/template/index.tmpl", ".hidden", "a..b/...", "Grüße/ä"] {
            assert_eq!(clean(path.as_bytes(), false).unwrap(), path);
        }
        assert_eq!(clean(b"./gotosocial", false).unwrap(), "gotosocial");
        assert_eq!(clean(b"web/assets/", true).unwrap(), "web/assets");
    }

    #[test]
    fn each_odd_path_is_refused_for_its_reason() {
        let long_name = "n".repeat(256);
        let long_path = vec!["n".repeat(100); 6].join("/");
        for (path, refusal) in [
            (&b"/etc/passwd"[..], PathRefusal::Absolute),
            (b"//etc", PathRefusal::Absolute),
            (b"../a", PathRefusal::Parent),
            (b"a/../../b", PathRefusal::Parent),
            (b"a/..", PathRefusal::Parent),
            (b"a\xff", PathRefusal::NotUtf8),
            (b"a\nb", PathRefusal::ControlCharacter),
            (b"a\0b", PathRefusal::ControlCharacter),
            ("a\u{9b}b".as_bytes(), PathRefusal::ControlCharacter),
            (long_name.as_bytes(), PathRefusal::TooLong),
            (long_path.as_bytes(), PathRefusal::TooLong),
            (b"", PathRefusal::Empty),
            (b".", PathRefusal::Empty),
            (b"a//b", PathRefusal::Empty),
            (b"a/./b", PathRefusal::Empty),
            (b"a/", PathRefusal::Empty),
            (b".manifest", PathRefusal::Reserved),
            (b"./.manifest", PathRefusal::Reserved),
        ] {
            assert_eq!(clean(path, false), Err(refusal), "{}", path.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn what_passes_stays_inside(path in "[a./]{0,30}", is_folder: bool) {
            if let Ok(clean) = clean(path.as_bytes(), is_folder) {
                prop_assert!(!clean.is_empty());
                prop_assert!(Path::new(&clean).components().all(|part| matches!(part, Component::Normal(_))));
            }
        }
    }
}
