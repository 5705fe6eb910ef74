//! The stories. Each says what it begins with; what it leaves is put back after it.

mod account;
mod again;
mod backup;
mod boot;
mod children;
mod command_line;
mod config;
mod crash;
mod filter;
mod front;
mod install;
mod port_access;
mod portacl;
mod refusals;
mod release;
mod service;
mod service_manager;
mod status;
mod uninstall;
mod upgrade;

use std::time::Duration;

use gts_bootstrap::host::{Carried, HostError, WebFailure, WebRequest};

use super::bench::Bench;
use super::stage::Start;

fn said(error: HostError) -> String {
    error.to_string()
}

/// The first half of the boot story, which is told only when asked for.
pub const BEFORE_REBOOT: &str = "boot-before-the-reboot";
/// The second half.
pub const AFTER_REBOOT: &str = "boot-after-the-reboot";

/// How a story ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// As it should.
    Passed,
    /// Otherwise.
    Failed(String),
    /// It could not be told here.
    Skipped(String),
}

/// What a story needs besides the machine that it begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Real processes and sockets, which a rehearsal has not.
    RealMachine,
    /// A package.
    Package(&'static str),
    /// Releases that misbehave as they are told.
    StandIn,
    /// A server that was given nothing beforehand.
    NoData,
    /// A server that issues certificates.
    Acme,
    /// Upstream's server: a network, a resolver that knows it, and CA certificates that vouch for it.
    Upstream,
}

/// A story.
#[derive(Debug)]
pub struct Story {
    /// Its name, for the report and for choosing it.
    pub name: &'static str,
    /// What it begins with.
    pub start: Start,
    /// What it leaves on purpose.
    pub leaves: Option<Start>,
    /// Whether it changes what the server keeps: the next story needs a server of its own.
    pub changes_data: bool,
    /// Whether what it leaves has to stay if it went well.
    pub stays: bool,
    needs: &'static [Need],
    told: fn(&Bench) -> Result<(), String>,
}

impl Story {
    const fn begins(start: Start, name: &'static str, told: fn(&Bench) -> Result<(), String>) -> Self {
        Self { name, start, leaves: None, changes_data: false, stays: false, needs: &[], told }
    }

    const fn needs(mut self, needs: &'static [Need]) -> Self {
        self.needs = needs;
        self
    }

    const fn leaves(mut self, start: Start) -> Self {
        self.leaves = Some(start);
        self
    }

    const fn changes_data(mut self) -> Self {
        self.changes_data = true;
        self
    }

    const fn stays(mut self) -> Self {
        self.stays = true;
        self
    }

    /// Tells it.
    pub fn tell(&self, bench: &Bench) -> Result<(), String> {
        (self.told)(bench)
    }

    /// Why it cannot be told here.
    pub fn missing(&self, bench: &Bench) -> Result<Option<String>, String> {
        for need in self.needs {
            let why = need.missing(bench)?;
            if why.is_some() {
                return Ok(why);
            }
        }
        Ok(None)
    }

    /// Whether the memory of its runs is the program's: a real server or web server that it asks may take more.
    pub fn measures_the_program_alone(&self, bench: &Bench) -> bool {
        bench.mirror.is_stand_in && !self.needs.iter().any(|need| matches!(need, Need::Package("nginx" | "apache24")))
    }
}

impl Need {
    fn missing(self, bench: &Bench) -> Result<Option<String>, String> {
        let why = |missing: bool, why: &str| Ok(missing.then(|| why.to_owned()));
        match self {
            Self::RealMachine => why(bench.is_rehearsal(), "it needs a real machine"),
            Self::Package(name) => why(
                bench.host()?.package(name).map_err(said)?.is_none(),
                &format!("the package {name} is not installed"),
            ),
            Self::StandIn => why(!bench.mirror.is_stand_in, "the releases of this mirror cannot be told to misbehave"),
            Self::NoData => {
                why(!bench.mirror.is_stand_in, "the server was given a certificate beforehand, whose owner stays")
            }
            Self::Acme => why(bench.acme.is_none(), "no server that issues certificates was named (--acme URL)"),
            // A rehearsal has an upstream of its own.
            Self::Upstream if bench.is_rehearsal() => Ok(None),
            Self::Upstream => upstream_is_missing(bench),
        }
    }
}

/// Why upstream's server cannot be asked: the resolver, the network, or TLS.
fn upstream_is_missing(bench: &Bench) -> Result<Option<String>, String> {
    let host = bench.host()?;
    match host.resolve(UPSTREAM) {
        Err(why) => return Ok(Some(format!("the resolver does not answer: {why}"))),
        Ok(addresses) if addresses.is_empty() => {
            return Ok(Some(format!("the resolver does not know {UPSTREAM}")));
        }
        Ok(_) => {}
    }
    let request = WebRequest {
        tls: true,
        host: UPSTREAM.to_owned(),
        address: None,
        path: "/".to_owned(),
        carries: Carried::default(),
        verify: true,
        timeout: Duration::from_secs(20),
    };
    Ok(match host.web(&request) {
        Ok(_) => None,
        Err(WebFailure::Unresolved) => Some(format!("the resolver does not know {UPSTREAM}")),
        Err(WebFailure::Refused | WebFailure::TimedOut) => Some(format!("no network leads to {UPSTREAM}")),
        Err(why) => Some(format!("https://{UPSTREAM}: {why}")),
    })
}

/// Where releases come from.
const UPSTREAM: &str = "codeberg.org";

const REAL: &[Need] = &[Need::RealMachine];
const REAL_NGINX: &[Need] = &[Need::RealMachine, Need::Package("nginx")];
const NO_DATA: &[Need] = &[Need::NoData];
const NGINX_NO_DATA: &[Need] = &[Need::NoData, Need::Package("nginx")];
const ACME: &[Need] = &[Need::Acme, Need::Package("nginx")];
const UPSTREAM_SERVER: &[Need] = &[Need::Upstream];
const STAND_IN: &[Need] = &[Need::StandIn];
const PORTACL_RC: &[Need] = &[Need::Package("portacl-rc")];
const NGINX: &[Need] = &[Need::Package("nginx")];
const HTTPD: &[Need] = &[Need::Package("apache24")];
const BOTH_FRONTS: &[Need] = &[Need::Package("nginx"), Need::Package("apache24")];

const fn fresh(name: &'static str, told: fn(&Bench) -> Result<(), String>) -> Story {
    Story::begins(Start::Fresh, name, told)
}

const fn installed(name: &'static str, told: fn(&Bench) -> Result<(), String>) -> Story {
    Story::begins(Start::Installed, name, told)
}

const fn behind_nginx(name: &'static str, told: fn(&Bench) -> Result<(), String>) -> Story {
    Story::begins(Start::BehindNginx, name, told).needs(NGINX)
}

/// All stories, in the order in which they are told: none begins with an installation that would have to be made for it. Last
/// come those after which the machine is put back as a whole.
pub const STORIES: &[Story] = &[
    fresh("children-have-no-terminal", children::have_no_terminal).needs(REAL),
    fresh("fetching-is-done-by-nobody", children::fetch).needs(REAL),
    fresh("plan-touches-nothing", install::plan_touches_nothing),
    fresh("nothing-installed-is-told", status::nothing_installed),
    fresh("bad-answers-are-told-at-once", command_line::bad_answers_are_told_at_once),
    fresh("nonsense-is-refused", command_line::nonsense_is_refused),
    fresh("errors-lead-to-what-is-behind-them", command_line::errors_lead_to_what_is_behind_them),
    fresh("help-tells-commands-and-topics", command_line::help),
    fresh("completions-for-four-shells", command_line::completions),
    fresh("quiet-log-is-refused-at-first", config::quiet_log_is_refused_at_first),
    fresh("what-cannot-stand-in-front-is-refused", front::what_cannot_is_refused),
    fresh("port-80-taken-is-refused", refusals::port_taken).needs(REAL),
    fresh("foreign-file-is-refused", refusals::foreign_file),
    fresh("bad-archives-leave-nothing", release::bad_archives_leave_nothing),
    fresh("upstream-is-asked", release::upstream_is_asked).needs(UPSTREAM_SERVER),
    fresh("plain-http-needs-a-digest", release::plain_http_needs_a_digest),
    fresh("order-keeps-ports-closed", port_access::order_keeps_ports_closed),
    fresh("settings-that-open-ports-are-refused", port_access::open_settings_are_refused),
    fresh("full-or-broken-list-is-refused", port_access::full_or_broken_list_is_refused),
    fresh("portacl-rc-alone-sets-the-rules", port_access::portacl_rc_alone_sets_the_rules).needs(PORTACL_RC),
    fresh("number-209-taken-is-refused", refusals::number_taken),
    fresh("granted-and-revoked", portacl::granted_and_revoked),
    fresh("groups-are-granted", portacl::groups_are_granted),
    fresh("rules-that-make-no-sense-are-refused", portacl::what_makes_no_sense_is_refused),
    fresh("rules-are-applied-from-a-file", portacl::rules_are_applied_from_a_file),
    fresh("portacl-rc-is-granted-through", portacl::owned_by_portacl_rc).needs(PORTACL_RC),
    fresh("dying-service-is-taken-back", service::dying_service).needs(STAND_IN),
    fresh("install-from-the-mirror", install::from_the_mirror).leaves(Start::Installed),
    installed("modes-and-owners-are-as-documented", install::modes_and_owners),
    installed("the-server-answers", install::the_server_answers),
    installed("second-run-changes-nothing", again::changes_nothing),
    installed("identity-cannot-be-changed", again::identity_stays),
    installed("stopped-service-is-started-again", service::stopped_is_started_again),
    installed("service-has-no-terminal", service::no_terminal).needs(REAL),
    installed("status-on-one-screen", status::told_on_one_screen),
    installed("fit-for-monitoring", status::fit_for_monitoring),
    installed("drift-is-found", status::drift_is_found),
    installed("rules-can-be-read", portacl::rules_can_be_read),
    installed("what-a-boot-changes-is-signed", portacl::what_a_boot_changes_is_signed),
    installed("shown-and-applied-is-the-same", portacl::shown_and_applied_is_the_same),
    installed("explained-and-proved", portacl::explained_and_proved),
    installed("what-is-wrong-with-rules-is-found", portacl::what_is_wrong_is_found),
    installed("open-ports-are-told-and-closed", port_access::open_ports_are_told),
    installed("boot-guard-closes-the-ports", port_access::guard_closes_the_ports),
    installed("damage-is-put-right", again::damage_is_put_right),
    installed("release-that-changed-upstream-is-refused", release::changed_upstream),
    installed("reinstall-keeps-the-data", again::reinstall_keeps_the_data),
    installed("upgrade-plan-and-refusals-touch-nothing", upgrade::plan_and_refusals_touch_nothing),
    installed("edits-are-kept-and-a-conflict-is-refused", config::edits_are_kept),
    installed("unknown-key-is-named", config::unknown_key_is_named),
    installed("broken-edit-never-goes-live", config::broken_edit_never_goes_live),
    installed("no-answer-breaks-out-of-a-value", config::no_breaking_out),
    installed("quiet-log-is-taken-later", config::quiet_log_is_taken_later),
    installed("secrets-stay-secret", config::secrets_stay_secret),
    installed("unreadable-files-are-named", command_line::unreadable_files_are_named),
    installed("two-runs-are-kept-apart", command_line::two_runs_are_kept_apart),
    installed("only-what-it-reads-restarts-the-service", service::only_what_it_reads_restarts_it),
    installed("clean-stop", service::clean_stop),
    installed("killed-service-comes-back", service::killed_service).needs(REAL),
    installed("borrowed-title-is-no-supervisor", service::borrowed_title).needs(REAL),
    installed("log-rotation", service::log_rotation).needs(REAL),
    installed("checks-can-be-left-out", install::checks_can_be_left_out),
    installed("a-reader-that-goes-away", command_line::reader_goes_away),
    installed("a-release-is-fetched-over-http", release::fetched_over_http),
    installed("pinned-digest-must-agree", release::pinned_digest_must_agree),
    installed("slow-start-is-waited-for", service::slow_start).needs(STAND_IN),
    installed("no-certificate-is-told", service::no_certificate).needs(STAND_IN),
    installed("foreign-lines-stay", port_access::foreign_lines_stay),
    installed("rules-now-and-at-boot-are-kept-apart", port_access::now_and_at_boot_are_kept_apart),
    installed("lowered-range-is-never-raised", port_access::lowered_range_is_never_raised),
    installed("filters-wait-in-direct-mode", filter::kept_in_direct_mode),
    installed("to-nginx-and-back", front::to_nginx_and_back).needs(NGINX),
    installed("to-httpd-and-back", front::to_httpd_and_back).needs(HTTPD),
    installed("from-front-to-front-and-back", front::from_front_to_front).needs(BOTH_FRONTS),
    installed("a-switch-is-planned-first", front::planned_first).needs(NGINX),
    installed("a-switch-on-trial-is-taken-back", front::on_trial).needs(NGINX),
    installed("a-site-with-our-name-is-refused", front::site_with_our_name).needs(BOTH_FRONTS),
    installed("a-broken-web-server-is-left-alone", front::broken_web_server).needs(NGINX),
    installed("sites-of-others-go-on", front::sites_of_others_go_on).needs(NGINX),
    installed("a-name-lends-no-port", front::name_lends_no_port).needs(NGINX),
    installed("foreign-rules-outlive-a-switch", front::foreign_rules).needs(NGINX),
    installed("first-account-asked-for-later", account::asked_for_later).changes_data(),
    installed("account-made-by-hand-is-left-alone", account::made_by_hand).changes_data(),
    installed("first-account-told-to-the-quiet", account::told_to_the_quiet).changes_data(),
    installed("first-account-told-beside-json", account::told_beside_json).changes_data(),
    installed("backed-up-and-kept-in-number", backup::made_and_kept_in_number).changes_data(),
    installed("put-back-on-the-same-host", backup::put_back_on_the_same_host).changes_data(),
    installed("upgrade-with-a-migration-and-back", upgrade::there_and_back).changes_data(),
    installed("killed-at-a-change-and-repaired", crash::killed_at_a_change).leaves(Start::Installed),
    behind_nginx("the-way-back-is-planned-first", front::way_back_planned_first),
    behind_nginx("certificates-are-told-and-renewed", front::certificates),
    behind_nginx("ordering-is-done-by-nobody", children::order).needs(REAL_NGINX),
    behind_nginx("a-certificate-is-ordered", front::ordered_certificate).needs(ACME),
    behind_nginx("a-service-that-is-not-enabled-is-stopped", service_manager::not_enabled),
    behind_nginx("a-package-deleted-under-its-daemon", service_manager::deleted_package),
    behind_nginx("filters-are-taken-up-by-nginx", filter::taken_up_by_nginx),
    behind_nginx("a-switch-killed-at-a-change", front::killed_at_a_change),
    behind_nginx("uninstalled-behind-nginx", uninstall::behind_nginx).needs(NGINX_NO_DATA),
    fresh("installed-behind-a-front-at-once", front::installed_behind_a_front).needs(NGINX),
    fresh("flags-fill-the-answers", install::flags_fill_the_answers),
    fresh("answers-come-line-by-line", install::answers_come_line_by_line),
    fresh("the-lock-decides-what-latest-is", again::the_lock_decides_what_latest_is),
    fresh("upgrade-and-no-way-back", again::upgrade),
    fresh("cut-off-and-taken-back", crash::cut_off_and_taken_back),
    fresh("failing-change-in-between-is-taken-back", crash::failing_change_in_between),
    fresh("first-account", account::first_account),
    fresh("another-uid-is-respected", refusals::another_uid_is_respected),
    fresh("foreign-rules-are-kept", port_access::foreign_rules_are_kept),
    fresh("portacl-rc-owns-the-rules", port_access::portacl_rc_owns_the_rules).needs(PORTACL_RC),
    // What these install is taken away by the next one.
    fresh("failing-last-change-is-taken-back", crash::failing_last_change).leaves(Start::Installed),
    installed("put-back-on-an-empty-host", backup::put_back_on_an_empty_host).changes_data(),
    fresh("json-for-programs", command_line::json_for_programs).leaves(Start::Installed),
    installed("uninstalled-and-installed-again", uninstall::the_data_stay).needs(NO_DATA),
    fresh("as-much-is-said-as-is-wanted", command_line::as_much_as_is_wanted).leaves(Start::Installed),
    installed("uninstalled-among-others", uninstall::edits_of_others_stay),
    installed(BEFORE_REBOOT, boot::before).stays(),
];

/// The second half of the boot story. The machine is put back after it.
pub fn after_reboot(bench: &Bench) -> Verdict {
    let told = boot::after(bench);
    match (told, super::reset::reset(bench)) {
        (Ok(()), Ok(())) => Verdict::Passed,
        (Err(why), Ok(())) => Verdict::Failed(why),
        (Ok(()), Err(why)) => Verdict::Failed(format!("the machine was not put back: {why}")),
        (Err(first), Err(why)) => Verdict::Failed(format!("{first}\nand it was not put back: {why}")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_can_be_typed() {
        let mut names: Vec<&str> = STORIES.iter().map(|story| story.name).collect();
        assert!(
            names.iter().all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'))
        );
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), STORIES.len());
    }

    /// What a story begins with, the one before it leaves, or shares with it. All others cost an installation.
    #[test]
    fn what_a_story_begins_with_is_there() {
        let told: Vec<&Story> = STORIES.iter().filter(|story| story.name != BEFORE_REBOOT).collect();
        for pair in told.windows(2) {
            let left = pair[0].leaves.unwrap_or(pair[0].start);
            let is_there = match pair[1].start {
                Start::Fresh => true,
                Start::Installed => left == Start::Installed,
                Start::BehindNginx => left != Start::Fresh,
            };
            assert!(is_there, "{} is told after {}", pair[1].name, pair[0].name);
        }
    }

    #[test]
    fn only_the_boot_story_leaves_the_machine_changed() {
        let staying: Vec<&str> = STORIES.iter().filter(|story| story.stays).map(|story| story.name).collect();
        assert_eq!(staying, [BEFORE_REBOOT]);
    }
}
