//! A page of `docs/` on a terminal: the part of Markdown that these pages use, wrapped, without its marks.

use super::topics;
use crate::cli::screen::{Screen, Tone};
use crate::cli::text::Text;

/// What a block of lines is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Heading,
    Item,
    Text,
    /// Lines that stay as they are.
    Code,
    Table,
}

/// The page, in lines of at most `width` columns as far as its words allow it.
pub(super) fn render(page: &str, width: usize, screen: &Screen) -> Text<'static> {
    let mut out = Text::default();
    let mut before = Kind::Heading;
    for (kind, lines) in blocks(page) {
        if !out.as_str().is_empty() && (kind, before) != (Kind::Item, Kind::Item) {
            out += "\n";
        }
        before = kind;
        let text = lines.join(" ");
        match kind {
            Kind::Heading => {
                let (marks, text) = text.split_once(' ').unwrap_or_default();
                let text = inline(&text.replace('`', ""), screen, Tone::HEADING);
                out += &text;
                out += "\n";
                if let Some(line) = ["=", "-"].get(marks.len() - 1) {
                    out += line.repeat(text.width()) + "\n";
                }
            }
            Kind::Item | Kind::Text => {
                let (mark, text) = text.split_at(mark(&text));
                out += mark;
                out += inline(text, screen, Tone::PLAIN).broken(width, mark.len(), mark.len()) + "\n";
            }
            Kind::Code => {
                for line in lines {
                    out += format!("{}\n", format!("    {line}").trim_end());
                }
            }
            Kind::Table => out += &table(&lines, width, screen),
        }
    }
    out
}

/// The lines of a page, without comments and the marks of code, in blocks.
fn blocks(page: &str) -> Vec<(Kind, Vec<&str>)> {
    let mut blocks: Vec<(Kind, Vec<&str>)> = Vec::new();
    let mut lines = page.lines();
    // Whether the last block may go on.
    let mut open = false;
    while let Some(line) = lines.next() {
        if line.starts_with("<!--") {
            continue;
        }
        if line.starts_with("```") {
            blocks.push((Kind::Code, lines.by_ref().take_while(|line| !line.starts_with("```")).collect()));
        }
        if line.is_empty() || line.starts_with("```") {
            open = false;
            continue;
        }
        let (kind, line) = match line.strip_prefix("    ") {
            Some(code) if !open || matches!(blocks.last(), Some((Kind::Code, _))) => (Kind::Code, code),
            _ if ["# ", "## ", "### "].iter().any(|marks| line.starts_with(marks)) => (Kind::Heading, line),
            _ if line.starts_with('|') => (Kind::Table, line),
            _ if mark(line) > 0 => (Kind::Item, line),
            _ => (Kind::Text, line.trim_start()),
        };
        match (kind, blocks.last_mut()) {
            (Kind::Text, Some((Kind::Text | Kind::Item, lines))) if open => lines.push(line),
            (Kind::Code | Kind::Table, Some((last, lines))) if open && *last == kind => lines.push(line),
            _ => blocks.push((kind, vec![line])),
        }
        open = true;
    }
    blocks
}

/// The length of the mark of an item of a list, `- ` or `1. `; 0 for other lines.
fn mark(line: &str) -> usize {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let mark = if digits == 0 { "- " } else { ". " };
    if line[digits..].starts_with(mark) { digits + mark.len() } else { 0 }
}

/// A table: in columns if they fit, otherwise each row as a term with its explanation below.
fn table(lines: &[&str], width: usize, screen: &Screen) -> Text<'static> {
    let rows = lines.iter().filter(|line| !line.starts_with("|-"));
    let cell = |cell: &str| inline(cell.trim(), screen, Tone::PLAIN);
    let rows: Vec<Vec<Text<'_>>> = rows.map(|row| row.trim_matches('|').split('|').map(cell).collect()).collect();
    let Some((head, body)) = rows.split_first() else { return Text::default() };
    let wide = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(Text::width).max();
    let widths: Vec<usize> = (0..head.len()).filter_map(wide).collect();
    let mut out = Text::default();
    if widths.iter().map(|width| width + 2).sum::<usize>() <= width + 2 {
        let has_head = head.iter().any(|cell| !cell.as_str().is_empty());
        for (number, row) in rows.iter().enumerate().skip(usize::from(!has_head)) {
            let mut line = Text::default();
            for (cell, width) in row.iter().zip(&widths) {
                line += cell;
                line += " ".repeat(width + 2 - cell.width());
            }
            let tone = if number == 0 { Tone::DIM } else { Tone::PLAIN };
            out += screen.paint(tone, line.trim_end()) + "\n";
        }
        return out;
    }
    for row in body {
        for (column, cell) in row.iter().enumerate().filter(|(_, cell)| !cell.as_str().is_empty()) {
            let label = match head.get(column) {
                Some(label) if column > 0 && head.len() > 2 && !label.as_str().is_empty() => label.clone() + ": ",
                _ => Text::default(),
            };
            let indent = if column == 0 { 0 } else { 4 };
            out += " ".repeat(indent);
            out += (label + cell).broken(width, indent, indent) + "\n";
        }
    }
    out
}

/// Text without the marks of links and stress. Code is bold; without colours it keeps its marks.
fn inline(text: &str, screen: &Screen, tone: Tone) -> Text<'static> {
    let Some(at) = text.find(['`', '[', '*']) else { return paint(text, screen, tone) };
    let (before, rest) = text.split_at(at);
    let (shown, after) = if let Some((code, after)) = enclosed(rest, "`") {
        let painted = paint(code, screen, Tone::HEADING);
        (if painted == code { "`" + painted + "`" } else { painted }, after)
    } else if let Some((label, target, after)) = link(rest) {
        (inline(label, screen, tone) + leads_to(label, target), after)
    } else if let Some((strong, after)) = enclosed(rest, "**") {
        (inline(strong, screen, Tone::HEADING), after)
    } else if let Some((stressed, after)) = enclosed(rest, "*") {
        (inline(stressed, screen, tone), after)
    } else {
        (Text::default() + &rest[..1], &rest[1..])
    };
    paint(before, screen, tone) + shown + inline(after, screen, tone)
}

/// What is between two marks at the beginning of a text, and what follows.
fn enclosed<'a>(text: &'a str, mark: &str) -> Option<(&'a str, &'a str)> {
    let (inner, after) = text.strip_prefix(mark)?.split_once(mark)?;
    (!inner.is_empty() && inner.trim_matches(' ') == inner).then_some((inner, after))
}

fn link(text: &str) -> Option<(&str, &str, &str)> {
    let (label, after) = text.strip_prefix('[')?.split_once("](")?;
    let (target, after) = after.split_once(')')?;
    (!label.contains(']')).then_some((label, target, after))
}

/// Where a link leads, if a reader can follow it: to a topic, or into the internet.
fn leads_to(label: &str, target: &str) -> String {
    let file = target.split('#').next().unwrap_or_default();
    match file.strip_suffix(".md").and_then(topics::named) {
        // The name of a page is explanation enough.
        Some(_) if label.ends_with(".md") => String::new(),
        Some(_) => format!(" (help {file})"),
        None if target.starts_with("http") && target != label => format!(" <{target}>"),
        None => String::new(),
    }
}

/// Each word on its own, so that a line may end between two.
fn paint(text: &str, screen: &Screen, tone: Tone) -> Text<'static> {
    let mut painted = Text::default();
    for (number, word) in text.split(' ').enumerate() {
        painted += if number == 0 { "" } else { " " };
        if !word.is_empty() {
            painted += screen.paint(tone, word);
        }
    }
    painted
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use clap::Parser;
    use dialoguer::console::measure_text_width;
    use proptest::prelude::*;

    use super::*;
    use crate::cli::Cli;
    use crate::cli::surroundings::tests::nowhere;
    use std::sync::Arc;

    fn screen(color: &str) -> Screen {
        Screen::new(Cli::parse_from(["gts-bootstrap", "--color", color, "help"]).global, Arc::new(nowhere()))
    }

    fn plain(page: &str, width: usize) -> String {
        render(page, width, &screen("never")).as_str().to_owned()
    }

    #[test]
    fn a_page_of_everything() {
        let page = "# A `page`\n\nOne `line of code`, **strong**, *stressed*,\nand [answers](answers.md#x), [answers.md](answers.md), \
                    [out](https://a.example).\n<!-- not shown -->\n\n## Below\n\n- first\n  goes on\n- second\n\nOr:\n\n    as it  is\n\n\
                    1. one\n2. two\n\n```sh\necho  a   # b\n```\n\n| name | what |\n|---|---|\n| `a` | b c |\n";
        let expected = "A page\n======\n\nOne `line of code`, strong, stressed, and\nanswers (help answers.md), answers.md, out\n\
                        <https://a.example>.\n\nBelow\n-----\n\n- first goes on\n- second\n\nOr:\n\n    as it  is\n\n\
                        1. one\n2. two\n\n    echo  a   # b\n\nname  what\n`a`   b c\n";
        assert_eq!(plain(page, 44), expected);
    }

    #[test]
    fn a_table_that_is_too_wide_becomes_a_list() {
        let page = "| key | default | meaning |\n|---|---|---|\n| `host` | | the name of the server |\n| `port` | 8080 | where it listens |\n";
        assert_eq!(
            plain(page, 30),
            "`host`\n    meaning: the name of the\n    server\n`port`\n    default: 8080\n    meaning: where it listens\n"
        );
    }

    #[test]
    fn in_colour_code_is_bold_and_has_no_marks() {
        let shown = render("Run `a b` now.\n", 60, &screen("always"));
        assert_eq!(shown.as_str(), "Run \x1b[1ma\x1b[0m \x1b[1mb\x1b[0m now.\n");
    }

    #[test]
    fn the_topics_lose_nothing_but_marks() {
        for (name, page) in topics::TOPICS {
            let shown = plain(page, 79);
            for (number, (_, lines)) in blocks(page).iter().enumerate().filter(|(_, (kind, _))| *kind == Kind::Code) {
                for line in lines.iter().filter(|line| !line.is_empty()) {
                    assert!(shown.contains(line.trim_end()), "{name}, block {number}: {line}");
                }
            }
            for line in shown.lines().filter(|line| !line.starts_with("    ")) {
                let longest = line.split(' ').map(str::len).max().unwrap_or_default();
                assert!(measure_text_width(line) <= 79 || longest > 60, "{name}: {line}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_stumble(page in "([a-z|`*<>#\\[\\]() \\n\\\\.1-]|->|!\\[|```\\n|é){0,80}", width in 1usize..60) {
            let _ = plain(&page, width);
        }

        #[test]
        fn words_stay_in_order(page in "([a-z]{1,9}[ \\n]){1,40}", width in 5usize..60) {
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            prop_assert_eq!(words(&plain(&page, width)), words(&page));
        }
    }
}
