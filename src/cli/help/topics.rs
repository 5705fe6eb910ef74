//! The topics: pages of `docs/`, embedded.

/// A page.
#[derive(Debug)]
pub(super) struct Topic {
    /// The name of its file, without `.md`.
    pub name: &'static str,
    /// The page, in Markdown.
    pub text: &'static str,
}

impl Topic {
    /// Its heading.
    pub fn title(&self) -> &'static str {
        self.text.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or(self.name)
    }
}

macro_rules! topics {
    ($($name:literal),* $(,)?) => {
        /// All of them, in the order of `docs/README.md`: what one needs first, then single matters in depth.
        pub(super) const TOPICS: &[Topic] =
            &[$(Topic { name: $name, text: include_str!(concat!("../../../docs/", $name, ".md")) }),*];
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
    "uninstall",
    "jails",
    "air-gapped",
    "ansible",
    "rehearsal",
    "fronts",
    "rc.d",
    "portacl-rc",
];

/// The topic of a name.
pub(super) fn named(name: &str) -> Option<&'static Topic> {
    TOPICS.iter().find(|topic| topic.name == name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    const INDEX: &str = include_str!("../../../docs/README.md");

    #[test]
    fn they_are_the_pages_of_the_index_in_its_order_with_their_own_headings() {
        let index = INDEX.split("\n## For those who change the program").next().unwrap();
        let listed: Vec<&str> = index
            .lines()
            .filter_map(|line| line.strip_prefix("- [")?.split_once("](")?.1.split_once(".md)"))
            .map(|(name, _)| name)
            .collect();
        let names: Vec<&str> = TOPICS.iter().map(|topic| topic.name).collect();
        assert_eq!(names, listed);
        for topic in TOPICS {
            assert!(topic.text.starts_with(&format!("# {}\n", topic.title())), "{}", topic.name);
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
