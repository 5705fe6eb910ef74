//! Aligns lines in columns.

use super::line::{Line, Sign, Whom};
use crate::portacl::Protocol;

/// All lines, aligned, each with a newline at its end.
///
/// If any line has a sign, every line starts with two characters for it, as in a diff.
pub fn render(lines: &[Line]) -> String {
    let is_signed = lines.iter().any(|line| line.sign != Sign::Both);
    let rows: Vec<_> = lines.iter().map(|line| (line, ports(line), subject(line))).collect();
    let width = |text: &str| text.chars().count();
    let port_width = rows.iter().map(|(_, ports, _)| width(ports)).max().unwrap_or(0);
    // Two spaces before a note, and no note to the left of the end of any line.
    let end = |(line, _, subject): &(&Line, _, String)| width(subject) + if line.note.is_some() { 2 } else { 0 };
    let subject_width = rows.iter().map(end).max().unwrap_or(0);
    let mut text = String::new();
    for (Line { sign, action, protocol, note, .. }, ports, subject) in rows {
        text.push_str(match sign {
            _ if !is_signed => "",
            Sign::Both => "  ",
            Sign::NowOnly => "- ",
            Sign::NextBootOnly => "+ ",
        });
        let protocol = protocol.map_or("any", Protocol::name);
        text.push_str(&format!("{action:<5} proto {protocol}  {ports:<port_width$}  "));
        match note {
            Some(note) => text.push_str(&format!("{subject:<subject_width$}# {note}\n")),
            None => text.push_str(&format!("{subject}\n")),
        }
    }
    text
}

fn ports(line: &Line) -> String {
    let service = line.service.as_ref().map(|service| format!(" ({service})"));
    format!("port {}{}", line.ports, service.unwrap_or_default())
}

fn subject(line: &Line) -> String {
    let (kind, id, name) = match &line.subject {
        Whom::All => return "all".to_owned(),
        Whom::User { id, name } => ("user", id, name),
        Whom::Group { id, name } => ("group", id, name),
    };
    match name {
        // It is about root, whose number everybody knows.
        Some(name) if line.implied => format!("{kind} {name}"),
        Some(name) => format!("{kind} {name} ({id})"),
        None => format!("{kind} {id}"),
    }
}
