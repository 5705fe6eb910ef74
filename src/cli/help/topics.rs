//! The topics: pages of `docs/`, embedded.

macro_rules! topics {
    ($($name:literal),* $(,)?) => {
        /// The name of each page's file without `.md`, and the page, in the order of `docs/README.md`: first what a user needs, then
        /// the details.
        pub(super) const TOPICS: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../../docs/", $name, ".md")))),*];
    };
}

topics![
    "tutorial",
    "install",
    "answers",
    "upgrade",
    "proxy",
    "certificates",
    "backup",
    "filters",
    "portacl",
    "monitoring",
    "recovery",
    "troubleshooting",
    "uninstall",
    "jails",
    "air-gapped",
    "ansible",
    "rehearsal",
    "questions",
    "files",
    "json",
    "fronts",
    "rc.d",
    "portacl-rc",
    "package",
];

/// The page of a name.
pub(super) fn named(name: &str) -> Option<&'static str> {
    TOPICS.iter().find_map(|(topic, page)| (*topic == name).then_some(*page))
}

/// The heading of a page.
pub(super) fn title(page: &str) -> &str {
    page.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or_default()
}

/// What the page on error codes has on one of them, however it is written.
pub(super) fn on_code(word: &str) -> Option<&'static str> {
    entries().find_map(|(code, entry)| code.eq_ignore_ascii_case(word).then_some(entry))
}

/// Whether a word is meant as an error code.
pub(super) fn is_code(word: &str) -> bool {
    word.get(..5).is_some_and(|begin| begin.eq_ignore_ascii_case("GTSB-"))
}

/// All error codes.
pub(super) fn codes() -> Vec<String> {
    entries().map(|(code, _)| code.to_owned()).collect()
}

/// The entries of the page on error codes: the code, and all of the entry.
fn entries() -> impl Iterator<Item = (&'static str, &'static str)> {
    const HEADING: &str = "### ";
    let page = named("troubleshooting").unwrap_or_default();
    page.match_indices(HEADING).map(move |(at, _)| {
        let entry = page.get(at..).unwrap_or_default();
        let end = entry.find("\n#").unwrap_or(entry.len());
        let code = entry.lines().next().and_then(|line| line.strip_prefix(HEADING)).unwrap_or_default();
        (code, entry.get(..end).unwrap_or_default())
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::error_code::ErrorCode;

    #[test]
    fn the_page_has_an_entry_for_each_error_code_and_no_other() {
        let listed: Vec<&str> = entries().map(|(code, _)| code).collect();
        let printed: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(listed, printed, "docs/troubleshooting.md and src/error_code.rs, in the same order");
        for (code, entry) in entries() {
            let text = entry.lines().skip(1).collect::<String>();
            assert!(text.trim().len() > 60, "{code} says too little: {entry}");
            assert!(!text.contains("##"), "{code} goes on too far: {entry}");
        }
    }

    #[test]
    fn each_error_code_is_given_to_an_error() {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
        let mut program = String::new();
        let mut folders = vec![std::path::PathBuf::from(source)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("error_code.rs") {
                    let text = std::fs::read_to_string(path).unwrap();
                    program.push_str(text.split("#[cfg(test)]").next().unwrap_or_default());
                }
            }
        }
        for code in ErrorCode::ALL {
            let name = format!("ErrorCode::{code:?}");
            let is_whole = |rest: &str| !rest.starts_with(|next: char| next.is_ascii_alphanumeric());
            assert!(program.split(&name).skip(1).any(is_whole), "no error has the code {code}");
        }
    }

    const INDEX: &str = include_str!("../../../docs/README.md");

    #[test]
    fn they_are_the_pages_of_the_index_in_its_order_with_their_own_headings() {
        let index = INDEX.split("\n## For developers").next().unwrap();
        let listed: Vec<&str> = index
            .lines()
            .filter_map(|line| line.strip_prefix("- [")?.split_once("](")?.1.split_once(".md)"))
            .map(|(name, _)| name)
            .collect();
        let names: Vec<&str> = TOPICS.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, listed);
        for (name, page) in TOPICS {
            assert!(page.starts_with(&format!("# {}\n", title(page))), "{name}");
        }
    }

    #[test]
    fn the_index_has_every_page() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/docs");
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".md") && name != "README.md" {
                assert!(INDEX.contains(&format!("]({name})")), "docs/README.md does not lead to {name}");
            }
        }
    }
}
