//! What a page has in it for the tests: its blocks, in order, and the comments that prepare them. The convention is in CONTRIBUTING.md.

/// A fenced block.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// What stands behind the fence.
    pub language: String,
    /// Its text.
    pub text: String,
    /// The line of its fence.
    pub line: usize,
    /// The reason for which it is not run.
    pub not_run: Option<String>,
    /// What the comments before it ask for.
    pub orders: Vec<Order>,
}

/// A comment that prepares the blocks after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// `on: …`: begin anew on such a machine.
    On(String),
    /// `before: …`: a command that is run and not shown.
    Before(String),
    /// `exit: N`: how the block ends.
    Exit(i32),
    /// `file: NAME`: the block is written to this file.
    File(String),
}

/// Blocks that hold commands.
pub const COMMANDS: [&str; 2] = ["sh", "console"];
/// Blocks that hold none: files, and what programs print or read.
pub const DATA: [&str; 7] = ["toml", "json", "yaml", "nginx", "apache", "rules", "text"];

/// The blocks of a page.
///
/// # Errors
/// What is against the convention, with its line.
pub fn blocks(page: &str) -> Result<Vec<Block>, String> {
    let mut found = Vec::new();
    let mut orders = Vec::new();
    let mut not_run: Option<String> = None;
    let mut lines = page.lines().enumerate().map(|(number, line)| (number + 1, line));
    while let Some((line, text)) = lines.next() {
        let bare = text.trim();
        if let Some(language) = bare.strip_prefix("```") {
            let indent = text.len() - text.trim_start().len();
            let body: Vec<&str> = lines
                .by_ref()
                .map(|(_, text)| text)
                .take_while(|text| text.trim() != "```")
                .map(|text| text.get(indent..).unwrap_or_default())
                .collect();
            let block = Block {
                language: language.to_owned(),
                text: body.join("\n") + "\n",
                line,
                not_run: not_run.take(),
                orders: std::mem::take(&mut orders),
            };
            agrees(&block)?;
            found.push(block);
        } else if let Some(comment) = bare.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")) {
            orders.push(order(comment).ok_or_else(|| format!("line {line}: nobody knows what to do with: {bare}"))?);
        } else if let Some(reason) = bare.strip_prefix("*Not run by the tests: ") {
            let reason =
                reason.strip_suffix(".*").ok_or_else(|| format!("line {line}: the reason has to end with \".*\""))?;
            not_run = Some(reason.to_owned());
        } else if !bare.is_empty() {
            if not_run.is_some() {
                return Err(format!("line {line}: \"Not run by the tests\" belongs directly before its block"));
            }
            if text.starts_with("    ") && (is_command(bare) || bare.starts_with("gts-bootstrap ")) {
                return Err(format!("line {line}: commands belong into a fenced block: {bare}"));
            }
        }
    }
    match (orders.is_empty(), not_run) {
        (true, None) => Ok(found),
        _ => Err("the last comment or mark has no block after it".to_owned()),
    }
}

fn is_command(line: &str) -> bool {
    line.strip_prefix("# ").or_else(|| line.strip_prefix("$ ")).is_some_and(|rest| rest.starts_with("gts-bootstrap"))
}

fn agrees(block: &Block) -> Result<(), String> {
    let (line, language) = (block.line, block.language.as_str());
    let holds_commands = COMMANDS.contains(&language);
    if !holds_commands && !DATA.contains(&language) {
        return Err(format!(
            "line {line}: a block has to say what it is: one of {COMMANDS:?} or {DATA:?}, not \"{language}\""
        ));
    }
    let looks_like_commands = block.text.lines().any(|line| is_command(line) || line.starts_with("gts-bootstrap "));
    if !holds_commands && looks_like_commands {
        return Err(format!("line {line}: a block with commands is \"console\" or \"sh\", not \"{language}\""));
    }
    if !holds_commands && block.not_run.is_some() {
        return Err(format!("line {line}: nothing of a \"{language}\" block could be run; leave the mark out"));
    }
    Ok(())
}

fn order(comment: &str) -> Option<Order> {
    let (name, value) = comment.split_once(": ")?;
    Some(match name {
        "on" => Order::On(value.to_owned()),
        "before" => Order::Before(value.to_owned()),
        "exit" => Order::Exit(value.parse().ok()?),
        "file" => Order::File(value.to_owned()),
        _ => return None,
    })
}

/// Whether an output is as it is shown, where `…` stands for anything.
pub fn is_as_shown(shown: &str, output: &str) -> bool {
    let clean = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim().to_owned();
    let (shown, output) = (clean(shown), clean(output));
    let mut pieces = shown.split('…');
    let Some(mut rest) = pieces.next().and_then(|first| output.strip_prefix(first)) else { return false };
    let pieces: Vec<&str> = pieces.collect();
    let Some((last, between)) = pieces.split_last() else { return rest.is_empty() };
    for piece in between {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[test]
fn blocks_come_with_their_orders() {
    let page = "# A\n\n<!-- on: a fresh machine -->\n<!-- exit: 3 -->\n```console\n# a\nb\n```\n\n*Not run by the tests: it is slow.*\n\n```sh\nmake\n```\n";
    let found = blocks(page).unwrap();
    assert_eq!(found[0].orders, [Order::On("a fresh machine".to_owned()), Order::Exit(3)]);
    assert_eq!((found[0].language.as_str(), found[0].text.as_str(), found[0].line), ("console", "# a\nb\n", 5));
    assert_eq!(found[1].not_run.as_deref(), Some("it is slow"));
    assert_eq!(found.len(), 2);
}

#[test]
fn what_is_against_the_convention_is_refused() {
    for (page, word) in [
        ("```\nls\n```\n", "has to say what it is"),
        ("```bash\nls\n```\n", "has to say what it is"),
        ("```text\n# gts-bootstrap check\n```\n", "is \"console\" or \"sh\""),
        ("    gts-bootstrap check\n", "belong into a fenced block"),
        ("<!-- onto: x -->\n```sh\n```\n", "nobody knows"),
        ("*Not run by the tests: because*\n```sh\n```\n", "has to end"),
        ("*Not run by the tests: so.*\ntext\n```sh\n```\n", "directly before"),
        ("*Not run by the tests: so.*\n```toml\n```\n", "leave the mark out"),
        ("<!-- exit: 3 -->\n", "no block after it"),
    ] {
        let why = blocks(page).unwrap_err();
        assert!(why.contains(word), "{page:?}: {why}");
    }
}

#[test]
fn left_out_text_is_anything() {
    for (shown, output, same) in [
        ("a\nb", "a  \nb\n", true),
        ("a\nb", "a\nc\n", false),
        ("a", "a\nb", false),
        ("…\nb", "x\ny\nb", true),
        ("a…b…c", "a1b2c", true),
        ("a…b…c", "a1c", false),
        ("a…", "a", true),
        ("a…a", "a", false),
    ] {
        assert_eq!(is_as_shown(shown, output), same, "{shown:?} {output:?}");
    }
}
