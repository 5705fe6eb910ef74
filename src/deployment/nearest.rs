//! Which of some known words a mistyped word was probably meant to be.

use strsim::osa_distance;

/// The known word that is nearest to `word`, if one is near enough to be worth naming: at most a third of the
/// longer word's letters differ, two that are swapped counting as one. Of equally near words the first one is taken.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (osa_distance(word, candidate), candidate))
        .filter(|(distance, candidate)| distance * 3 <= word.chars().count().max(candidate.chars().count()))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn names_only_what_is_near() {
        let known = ["host", "account-domain", "tls"];
        assert_eq!(nearest("hots", known), Some("host"));
        assert_eq!(nearest("account_domain", known), Some("account-domain"));
        assert_eq!(nearest("tsl", known), Some("tls"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("", known), None);
        assert_eq!(nearest("ab", ["ax", "a"]), None);
    }
}
