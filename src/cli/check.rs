//! `check`: proof on the running system, at any time.

use clap::Args;

use super::global::Global;
use super::open::Opened;
use super::report;
use super::screen::Screen;
use crate::check::{self, Check};
use crate::deployment::Layout;
use crate::error_code::ErrorCode;
use crate::parts::answers::Lock;
use crate::parts::uninstall;
use crate::run::deployed::{self, NOT_INSTALLED, uninstalled};
use crate::run::{Exit, Report, Stop, install};

/// What `check` takes.
#[derive(Debug, Clone, Copy, Args)]
pub struct Arguments {
    /// Print one line, for monitoring
    #[arg(long)]
    pub brief: bool,
}

/// Runs `check`.
pub fn run(global: &Global, arguments: &Arguments, screen: &Screen) -> Exit {
    let mut report = Report::new("check");
    let found = findings(global, screen, arguments.brief, &mut report);
    if arguments.brief {
        let line = match &found {
            Ok(host) => brief(host, &report.checks),
            Err(stop) => format!("FAIL: {}", first_clause(&stop.why)),
        };
        screen.not_quiet().line(&line);
    }
    match found {
        Ok(_) => {
            let exit = if check::failed(&report.checks) { Exit::Check } else { Exit::Done };
            report::finish(&report, screen, exit)
        }
        Err(stop) if arguments.brief => report::fail_silently(report, screen, &stop),
        Err(stop) => report::fail(report, screen, &stop),
    }
}

/// One line: what failed, or that nothing did.
fn brief(host: &str, checks: &[Check]) -> String {
    const SHOWN: usize = 5;
    let with = |status: check::Status| checks.iter().filter(move |check| check.status == status);
    let named = |check: &Check| format!("{}: {}", check.name, first_clause(&check.detail));
    let (word, told): (&str, Vec<String>) = if check::failed(checks) {
        ("FAIL", with(check::Status::Fail).map(named).collect())
    } else {
        let passed = format!("{host}, {} checks passed", with(check::Status::Pass).count());
        let warnings: Vec<String> = with(check::Status::Warn).map(named).collect();
        let word = if warnings.is_empty() { "OK" } else { "WARN" };
        (word, std::iter::once(passed).chain(warnings).collect())
    };
    let more = told.len().saturating_sub(SHOWN);
    let shown: Vec<String> = told.into_iter().take(SHOWN).collect();
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    // Everything after a bar would be taken for performance data by Nagios.
    format!("{word}: {}{more}", shown.join("; ")).replace('|', " ")
}

/// What was seen, without what to do about it.
fn first_clause(text: &str) -> &str {
    text.split([';', '\n']).next().unwrap_or_default()
}

/// Fills the report; the result is the host's name.
fn findings(global: &Global, screen: &Screen, brief: bool, report: &mut Report) -> Result<String, Stop> {
    let opened = Opened::open(global, screen)?;
    let host = opened.host();
    let layout = Layout::default();
    let absent = |why: &str| Stop::new(Exit::Check, ErrorCode::NotInstalled, why);
    if let Some(name) = uninstall::only_data(host, &layout).map_err(|error| Stop::with(Exit::Check, error))? {
        return Err(absent(&uninstalled(&name)));
    }
    let lock = Lock::of_host(host, &layout).map_err(|error| Stop::with(Exit::Check, error))?;
    let lock = lock.ok_or_else(|| absent(NOT_INSTALLED))?;
    let deployment = deployed::deployment(host, &layout, Exit::Check)?;
    let say = |text: &str| {
        if !brief {
            screen.line(text)
        }
    };
    let found = install::findings(host, &deployment, &layout, &lock.release.version, &say)?;
    if !brief {
        let rest = found.checks.get(found.matrix.len()..).unwrap_or_default();
        report::show_checks(screen, &format!("Checks for {}", deployment.host), rest, true);
        report::show_matrix(screen, &found.matrix);
    }
    report.checks = found.checks;
    Ok(deployment.host.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Matter;

    #[test]
    fn one_line_says_what_failed_and_no_more_than_fits() {
        let matter = |name| Matter(name, ErrorCode::ServiceDown);
        let good = matter("livez").pass("/livez answers 200");
        let certificate = matter("certificate").warn("its renewal is overdue; the log says why");
        let service = matter("service").fail("gotosocial does not run; the reason is in a | b\nand more");
        assert_eq!(brief("a.example", &[good.clone(), good.clone()]), "OK: a.example, 2 checks passed");
        assert_eq!(
            brief("a.example", &[good.clone(), certificate.clone()]),
            "WARN: a.example, 1 checks passed; certificate: its renewal is overdue"
        );
        assert_eq!(brief("a", &[certificate, service.clone(), good]), "FAIL: service: gotosocial does not run");
        let many = brief("a", &vec![service; 7]);
        assert!(many.ends_with("; and 2 more") && !many.contains(['|', '\n']), "{many}");
    }
}
