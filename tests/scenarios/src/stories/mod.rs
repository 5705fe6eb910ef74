//! The stories. Each begins on the machine as it was found, and what it leaves is put back after it.

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
mod status;
mod uninstall;
mod upgrade;

use gts_bootstrap::host::HostError;

use super::bench::Bench;

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

/// What a story needs besides a fresh machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    /// Real processes and sockets, which a rehearsal has not.
    RealMachine,
    /// Packages.
    Packages(&'static [&'static str]),
}

/// A story.
#[derive(Debug)]
pub struct Story {
    /// Its name, for the report and for choosing it.
    pub name: &'static str,
    /// Whether what it leaves has to stay if it went well.
    pub stays: bool,
    needs: Needs,
    told: fn(&Bench) -> Result<(), String>,
}

impl Story {
    /// Tells it, unless something is missing that it needs.
    pub fn tell(&self, bench: &Bench) -> Verdict {
        match self.missing(bench) {
            Err(why) => Verdict::Failed(why),
            Ok(Some(why)) => Verdict::Skipped(why),
            Ok(None) => match (self.told)(bench) {
                Ok(()) => Verdict::Passed,
                Err(why) => Verdict::Failed(why),
            },
        }
    }

    fn missing(&self, bench: &Bench) -> Result<Option<String>, String> {
        match self.needs {
            Needs::RealMachine if bench.is_rehearsal() => return Ok(Some("it needs a real machine".to_owned())),
            Needs::Packages(names) => {
                for name in names {
                    if bench.host()?.package(name).map_err(said)?.is_none() {
                        return Ok(Some(format!("the package {name} is not installed")));
                    }
                }
            }
            Needs::Nothing | Needs::RealMachine => {}
        }
        Ok(None)
    }
}

const PORTACL_RC: Needs = Needs::Packages(&["portacl-rc"]);
const NGINX: Needs = Needs::Packages(&["nginx"]);
const HTTPD: Needs = Needs::Packages(&["apache24"]);
const BOTH_FRONTS: Needs = Needs::Packages(&["nginx", "apache24"]);

const fn story(name: &'static str, needs: Needs, told: fn(&Bench) -> Result<(), String>) -> Story {
    Story { name, stays: false, needs, told }
}

/// All stories, in the order in which they are told.
pub const STORIES: &[Story] = &[
    story("children-have-no-terminal", Needs::RealMachine, children::have_no_terminal),
    story("install-from-the-mirror", Needs::Nothing, install::from_the_mirror),
    story("modes-and-owners-are-as-documented", Needs::Nothing, install::modes_and_owners),
    story("the-server-answers", Needs::Nothing, install::the_server_answers),
    story("plan-touches-nothing", Needs::Nothing, install::plan_touches_nothing),
    story("flags-fill-the-answers", Needs::Nothing, install::flags_fill_the_answers),
    story("answers-come-line-by-line", Needs::Nothing, install::answers_come_line_by_line),
    story("checks-can-be-left-out", Needs::Nothing, install::checks_can_be_left_out),
    story("second-run-changes-nothing", Needs::Nothing, again::changes_nothing),
    story("damage-is-put-right", Needs::Nothing, again::damage_is_put_right),
    story("reinstall-keeps-the-data", Needs::Nothing, again::reinstall_keeps_the_data),
    story("the-lock-decides-what-latest-is", Needs::Nothing, again::the_lock_decides_what_latest_is),
    story("upgrade-and-no-way-back", Needs::Nothing, again::upgrade),
    story("upgrade-with-a-migration-and-back", Needs::Nothing, upgrade::there_and_back),
    story("upgrade-plan-and-refusals-touch-nothing", Needs::Nothing, upgrade::plan_and_refusals_touch_nothing),
    story("identity-cannot-be-changed", Needs::Nothing, again::identity_stays),
    story("killed-at-a-change-and-repaired", Needs::Nothing, crash::killed_at_a_change),
    story("cut-off-and-taken-back", Needs::Nothing, crash::cut_off_and_taken_back),
    story("failing-last-change-is-taken-back", Needs::Nothing, crash::failing_last_change),
    story("failing-change-in-between-is-taken-back", Needs::Nothing, crash::failing_change_in_between),
    story("edits-are-kept-and-a-conflict-is-refused", Needs::Nothing, config::edits_are_kept),
    story("unknown-key-is-named", Needs::Nothing, config::unknown_key_is_named),
    story("broken-edit-never-goes-live", Needs::Nothing, config::broken_edit_never_goes_live),
    story("no-answer-breaks-out-of-a-value", Needs::Nothing, config::no_breaking_out),
    story("quiet-log-is-refused-at-first", Needs::Nothing, config::quiet_log_is_refused_at_first),
    story("secrets-stay-secret", Needs::Nothing, config::secrets_stay_secret),
    story("first-account", Needs::Nothing, account::first_account),
    story("first-account-asked-for-later", Needs::Nothing, account::asked_for_later),
    story("account-made-by-hand-is-left-alone", Needs::Nothing, account::made_by_hand),
    story("json-for-programs", Needs::Nothing, command_line::json_for_programs),
    story("bad-answers-are-told-at-once", Needs::Nothing, command_line::bad_answers_are_told_at_once),
    story("nonsense-is-refused", Needs::Nothing, command_line::nonsense_is_refused),
    story("errors-lead-to-what-is-behind-them", Needs::Nothing, command_line::errors_lead_to_what_is_behind_them),
    story("help-tells-commands-and-topics", Needs::Nothing, command_line::help),
    story("completions-for-four-shells", Needs::Nothing, command_line::completions),
    story("as-much-is-said-as-is-wanted", Needs::Nothing, command_line::as_much_as_is_wanted),
    story("unreadable-files-are-named", Needs::Nothing, command_line::unreadable_files_are_named),
    story("two-runs-are-kept-apart", Needs::Nothing, command_line::two_runs_are_kept_apart),
    story("a-reader-that-goes-away", Needs::Nothing, command_line::reader_goes_away),
    story("number-209-taken-is-refused", Needs::Nothing, refusals::number_taken),
    story("another-uid-is-respected", Needs::Nothing, refusals::another_uid_is_respected),
    story("port-80-taken-is-refused", Needs::RealMachine, refusals::port_taken),
    story("foreign-file-is-refused", Needs::Nothing, refusals::foreign_file),
    story("bad-archives-leave-nothing", Needs::Nothing, release::bad_archives_leave_nothing),
    story("pinned-digest-must-agree", Needs::Nothing, release::pinned_digest_must_agree),
    story("release-that-changed-upstream-is-refused", Needs::Nothing, release::changed_upstream),
    story("foreign-rules-are-kept", Needs::Nothing, port_access::foreign_rules_are_kept),
    story("foreign-lines-stay", Needs::Nothing, port_access::foreign_lines_stay),
    story("rules-now-and-at-boot-are-kept-apart", Needs::Nothing, port_access::now_and_at_boot_are_kept_apart),
    story("lowered-range-is-never-raised", Needs::Nothing, port_access::lowered_range_is_never_raised),
    story("order-keeps-ports-closed", Needs::Nothing, port_access::order_keeps_ports_closed),
    story("settings-that-open-ports-are-refused", Needs::Nothing, port_access::open_settings_are_refused),
    story("full-or-broken-list-is-refused", Needs::Nothing, port_access::full_or_broken_list_is_refused),
    story("open-ports-are-told-and-closed", Needs::Nothing, port_access::open_ports_are_told),
    story("boot-guard-closes-the-ports", Needs::Nothing, port_access::guard_closes_the_ports),
    story("portacl-rc-owns-the-rules", PORTACL_RC, port_access::portacl_rc_owns_the_rules),
    story("portacl-rc-alone-sets-the-rules", PORTACL_RC, port_access::portacl_rc_alone_sets_the_rules),
    story("rules-can-be-read", Needs::Nothing, portacl::rules_can_be_read),
    story("what-a-boot-changes-is-signed", Needs::Nothing, portacl::what_a_boot_changes_is_signed),
    story("shown-and-applied-is-the-same", Needs::Nothing, portacl::shown_and_applied_is_the_same),
    story("explained-and-proved", Needs::Nothing, portacl::explained_and_proved),
    story("granted-and-revoked", Needs::Nothing, portacl::granted_and_revoked),
    story("groups-are-granted", Needs::Nothing, portacl::groups_are_granted),
    story("rules-that-make-no-sense-are-refused", Needs::Nothing, portacl::what_makes_no_sense_is_refused),
    story("rules-are-applied-from-a-file", Needs::Nothing, portacl::rules_are_applied_from_a_file),
    story("what-is-wrong-with-rules-is-found", Needs::Nothing, portacl::what_is_wrong_is_found),
    story("portacl-rc-is-granted-through", PORTACL_RC, portacl::owned_by_portacl_rc),
    story("stopped-service-is-started-again", Needs::Nothing, service::stopped_is_started_again),
    story("only-what-it-reads-restarts-the-service", Needs::Nothing, service::only_what_it_reads_restarts_it),
    story("clean-stop", Needs::Nothing, service::clean_stop),
    story("slow-start-is-waited-for", Needs::Nothing, service::slow_start),
    story("dying-service-is-taken-back", Needs::Nothing, service::dying_service),
    story("killed-service-comes-back", Needs::RealMachine, service::killed_service),
    story("service-has-no-terminal", Needs::RealMachine, service::no_terminal),
    story("borrowed-title-is-no-supervisor", Needs::RealMachine, service::borrowed_title),
    story("no-certificate-is-told", Needs::Nothing, service::no_certificate),
    story("log-rotation", Needs::RealMachine, service::log_rotation),
    story("status-on-one-screen", Needs::Nothing, status::told_on_one_screen),
    story("drift-is-found", Needs::Nothing, status::drift_is_found),
    story("fit-for-monitoring", Needs::Nothing, status::fit_for_monitoring),
    story("what-cannot-stand-in-front-is-refused", Needs::Nothing, front::what_cannot_is_refused),
    story("to-nginx-and-back", NGINX, front::to_nginx_and_back),
    story("to-httpd-and-back", HTTPD, front::to_httpd_and_back),
    story("from-front-to-front-and-back", BOTH_FRONTS, front::from_front_to_front),
    story("a-switch-is-planned-first", NGINX, front::planned_first),
    story("a-switch-on-trial-is-taken-back", NGINX, front::on_trial),
    story("a-switch-killed-at-a-change", NGINX, front::killed_at_a_change),
    story("installed-behind-a-front-at-once", NGINX, front::installed_behind_a_front),
    story("a-site-with-our-name-is-refused", BOTH_FRONTS, front::site_with_our_name),
    story("a-broken-web-server-is-left-alone", NGINX, front::broken_web_server),
    story("sites-of-others-go-on", NGINX, front::sites_of_others_go_on),
    story("a-name-lends-no-port", NGINX, front::name_lends_no_port),
    story("foreign-rules-outlive-a-switch", NGINX, front::foreign_rules),
    story("certificates-are-told-and-renewed", NGINX, front::certificates),
    story("filters-wait-in-direct-mode", Needs::Nothing, filter::kept_in_direct_mode),
    story("filters-are-taken-up-by-nginx", NGINX, filter::taken_up_by_nginx),
    story("backed-up-and-kept-in-number", Needs::Nothing, backup::made_and_kept_in_number),
    story("put-back-on-the-same-host", Needs::Nothing, backup::put_back_on_the_same_host),
    story("put-back-on-an-empty-host", Needs::Nothing, backup::put_back_on_an_empty_host),
    story("uninstalled-and-installed-again", Needs::Nothing, uninstall::the_data_stay),
    story("uninstalled-among-others", Needs::Nothing, uninstall::edits_of_others_stay),
    story("uninstalled-behind-nginx", NGINX, uninstall::behind_nginx),
    Story { name: BEFORE_REBOOT, stays: true, needs: Needs::Nothing, told: boot::before },
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

    #[test]
    fn only_the_boot_story_leaves_the_machine_changed() {
        let staying: Vec<&str> = STORIES.iter().filter(|story| story.stays).map(|story| story.name).collect();
        assert_eq!(staying, [BEFORE_REBOOT]);
    }
}
