//! `checksums.txt`: the digests that upstream publishes with a release.

use std::collections::BTreeMap;

use super::{Error, Sha256Digest};

/// What a `checksums.txt` says: one line `<sha256>  <name>` for each file of the release, as sha256sum(1) writes
/// it. A `*` before the name (sha256sum's mark for binary mode) is taken as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksums {
    place: String,
    digests: BTreeMap<String, Sha256Digest>,
}

impl Checksums {
    /// Reads the text of a `checksums.txt`; `place` says in error messages where it came from.
    ///
    /// # Errors
    ///
    /// [`Error::MalformedChecksums`] for a line of another form (an error page, say), and
    /// [`Error::ConflictingChecksums`] if one name has two different digests.
    pub fn parse(text: &str, place: &str) -> Result<Self, Error> {
        let mut digests = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let malformed = |reason| Error::MalformedChecksums { place: place.to_owned(), line: index + 1, reason };
            let (digest, rest) =
                line.split_once(' ').ok_or_else(|| malformed("it has no space between digest and name"))?;
            let digest = digest.parse().map_err(|_| malformed("it does not begin with 64 hexadecimal digits"))?;
            let name = rest
                .strip_prefix([' ', '*'])
                .ok_or_else(|| malformed("it has not two spaces between digest and name"))?;
            if name.is_empty() || name.contains(['/', ' ']) || name.contains(char::is_control) {
                return Err(malformed("what follows the digest is not a file name"));
            }
            if let Some(earlier) = digests.insert(name.to_owned(), digest)
                && earlier != digest
            {
                return Err(Error::ConflictingChecksums { place: place.to_owned(), asset: name.to_owned() });
            }
        }
        Ok(Self { place: place.to_owned(), digests })
    }

    /// The digest of one file.
    ///
    /// # Errors
    ///
    /// [`Error::MissingChecksum`] if the file is not listed.
    pub fn digest_of(&self, asset: &str) -> Result<Sha256Digest, Error> {
        self.digests
            .get(asset)
            .copied()
            .ok_or_else(|| Error::MissingChecksum { place: self.place.clone(), asset: asset.to_owned() })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLACE: &str = "checksums.txt";

    fn line(content: &[u8], name: &str) -> String {
        format!("{}  {name}\n", Sha256Digest::of(content))
    }

    #[test]
    fn each_line_gives_a_digest() {
        let text = line(b"a", "a.tar.gz") + &line(b"b", "b.tar.gz").replace("  ", " *");
        let checksums = Checksums::parse(&text, PLACE).unwrap();
        assert_eq!(checksums.digest_of("a.tar.gz").unwrap(), Sha256Digest::of(b"a"));
        assert_eq!(checksums.digest_of("b.tar.gz").unwrap(), Sha256Digest::of(b"b"));
    }

    #[test]
    fn a_file_that_is_not_listed_is_an_error() {
        let checksums = Checksums::parse(&line(b"a", "a.tar.gz"), PLACE).unwrap();
        let error = checksums.digest_of("b.tar.gz").unwrap_err();
        assert!(matches!(error, Error::MissingChecksum { .. }));
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
            let error = Checksums::parse(&format!("{good}{bad}"), PLACE).unwrap_err();
            assert!(matches!(error, Error::MalformedChecksums { line: 2, .. }), "{bad:?}: {error}");
        }
    }

    #[test]
    fn a_name_with_two_digests_is_refused_but_a_repeated_line_is_not() {
        let once = line(b"a", "a.tar.gz");
        assert!(Checksums::parse(&format!("{once}{once}"), PLACE).is_ok());
        let other = line(b"b", "a.tar.gz");
        assert!(matches!(Checksums::parse(&format!("{once}{other}"), PLACE), Err(Error::ConflictingChecksums { .. })));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,200}") {
            let _ = Checksums::parse(&text, PLACE);
        }

        #[test]
        fn what_is_listed_is_found(names in proptest::collection::btree_set("[a-z0-9_.-]{1,20}", 1..10)) {
            let text: String = names.iter().map(|name| line(name.as_bytes(), name)).collect();
            let checksums = Checksums::parse(&text, PLACE).unwrap();
            for name in &names {
                prop_assert_eq!(checksums.digest_of(name).unwrap(), Sha256Digest::of(name.as_bytes()));
            }
        }
    }
}
