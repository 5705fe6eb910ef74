//! The picture of a terminal in README.md: what the program prints in colours, as SVG. `tools/terminal-picture` makes it anew.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::stage::Stage;

const PICTURE: &str = "docs/terminal.svg";
/// What is typed in the picture, on a machine that is installed.
const TYPED: [&str; 2] = ["gts-bootstrap check", "gts-bootstrap portacl show"];
/// In pixels: a column, a line, the space around.
const GRID: (f64, usize, usize) = (8.4, 19, 16);

/// How text is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Pen {
    bold: bool,
    dim: bool,
    colour: Option<&'static str>,
}

impl Pen {
    /// With an SGR sequence of those that the program uses (ECMA-48).
    fn with(self, codes: &str) -> Self {
        codes.split(';').fold(self, |pen, code| match code {
            "" | "0" => Self::default(),
            "1" => Self { bold: true, ..pen },
            "2" => Self { dim: true, ..pen },
            "31" => Self { colour: Some("#f47067"), ..pen },
            "32" => Self { colour: Some("#8ddb8c"), ..pen },
            "33" => Self { colour: Some("#f69d50"), ..pen },
            "37" => Self { colour: Some("#ffffff"), ..pen },
            other => panic!("the picture has no ink for SGR {other}"),
        })
    }

    fn attributes(self) -> String {
        let mut text = format!(" fill=\"{}\"", self.colour.unwrap_or(if self.dim { "#768390" } else { "#cdd9e5" }));
        if self.bold {
            text += " font-weight=\"bold\"";
        }
        text
    }
}

/// A line in pieces of one pen: column, pen, text.
fn pieces(line: &str) -> Vec<(usize, Pen, String)> {
    let mut pieces = Vec::new();
    let (mut pen, mut column) = (Pen::default(), 0);
    for (number, part) in line.split("\x1b[").enumerate() {
        let text = if number == 0 {
            part
        } else {
            let (codes, text) = part.split_once('m').unwrap();
            pen = pen.with(codes);
            text
        };
        if !text.trim().is_empty() {
            let blanks = text.chars().take_while(|character| *character == ' ').count();
            pieces.push((column + blanks, pen, text.trim().to_owned()));
        }
        column += text.chars().count();
    }
    pieces
}

fn svg(output: &str) -> String {
    let (wide, high, around) = GRID;
    let lines: Vec<_> = output.lines().map(pieces).collect();
    let columns = lines.iter().flatten().map(|(column, _, text)| column + text.chars().count()).max().unwrap();
    let (width, height) = (columns as f64 * wide + 2.0 * around as f64, lines.len() * high + 2 * around);
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height}\" viewBox=\"0 0 {width:.0} {height}\" role=\"img\">\n\
         <title>gts-bootstrap in a terminal</title>\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#22272e\"/>\n\
         <g font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" font-size=\"14\" xml:space=\"preserve\">\n"
    );
    for (number, line) in lines.iter().enumerate() {
        let y = around + (number + 1) * high - 5;
        for (column, pen, text) in line {
            let x = around as f64 + *column as f64 * wide;
            let length = text.chars().count() as f64 * wide;
            let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            writeln!(
                picture,
                "<text x=\"{x:.1}\" y=\"{y}\" textLength=\"{length:.1}\"{}>{text}</text>",
                pen.attributes()
            )
            .unwrap();
        }
    }
    picture + "</g>\n</svg>\n"
}

#[test]
fn the_picture_is_what_the_program_prints() {
    let stage = Stage::on("an installed machine").unwrap();
    let mut screen = String::new();
    for command in TYPED {
        let output = stage.ends(&format!("{command} --color always"), 0).unwrap();
        write!(screen, "# \x1b[1m{command}\x1b[0m\n{output}").unwrap();
    }
    assert!(screen.contains("\x1b[32m"), "there are no colours");
    let fresh = svg(&screen);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PICTURE);
    if env::var_os("TERMINAL_PICTURE").is_some_and(|value| value == "write") {
        fs::write(&path, &fresh).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == fresh, "{PICTURE} is not what the program prints now: run tools/terminal-picture, and look at it");
    assert!(include_str!("../../README.md").contains(PICTURE), "README.md does not show it");
}
