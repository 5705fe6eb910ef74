//! `checksums.txt`: the digests that upstream publishes with a release.

use std::collections::BTreeMap;

use super::{Error, Sha256Digest};

/// The digest that the text of a `checksums.txt` gives for an archive. It has one line `<sha256>  <name>` for each file
/// of the release, as sha256sum(1) writes it. A `*` before the name (sha256sum's mark for binary mode) is taken as well.
/// `place` says in error messages where the text came from.
///
/// # Errors
///
/// [`Error::MalformedChecksums`] for a line of another form (an error page, say), [`Error::ConflictingChecksums`] if one
/// name has two different digests, and [`Error::MissingChecksum`] if the archive is not listed.
pub(super) fn digest_of(asset: &str, text: &str, place: &str) -> Result<Sha256Digest, Error> {
    let mut digests: BTreeMap<&str, Sha256Digest> = BTreeMap::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let malformed = |reason: &str| Error::MalformedChecksums {
            place: place.to_owned(),
            line: index + 1,
            reason: reason.to_owned(),
        };
        let (digest, rest) =
            line.split_once(' ').ok_or_else(|| malformed("it has no space between digest and name"))?;
        let digest = digest.parse().map_err(|_| malformed("it does not begin with 64 hexadecimal digits"))?;
        let name =
            rest.strip_prefix([' ', '*']).ok_or_else(|| malformed("it has not two spaces between digest and name"))?;
        if name.is_empty() || name.contains(['/', ' ']) || name.contains(char::is_control) {
            return Err(malformed("what follows the digest is not a file name"));
        }
        if digests.insert(name, digest).is_some_and(|earlier| earlier != digest) {
            return Err(Error::ConflictingChecksums(place.to_owned(), name.to_owned()));
        }
    }
    digests.remove(asset).ok_or_else(|| Error::MissingChecksum(place.to_owned(), asset.to_owned()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn find(asset: &str, text: &str) -> Result<Sha256Digest, Error> {
        digest_of(asset, text, "checksums.txt")
    }

    fn line(content: &[u8], name: &str) -> String {
        format!("{}  {name}\n", Sha256Digest::of(content))
    }

    #[test]
    fn each_line_gives_a_digest() {
        let text = line(b"a", "a.tar.gz") + &line(b"b", "b.tar.gz").replace("  ", " *");
        assert_eq!(find("a.tar.gz", &text).unwrap(), Sha256Digest::of(b"a"));
        assert_eq!(find("b.tar.gz", &text).unwrap(), Sha256Digest::of(b"b"));
    }

    #[test]
    fn a_file_that_is_not_listed_is_an_error() {
        let error = find("b.tar.gz", &line(b"a", "a.tar.gz")).unwrap_err();
        assert!(matches!(error, Error::MissingChecksum(..)));
        assert!(error.to_string().contains("b.tar.gz"));
    }

    #[test]
    fn malformed_lines_are_refused_with_their_number() {
        let good = line(b"a", "a.tar.gz");
        for bad in [
            "<!DOCTYPE html>",
            "deadbeef  short.tar.gz",
            &line(b"a", "a.tar.gz").replace("  ", " "),
            &line(b"a", ""),
            &line(b"a", "../a.tar.gz"),
            &line(b"a", "a b"),
            &line(b"a", "a\u{7}b"),
            &Sha256Digest::of(b"a").to_string(),
        ] {
            let error = find("a.tar.gz", &format!("{good}{bad}")).unwrap_err();
            assert!(matches!(error, Error::MalformedChecksums { line: 2, .. }), "{bad:?}: {error}");
        }
    }

    #[test]
    fn a_name_with_two_digests_is_refused_but_a_repeated_line_is_not() {
        let once = line(b"a", "a.tar.gz");
        assert!(find("a.tar.gz", &format!("{once}{once}")).is_ok());
        let other = line(b"b", "a.tar.gz");
        assert!(matches!(find("a.tar.gz", &format!("{once}{other}")), Err(Error::ConflictingChecksums(..))));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,200}") {
            let _ = find("a.tar.gz", &text);
        }

        #[test]
        fn what_is_listed_is_found(names in proptest::collection::btree_set("[a-z0-9_.-]{1,20}", 1..10)) {
            let text: String = names.iter().map(|name| line(name.as_bytes(), name)).collect();
            for name in &names {
                prop_assert_eq!(find(name, &text).unwrap(), Sha256Digest::of(name.as_bytes()));
            }
        }
    }
}
