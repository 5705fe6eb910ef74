//! What a release's notes say about getting there from an older one.

/// The parts of release notes that speak of migrations or of upgrading, in plain text: each from its heading to the next one
/// that is not below it. Control characters are left out, since the text goes to a terminal and comes from elsewhere.
pub(super) fn about_upgrading(notes: &str) -> String {
    let mut told: Vec<String> = Vec::new();
    let mut within: Option<usize> = None;
    let mut code = false;
    for line in notes.lines() {
        let line: String = line.chars().filter(|letter| *letter == '\t' || !letter.is_control()).collect();
        let line = line.trim_end();
        if line.trim_start().starts_with("```") {
            code = !code;
        }
        if let Some(level) = heading(line).filter(|_| !code) {
            let speaks = ["migrat", "upgrad", "updating"].iter().any(|word| line.to_lowercase().contains(word));
            within = match within {
                Some(outer) if level > outer => Some(outer),
                _ => speaks.then_some(level),
            };
        }
        if within.is_some() {
            told.push(line.to_owned());
        }
    }
    told.join("\n").trim().to_owned()
}

/// The level of a Markdown heading.
fn heading(line: &str) -> Option<usize> {
    let level = line.chars().take_while(|letter| *letter == '#').count();
    ((1..=6).contains(&level) && line[level..].starts_with(' ')).then_some(level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_that_speak_of_upgrading_are_told() {
        let notes = "# v0.20.0\n\nHello!\n\n# Migration notes\n\nTakes long.\n\n## Binary\n\n```\n# not a heading\n```\n- Stop\n\n\
                     # Changelog\n\n- much\n\n## Upgrading from 0.18\n\nRead this.\n";
        assert_eq!(
            about_upgrading(notes),
            "# Migration notes\n\nTakes long.\n\n## Binary\n\n```\n# not a heading\n```\n- Stop\n\n## Upgrading from 0.18\n\nRead this."
        );
        assert_eq!(about_upgrading("# Changelog\n\nWe migrated our forge.\n"), "");
    }

    #[test]
    fn nothing_gets_at_the_terminal() {
        assert_eq!(about_upgrading("# Migration\x1b]0;owned\x07\r\nA\u{9b}31mB"), "# Migration]0;owned\nA31mB");
    }
}
