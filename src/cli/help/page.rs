//! A page of `docs/` on a terminal: the part of Markdown that these pages use, wrapped, without its marks.

use dialoguer::console::measure_text_width;

use super::topics;
use crate::cli::screen::{Screen, Tone};
use crate::cli::wrap::broken;

/// What a piece of a page is.
#[derive(Debug, PartialEq, Eq)]
enum Block {
    Heading {
        level: usize,
        text: String,
    },
    /// Wrapped text, behind a mark of its own in a list.
    Text {
        indent: usize,
        mark: String,
        text: String,
    },
    /// Lines that stay as they are.
    Code(Vec<String>),
    Table(Vec<Vec<String>>),
}

/// The page, in lines of at most `width` columns as far as its words allow it.
pub(super) fn render(page: &str, width: usize, screen: &Screen) -> String {
    let mut out = String::new();
    let mut in_list = false;
    for block in blocks(page) {
        let is_item = matches!(&block, Block::Text { mark, .. } if !mark.is_empty());
        let goes_on = in_list && is_item;
        if !out.is_empty() && !goes_on {
            out.push('\n');
        }
        in_list = is_item;
        match block {
            Block::Heading { level, text } => {
                let text = inline(&text.replace('`', ""), screen, Tone::Heading);
                let line = ["=", "-"].get(level - 1).map(|line| line.repeat(measure_text_width(&text)));
                out += &format!("{text}\n{}", line.map(|line| line + "\n").unwrap_or_default());
            }
            Block::Text { indent, mark, text } => {
                let hanging = indent + mark.chars().count();
                let text = wrap(&inline(&text, screen, Tone::Plain), width, hanging);
                out += &format!("{}{mark}{text}\n", " ".repeat(indent));
            }
            Block::Code(lines) => lines.iter().for_each(|line| {
                let line = format!("    {line}");
                out += &format!("{}\n", line.trim_end());
            }),
            Block::Table(rows) => out += &table(&rows, width, screen),
        }
    }
    out
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = page.lines().peekable();
    // The text that goes on as long as no other block begins.
    let mut open = false;
    while let Some(line) = lines.next() {
        let bare = line.trim_start();
        let indent = line.len() - bare.len();
        if bare.is_empty() {
            open = false;
        } else if bare.starts_with("```") {
            let code = lines.by_ref().take_while(|line| !line.trim_start().starts_with("```"));
            blocks.push(Block::Code(code.map(|line| line.get(indent..).unwrap_or_default().to_owned()).collect()));
            open = false;
        } else if bare.starts_with("<!--") {
            let mut last = line;
            while !last.contains("-->") {
                let Some(next) = lines.next() else { break };
                last = next;
            }
        } else if bare.starts_with("![") || bare.starts_with("<img") {
            // A picture, which a terminal cannot show.
        } else if let Some((marks, text)) = heading(line) {
            blocks.push(Block::Heading { level: marks, text: text.to_owned() });
            open = false;
        } else if bare.starts_with('|') {
            let mut rows = vec![cells(bare)];
            while let Some(row) = lines.next_if(|line| line.trim_start().starts_with('|')) {
                rows.push(cells(row.trim_start()));
            }
            rows.retain(|row| !row.iter().all(|cell| !cell.is_empty() && cell.chars().all(|c| c == '-' || c == ':')));
            blocks.push(Block::Table(rows));
            open = false;
        } else if let Some((mark, text)) = item(bare) {
            blocks.push(Block::Text { indent, mark: mark.to_owned(), text: text.to_owned() });
            open = true;
        } else if !open && indent >= 4 && !matches!(blocks.last(), Some(Block::Text { mark, .. }) if !mark.is_empty()) {
            let mut code = vec![bare.to_owned()];
            while let Some(next) = lines.next_if(|line| line.starts_with("    ")) {
                code.push(next.get(indent..).unwrap_or_default().to_owned());
            }
            blocks.push(Block::Code(code));
        } else if let (true, Some(Block::Text { text, .. })) = (open, blocks.last_mut()) {
            text.push(' ');
            text.push_str(bare);
        } else {
            blocks.push(Block::Text { indent, mark: String::new(), text: bare.to_owned() });
            open = true;
        }
    }
    blocks
}

fn heading(line: &str) -> Option<(usize, &str)> {
    let marks = line.chars().take_while(|character| *character == '#').count();
    let text = line.get(marks..)?.strip_prefix(' ')?;
    (marks > 0).then_some((marks, text))
}

/// The mark of an item of a list, with the blank after it, and the item's text.
fn item(line: &str) -> Option<(&str, &str)> {
    let digits = line.chars().take_while(char::is_ascii_digit).count();
    let end = if digits > 0 { digits + 2 } else { 2 };
    let (mark, text) = line.split_at_checked(end)?;
    (mark == "- " || (digits > 0 && mark.ends_with(". "))).then_some((mark, text))
}

/// The cells of a row; a bar in a cell is written `\|`.
fn cells(row: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut characters = row.trim().trim_start_matches('|').chars().peekable();
    while let Some(character) = characters.next() {
        let character = match character {
            '\\' => characters.next_if_eq(&'|').unwrap_or('\\'),
            '|' => {
                cells.push(String::new());
                continue;
            }
            other => other,
        };
        if let Some(cell) = cells.last_mut() {
            cell.push(character);
        }
    }
    // What stands behind the last bar is no cell.
    cells.pop();
    cells.into_iter().map(|cell| cell.trim().to_owned()).collect()
}

/// In columns if that fits; otherwise a row is a term with what is said of it below.
fn table(rows: &[Vec<String>], width: usize, screen: &Screen) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| inline(cell, screen, Tone::Plain)).collect()).collect();
    let Some((head, body)) = rows.split_first() else { return String::new() };
    let wide = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| measure_text_width(cell)).max();
    let widths: Vec<usize> = (0..head.len()).filter_map(wide).collect();
    if widths.iter().map(|width| width + 2).sum::<usize>() <= width + 2 {
        let has_head = head.iter().any(|cell| !cell.is_empty());
        let shown = if has_head { rows.as_slice() } else { body };
        return shown
            .iter()
            .enumerate()
            .map(|(number, row)| columns(row, &widths, has_head && number == 0, screen))
            .collect();
    }
    let mut out = String::new();
    for row in body {
        for (column, cell) in row.iter().enumerate().filter(|(_, cell)| !cell.is_empty()) {
            let label = match head.get(column) {
                Some(label) if column > 0 && head.len() > 2 && !label.is_empty() => format!("{label}: "),
                _ => String::new(),
            };
            let indent = if column == 0 { 0 } else { 4 };
            out += &format!("{}{}\n", " ".repeat(indent), wrap(&format!("{label}{cell}"), width, indent));
        }
    }
    out
}

fn columns(row: &[String], widths: &[usize], is_head: bool, screen: &Screen) -> String {
    let line: String = row
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{cell}{}", " ".repeat(width - measure_text_width(cell) + 2)))
        .collect();
    let line = line.trim_end();
    format!("{}\n", if is_head { screen.paint(Tone::Dim, line) } else { line.to_owned() })
}

/// Words at most `width` wide, the lines after the first indented.
fn wrap(text: &str, width: usize, indent: usize) -> String {
    let words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
    broken(&words.join(" "), width, indent, indent)
}

/// Text without the marks of links and stress. What is code is bold; without colours it keeps its marks.
fn inline(text: &str, screen: &Screen, tone: Tone) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['`', '[', '*', '<']) {
        out += &paint(&rest[..at], screen, tone);
        rest = &rest[at..];
        let (shown, after) = if let Some((code, after)) = enclosed(rest, "`", "`") {
            let painted = paint(code, screen, Tone::Heading);
            (if painted == code { format!("`{code}`") } else { painted }, after)
        } else if let Some((label, target, after)) = link(rest) {
            (format!("{}{}", inline(label, screen, tone), leads_to(label, target)), after)
        } else if let Some((strong, after)) = enclosed(rest, "**", "**") {
            (inline(strong, screen, Tone::Heading), after)
        } else if let Some((stressed, after)) = enclosed(rest, "*", "*") {
            (inline(stressed, screen, tone), after)
        } else if let Some((address, after)) = enclosed(rest, "<http", ">") {
            (format!("http{address}"), after)
        } else {
            (rest[..1].to_owned(), &rest[1..])
        };
        out += &shown;
        rest = after;
    }
    out + &paint(rest, screen, tone)
}

/// What stands between two marks, at the beginning of a text, and what comes after.
fn enclosed<'a>(text: &'a str, opens: &str, closes: &str) -> Option<(&'a str, &'a str)> {
    let (inner, after) = text.strip_prefix(opens)?.split_once(closes)?;
    (!inner.is_empty() && !inner.starts_with(' ') && !inner.ends_with(' ')).then_some((inner, after))
}

fn link(text: &str) -> Option<(&str, &str, &str)> {
    let (label, after) = text.strip_prefix('[')?.split_once("](")?;
    let (target, after) = after.split_once(')')?;
    (!label.contains(']')).then_some((label, target, after))
}

/// Where a link leads that can be followed from here: to a topic, or into the internet.
fn leads_to(label: &str, target: &str) -> String {
    let file = target.split('#').next().unwrap_or_default();
    match file.strip_suffix(".md").and_then(topics::named) {
        // Whoever reads a name of a page knows how to get there.
        Some(_) if label.ends_with(".md") => String::new(),
        Some(topic) => format!(" (help {}.md)", topic.name),
        None if target.starts_with("http") && target != label => format!(" <{target}>"),
        None => String::new(),
    }
}

/// Each word by itself, so that a line may end between two.
fn paint(text: &str, screen: &Screen, tone: Tone) -> String {
    let words = text.split(' ').map(|word| if word.is_empty() { String::new() } else { screen.paint(tone, word) });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use clap::Parser;
    use proptest::prelude::*;

    use super::*;
    use crate::cli::Cli;
    use crate::cli::surroundings::tests::nowhere;
    use std::sync::Arc;

    fn screen(color: &str) -> Screen {
        Screen::new(&Cli::parse_from(["gts-bootstrap", "--color", color, "help"]).global, &Arc::new(nowhere()))
    }

    fn plain(page: &str, width: usize) -> String {
        render(page, width, &screen("never"))
    }

    #[test]
    fn a_page_of_everything() {
        let page = "# A `page`\n\nOne `line of code`, **strong**, *stressed*,\nand [answers](answers.md#x), [answers.md](answers.md), \
                    [out](https://a.example).\n<!-- not\nshown -->\n\n## Below\n\n- first\n  goes on\n- second\n\nOr:\n\n    as it  is\n\n\
                    1. one\n2. two\n\n```sh\necho  a   # b\n```\n\n![a picture](a.svg)\n\n| name | what |\n|---|---|\n| `a` | b\\|c |\n";
        let expected = "A page\n======\n\nOne `line of code`, strong, stressed, and\nanswers (help answers.md), answers.md, out\n\
                        <https://a.example>.\n\nBelow\n-----\n\n- first goes on\n- second\n\nOr:\n\n    as it  is\n\n\
                        1. one\n2. two\n\n    echo  a   # b\n\nname  what\n`a`   b|c\n";
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
        assert_eq!(shown, "Run \x1b[1ma\x1b[0m \x1b[1mb\x1b[0m now.\n");
    }

    #[test]
    fn the_topics_lose_nothing_but_marks() {
        for topic in topics::TOPICS {
            let shown = plain(topic.text, 79);
            for (number, block) in blocks(topic.text).iter().enumerate() {
                let Block::Code(lines) = block else { continue };
                for line in lines.iter().filter(|line| !line.is_empty()) {
                    assert!(shown.contains(line.trim_end()), "{}, block {number}: {line}", topic.name);
                }
            }
            for line in shown.lines().filter(|line| !line.starts_with("    ")) {
                let longest = line.split(' ').map(str::len).max().unwrap_or_default();
                assert!(measure_text_width(line) <= 79 || longest > 60, "{}: {line}", topic.name);
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
