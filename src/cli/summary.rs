//! What somebody needs to know when it is done: where it is, how to log in, where everything lies, what to type from now on.

use crate::cli::screen::{Screen, Tone};
use crate::deployment::{Deployment, Layout};
use crate::parts::folders;

/// Shows it, and once more the password of an account that has just been made: by now it may be off the screen.
pub(super) fn show(screen: &Screen, deployment: &Deployment, layout: &Layout, password: Option<&str>) {
    screen.line(&screen.paint(Tone::Heading, &format!("https://{} is up.", deployment.host)));
    for line in lines(deployment, layout) {
        screen.line(&line);
    }
    // Where nothing scrolls away once is enough.
    if let Some(password) = password.filter(|_| screen.around().errors.size().is_some()) {
        screen.attention(&format!("The administrator's password, for the last time: {password}"));
    }
}

fn lines(deployment: &Deployment, layout: &Layout) -> Vec<String> {
    let login = match &deployment.admin {
        Some(admin) => format!("as {}", admin.email),
        None => "there is no account yet: `gts-bootstrap install --ask` makes one".to_owned(),
    };
    let rows = [
        ("log in", format!("https://{}/settings", deployment.host)),
        ("", login),
        ("settings", layout.config.display().to_string()),
        ("answers", layout.answers().display().to_string()),
        ("data", layout.data.display().to_string()),
        ("log", folders::log(layout).display().to_string()),
        ("backups", layout.backups.display().to_string()),
    ];
    let commands = [
        ("service gotosocial status", "also start, stop, restart, health"),
        ("gts-bootstrap check", "proves again that everything is right"),
        ("gts-bootstrap install --ask", "changes the answers"),
    ];
    rows.iter()
        .map(|(name, value)| format!("  {name:<9} {value}"))
        .chain(["From day to day:".to_owned()])
        .chain(commands.iter().map(|(command, meaning)| format!("  {command:<28} {meaning}")))
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::deployment::{Answers, Secrets};

    #[test]
    fn it_says_how_to_log_in() {
        let said = |answers: &str| {
            let answers = Answers::parse(answers, "t").unwrap();
            let deployment = answers.deployment(&Secrets::default()).unwrap();
            lines(&deployment, &Layout::default()).join("\n")
        };
        let without = "host = \"a.example\"\ntls.email = \"a@b.example\"";
        let with = format!("{without}\nadmin = {{ username = \"alice\", email = \"alice@b.example\" }}");
        assert!(said(without).contains("no account yet"));
        assert!(said(&with).contains("as alice@b.example"));
    }
}
