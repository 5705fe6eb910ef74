//! Aligns lines in columns.

use super::line::{Line, Sign, Whom};

/// All lines, aligned, each with a newline at its end.
///
/// If any line has a sign, every line starts with two characters for it, as in a diff.
pub fn render(lines: &[Line]) -> String {
    let signed = lines.iter().any(|line| line.sign != Sign::Both);
    let rows: Vec<Row<'_>> = lines.iter().map(Row::of).collect();
    let ports = rows.iter().map(|row| width(&row.ports)).max().unwrap_or(0);
    // Two spaces before a note, and no note to the left of the end of any line.
    let subjects = rows.iter().map(|row| width(&row.subject) + if row.line.note.is_some() { 2 } else { 0 }).max();
    let subjects = subjects.unwrap_or(0);
    let mut text = String::new();
    for row in rows {
        if signed {
            text.push_str(match row.line.sign {
                Sign::Both => "  ",
                Sign::NowOnly => "- ",
                Sign::NextBootOnly => "+ ",
            });
        }
        let Row { line: Line { action, protocol, note, .. }, ports: port, subject } = row;
        text.push_str(&format!("{action:<5} proto {protocol}  {port:<ports$}  "));
        match note {
            Some(note) => text.push_str(&format!("{subject:<subjects$}# {note}")),
            None => text.push_str(&subject),
        }
        text.push('\n');
    }
    text
}

struct Row<'a> {
    line: &'a Line,
    ports: String,
    subject: String,
}

impl Row<'_> {
    fn of(line: &Line) -> Row<'_> {
        let ports = match &line.service {
            Some(service) => format!("port {} ({service})", line.ports),
            None => format!("port {}", line.ports),
        };
        let subject = match &line.subject {
            Whom::All => "all".to_owned(),
            Whom::User { id, name } => subject("user", *id, name.as_deref(), line.implied),
            Whom::Group { id, name } => subject("group", *id, name.as_deref(), line.implied),
        };
        Row { line, ports, subject }
    }
}

/// An implied line is about root, whose number everybody knows.
fn subject(kind: &str, id: i64, name: Option<&str>, implied: bool) -> String {
    match name {
        Some(name) if implied => format!("{kind} {name}"),
        Some(name) => format!("{kind} {name} ({id})"),
        None => format!("{kind} {id}"),
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}
