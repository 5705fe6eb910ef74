//! `check`: proof on the running system, at any time.

use super::command::looking;
use super::open::Opened;
use super::report;
use super::screen::Screen;
use crate::check::{self, Check, Status};
use crate::deployment::Layout;
use crate::error_code::ErrorCode;
use crate::parts::answers::Lock;
use crate::parts::uninstall;
use crate::run::deployed::{self, NOT_INSTALLED, uninstalled};
use crate::run::{Exit, Report, Stop, install};

/// Runs `check`.
pub(super) fn run(brief: bool, screen: &Screen) -> Exit {
    looking(screen, "check", brief.then_some(first_clause), |opened, report| check(opened, screen, brief, report))
}

fn check(opened: &Opened, screen: &Screen, is_brief: bool, report: &mut Report) -> Result<Exit, Stop> {
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
        if !is_brief {
            screen.line(text)
        }
    };
    let found = install::findings(host, &deployment, &layout, &lock.release.version, &say)?;
    report.checks = found.checks;
    if is_brief {
        screen.not_quiet().line(brief(deployment.host.as_str(), &report.checks));
    } else {
        let rest = report.checks.get(found.matrix.len()..).unwrap_or_default();
        report::show_checks(screen, &format!("Checks for {}", deployment.host), rest, true);
        report::show_matrix(screen, &found.matrix);
    }
    Ok(if check::failed(&report.checks) { Exit::Check } else { Exit::Done })
}

/// One line: what failed, or that nothing did.
fn brief(host: &str, checks: &[Check]) -> String {
    const SHOWN: usize = 5;
    let with = |status: Status| checks.iter().filter(move |check| check.status == status);
    let named = |check: &Check| format!("{}: {}", check.name, first_clause(&check.detail));
    let (word, found): (_, Vec<String>) = if check::failed(checks) {
        ("FAIL", with(Status::Fail).map(named).collect())
    } else {
        let passed = format!("{host}, {} checks passed", with(Status::Pass).count());
        let word = if with(Status::Warn).next().is_none() { "OK" } else { "WARN" };
        (word, std::iter::once(passed).chain(with(Status::Warn).map(named)).collect())
    };
    let more = found.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    // Nagios would take everything after a bar for performance data.
    format!("{word}: {}{more}", found[..found.len().min(SHOWN)].join("; ")).replace('|', " ")
}

/// What was seen, without what to do about it.
fn first_clause(text: &str) -> &str {
    text.split([';', '\n']).next().unwrap_or_default()
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
