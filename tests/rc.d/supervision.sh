# shellcheck shell=sh disable=SC2154,SC2034 # variables are shared with run
# Start, stop and restart, under each kind of daemon(8).

clean_stop()
{
	touch "${RCTEST}/lingers"
	start_up
	expect_out "Starting gotosocial."
	was_child=$(child)
	was_supervisor=$(supervisor)
	expect test -e "${RCTEST}/wal"
	service gotosocial stop
	expect_rc 0
	expect_out "Stopping gotosocial."
	nothing_runs
	refute alive "${was_child}"
	refute alive "${was_supervisor}"
	refute test -e "${RCTEST}/wal"
	expect test "$(tail -n 1 "${RCTEST}/log/gotosocial.log")" = 'level=INFO msg="done! exiting..."'
	expect test "$(wc -l <"${RCTEST}/starts")" -eq 1
	expect test "$(wc -l <"${RCTEST}/terms")" -eq 1
	refute test -e "${RCTEST}/run/daemon.pid"
	refute test -e "${RCTEST}/run/gotosocial.pid"
	refute test -e "${RCTEST}/run/stopping"
}

# Proves that the stand-ins know what the stop is there for.
supervisor_first_is_unclean()
{
	start_up
	kill -TERM "$(supervisor)"
	wait_for test ! -e "${RCTEST}/run/daemon.pid"
	pid=$(cat "${RCTEST}/starts")
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		alive "${pid}" || break
		sleep 0.1
	done
	refute alive "${pid}"
	expect test -e "${RCTEST}/wal"
	refute grep -q done! "${RCTEST}/log/gotosocial.log"
}
case_of "stand-in: on 13, a TERM to the supervisor breaks the pipe and leaves the database open" \
	supervisor_first_is_unclean

slow_stop()
{
	echo 2.5 >"${RCTEST}/grace"
	start_up
	service gotosocial stop
	expect_rc 0
	nothing_runs
	refute test -e "${RCTEST}/wal"
	expect grep -q done! "${RCTEST}/log/gotosocial.log"
	expect test "$(wc -l <"${RCTEST}/terms")" -eq 1
	expect test "$(wc -l <"${RCTEST}/starts")" -eq 1
}

stop_in_crash_loop()
{
	echo crash >"${RCTEST}/mode"
	service gotosocial start
	expect_rc 0
	wait_for grep -q PANIC "${RCTEST}/log/gotosocial.log"
	service gotosocial stop
	expect_rc 0
	nothing_runs
	before=$(wc -l <"${RCTEST}/starts")
	sleep 1.3
	expect test "$(wc -l <"${RCTEST}/starts")" -eq "${before}"
	refute test -e "${RCTEST}/run/stopping"
}

# The supervisor starts its child again while the stop is under way: that child must not become GoToSocial.
restarted_in_between()
{
	echo 1.5 >"${RCTEST}/grace"
	start_up
	"${RCTEST}/rc.d/gotosocial" stop >"${RCTEST}/stop-out" 2>&1 &
	stopping=$!
	wait_for test -e "${RCTEST}/terms"
	kill -9 "$(child)"
	kill -STOP "${stopping}"
	wait_for held_back
	kill -CONT "${stopping}"
	wait "${stopping}"
	rc=$?
	expect_rc 0
	nothing_runs
	expect test "$(wc -l <"${RCTEST}/starts")" -eq 1
}

held_back()
{
	/bin/ps -axww -o ppid= -o args= | grep -q "^ *$(supervisor) sleep 30"
}

for kind in 13 14 15; do
	on_kind()
	{
		echo "${kind}" >"${RCTEST}/daemon-kind"
		"${what}"
	}
	what=clean_stop
	case_of "daemon(8) of ${kind}: start, and a clean stop: GoToSocial first, its supervisor then" on_kind
	what=slow_stop
	case_of "daemon(8) of ${kind}: stop waits for a slow GoToSocial, and asks it once" on_kind
	what=stop_in_crash_loop
	case_of "daemon(8) of ${kind}: stop in a crash loop" on_kind
	what=restarted_in_between
	case_of "daemon(8) of ${kind}: stop while the supervisor starts its child again" on_kind
done

stop_before_ready()
{
	echo starting >"${RCTEST}/mode"
	start_up
	service gotosocial stop
	expect_rc 0
	nothing_runs
	expect test "$(wc -l <"${RCTEST}/starts")" -eq 1
}
case_of "stop of one that is not ready yet" stop_before_ready

killed_child_comes_back()
{
	start_up
	first=$(child)
	kill -9 "${first}"
	wait_for test "$(wc -l <"${RCTEST}/starts")" -ge 1
	wait_for second_up
	service gotosocial status
	expect_rc 0
	expect_out "gotosocial is running as pid $(child) "
	refute test "$(child)" -eq "${first}"
	service gotosocial stop
	expect_rc 0
	nothing_runs
}

second_up()
{
	[ "$(wc -l <"${RCTEST}/up")" -ge 2 ]
}
case_of "a killed GoToSocial comes back, and can be stopped" killed_child_comes_back

# An orphan that still lives is one that writes nothing: its pipe is broken.
make_orphan()
{
	echo silent >"${RCTEST}/mode"
	service gotosocial start
	wait_for test -s "${RCTEST}/up"
	orphan=$(child)
	wait_for test -s "${RCTEST}/run/daemon.pid"
	kill -9 "$(supervisor)"
	sleep 0.2
	expect alive "${orphan}"
	expect test -e "${RCTEST}/run/daemon.pid"
}

stop_orphan()
{
	make_orphan
	service gotosocial stop
	expect_rc 0
	refute alive "${orphan}"
	nothing_runs
	refute test -e "${RCTEST}/wal"
	refute test -e "${RCTEST}/run/daemon.pid"
	refute test -e "${RCTEST}/run/gotosocial.pid"
}
case_of "stop of an orphan whose supervisor was killed" stop_orphan

stop_orphan_without_pid_files()
{
	make_orphan
	rm "${RCTEST}/run/daemon.pid" "${RCTEST}/run/gotosocial.pid"
	service gotosocial stop
	expect_rc 0
	refute alive "${orphan}"
}
case_of "stop of an orphan whose pid files are gone too" stop_orphan_without_pid_files

start_refuses_orphan()
{
	make_orphan
	service gotosocial start
	expect_rc 1
	expect_out "gotosocial: not started: GoToSocial already runs as pid ${orphan}, without its supervisor"
	expect_out "service gotosocial stop"
	expect alive "${orphan}"
	expect test "$(wc -l <"${RCTEST}/starts")" -eq 1
}
case_of "start refuses while an orphan runs" start_refuses_orphan

# rc.subr goes on with a forced start that has been refused.
forced_start()
{
	start_up
	service gotosocial forcestart
	expect_rc 1
	expect_out "gotosocial: not started: it already runs as pid $(child)."
	expect test "$(wc -l <"${RCTEST}/daemons")" -eq 1
	service gotosocial stop
	echo crash >"${RCTEST}/mode"
	rc_conf gotosocial_restart_delay=5
	service gotosocial start
	wait_for grep -q PANIC "${RCTEST}/log/gotosocial.log"
	service gotosocial forcestart
	expect_rc 1
	expect test "$(wc -l <"${RCTEST}/daemons")" -eq 2
}
case_of "a forced start does not start a second one" forced_start

double_start()
{
	start_up
	service gotosocial start
	expect_rc 1
	expect_out "gotosocial: not started: it already runs as pid $(child)."
	expect test "$(wc -l <"${RCTEST}/starts")" -eq 1
	expect test "$(wc -l <"${RCTEST}/daemons")" -eq 1
}
case_of "a second start is refused" double_start

start_in_crash_loop()
{
	echo crash >"${RCTEST}/mode"
	rc_conf gotosocial_restart_delay=5
	service gotosocial start
	wait_for grep -q PANIC "${RCTEST}/log/gotosocial.log"
	sleep 0.3
	service gotosocial start
	expect_rc 1
	expect_out "not started: its supervisor already runs as pid $(supervisor)"
}
case_of "start is refused in a crash loop" start_in_crash_loop

stranger()
{
	sleep 77 >/dev/null 2>&1 &
	stranger=$!
	echo "${stranger}" >>"${RCTEST}/strangers"
	mkdir -p "${RCTEST}/run"
	printf '%s' "${stranger}" >"${RCTEST}/run/daemon.pid"
	printf '%s' "${stranger}" >"${RCTEST}/run/gotosocial.pid"
}

stale_pid_files()
{
	stranger
	service gotosocial status
	expect_rc 1
	expect_out "gotosocial is not running."
	service gotosocial stop
	expect_rc 0
	expect alive "${stranger}"
	refute test -e "${RCTEST}/run/daemon.pid"
	stranger
	start_up
	refute test "$(child)" -eq "${stranger}"
	service gotosocial stop
	expect_rc 0
	expect alive "${stranger}"
}
case_of "stale pid files with a stranger's pid: the stranger is left alone" stale_pid_files

# lookalike COMMAND: a process with that command line.
lookalike()
{
	perl -e 'my $root = shift; $0 = "@ARGV"; sleep 1 while 1' "${RCTEST}" "$@" >/dev/null 2>&1 &
	stranger=$!
	echo "${stranger}" >>"${RCTEST}/strangers"
	sleep 0.3
}

foreign_account()
{
	lookalike "${RCTEST}/bin/gotosocial" --config-path "${RCTEST}/etc/config.yaml" server start
	echo "${stranger} 1002 1002 1002" >"${RCTEST}/ps-uid"
	service gotosocial status
	expect_rc 1
	service gotosocial stop
	expect_rc 0
	expect alive "${stranger}"
}
case_of "the same command under another account is a stranger" foreign_account

foreign_jail()
{
	lookalike "${RCTEST}/bin/gotosocial" --config-path "${RCTEST}/etc/config.yaml" server start
	echo "${stranger} 7" >"${RCTEST}/ps-jid"
	service gotosocial stop
	expect_rc 0
	expect alive "${stranger}"
}
case_of "the same command in a jail of this host is a stranger" foreign_jail

admin_command()
{
	lookalike "${RCTEST}/bin/gotosocial" --config-path "${RCTEST}/etc/config.yaml" admin media prune all
	service gotosocial status
	expect_rc 1
	start_up
	service gotosocial stop
	expect_rc 0
	expect alive "${stranger}"
}
case_of "an admin command of the same program and account is not the server" admin_command

stop_nothing()
{
	service gotosocial stop
	expect_rc 0
	expect_out "gotosocial is not running."
	service gotosocial faststop
	expect_rc 0
	expect test -z "${out}"
}
case_of "stop when nothing runs: said, and silent at shutdown" stop_nothing

disabled_but_running()
{
	start_up
	rc_conf gotosocial_enable=NO
	service gotosocial status
	expect_rc 0
	expect_out "is running as pid"
	service gotosocial start
	expect_out "Cannot 'start' gotosocial"
	service gotosocial stop
	expect_rc 0
	nothing_runs
}
case_of "a disabled service that runs is spoken of, and stopped" disabled_but_running

stop_as_user()
{
	start_up
	touch "${RCTEST}/not-root"
	service gotosocial stop
	expect_rc 1
	expect_out "gotosocial: only root can stop it."
	expect alive "$(child)"
}
case_of "stop by another than root is refused" stop_as_user

# Others than root do not always see what runs, so they are not told that nothing does.
others_claim_nothing()
{
	touch "${RCTEST}/not-root"
	for command in stop reopen; do
		service gotosocial "${command}"
		expect_rc 1
		expect_out "gotosocial: only root can"
		expect_not_out "is not running"
	done
}
case_of "stop and reopen by another than root claim nothing" others_claim_nothing

no_ps()
{
	start_up
	touch "${RCTEST}/ps-broken"
	service gotosocial stop
	expect_rc 1
	expect_out "cannot be read with ps(1)"
	expect alive "$(child)"
	service gotosocial status
	expect_rc 1
	expect_not_out "is not running"
	rm "${RCTEST}/ps-broken"
}
case_of "without a process list nothing is claimed or done" no_ps

# interrupted_stop SIGNAL
interrupted_stop()
{
	echo 3 >"${RCTEST}/grace"
	start_up
	"${RCTEST}/rc.d/gotosocial" stop >"${RCTEST}/stop-out" 2>&1 &
	stopping=$!
	wait_for test -e "${RCTEST}/terms"
	kill -"$1" "${stopping}"
	wait "${stopping}"
	rc=$?
	expect_rc 1
	out=$(cat "${RCTEST}/stop-out")
	expect_out "the stop was interrupted"
	refute test -e "${RCTEST}/run/stopping"
	service gotosocial stop
	expect_rc 0
	nothing_runs
}
for signal in TERM HUP PIPE; do
	interrupted_by()	{ interrupted_stop "${signal}"; }
	case_of "a stop that is interrupted by ${signal} says so, and can be repeated" interrupted_by
done

restart()
{
	start_up
	first=$(child)
	service gotosocial restart
	expect_rc 0
	wait_for second_up
	refute alive "${first}"
	expect alive "$(child)"
	expect test "$(wc -l <"${RCTEST}/starts")" -eq 2
	expect grep -q done! "${RCTEST}/log/gotosocial.log"
}
case_of "restart" restart

restart_refused()
{
	start_up
	first=$(child)
	mv "${RCTEST}/etc/config.yaml" "${RCTEST}/etc/gone.yaml"
	service gotosocial restart
	expect_rc 1
	expect_out "gotosocial: not restarted: whatever runs now has been left alone."
	expect alive "${first}"
	expect test "$(child)" -eq "${first}"
}
case_of "restart refuses before it stops what runs" restart_refused

environment()
{
	rc_conf "gotosocial_env=\"GTS_LOG_LEVEL=warn GTS_APPLICATION_NAME='a b'\""
	GTS_HOST=evil.example GODEBUG=x https_proxy=http://evil.example HTTPS_PROXY=http://evil.example \
		SSL_CERT_FILE=/evil TMPDIR=/evil OTEL_EXPORTER=evil XDG_CACHE_HOME=/evil
	export GTS_HOST GODEBUG https_proxy HTTPS_PROXY SSL_CERT_FILE TMPDIR OTEL_EXPORTER XDG_CACHE_HOME
	start_up
	unset GTS_HOST GODEBUG https_proxy HTTPS_PROXY SSL_CERT_FILE TMPDIR OTEL_EXPORTER XDG_CACHE_HOME
	refute grep -i evil "${RCTEST}/env"
	for line in umask=027 "HOME=${RCTEST}/db" "TMPDIR=${RCTEST}/db/tmp" "SQLITE_TMPDIR=${RCTEST}/db/tmp" \
		"GTS_WAZERO_COMPILATION_CACHE=${RCTEST}/db/wazero" GTS_LOG_LEVEL=warn "GTS_APPLICATION_NAME=a b"; do
		expect grep -qx "${line}" "${RCTEST}/env"
	done
}
case_of "environment: ours and gotosocial_env's, not the caller's" environment

# In a locale of UTF-8 sed(1) would not see past a byte that is no text.
bytes_in_the_environment()
{
	GTS_HOST=$(printf '\377evil')
	LC_ALL=C.UTF-8
	export GTS_HOST LC_ALL
	start_up
	unset GTS_HOST LC_ALL
	refute grep -qa evil "${RCTEST}/env"
}
case_of "environment: a variable of the caller's that is no text" bytes_in_the_environment

folders_made()
{
	start_up
	expect grep -qx -- "-d -o root -g wheel -m 755 ${RCTEST}/run" "${RCTEST}/installs"
	expect grep -qx -- "-o root -g gotosocial -m 640 /dev/null ${RCTEST}/log/gotosocial.log" "${RCTEST}/installs"
	expect test "$(stat -c %a "${RCTEST}/log/gotosocial.log")" = 640
}
case_of "the run folder and the log are made, with owner and mode" folders_made

oom_protection()
{
	rc_conf gotosocial_oomprotect=YES
	start_up
	expect grep -qx -- "-d -i -p $(supervisor)" "${RCTEST}/protect"
	service gotosocial stop
	rm "${RCTEST}/protect"
	set_sysctl security.jail.jailed 1
	service gotosocial start
	expect_out "gotosocial_oomprotect has no effect in a jail"
	refute test -e "${RCTEST}/protect"
}
case_of "protection from running out of memory, on request" oom_protection

# The supervisor has neither pid file nor title when the daemon(8) that was called has returned.
late_supervisor()
{
	touch "${RCTEST}/late"
	rc_conf gotosocial_oomprotect=YES
	start_up
	expect grep -qx -- "-d -i -p $(supervisor)" "${RCTEST}/protect"
}
case_of "protection of a supervisor that is late" late_supervisor

# Whoever has its ports freed meanwhile: it is a moment from GoToSocial, and not for ever.
held()
{
	mkdir -p "${RCTEST}/run"
	: >"${RCTEST}/run/held"
	service gotosocial start
	expect_rc 0
	sleep 0.5
	refute test -e "${RCTEST}/starts"
	rm "${RCTEST}/run/held"
	wait_for test -s "${RCTEST}/up"
	expect test "$(wc -l <"${RCTEST}/starts")" -eq 1
	service gotosocial stop
	: >"${RCTEST}/run/held"
	service gotosocial start
	sleep 0.2
	service gotosocial stop
	expect_rc 0
	nothing_runs
	refute test -e "${RCTEST}/run/held"
	expect test "$(wc -l <"${RCTEST}/starts")" -eq 1
}
case_of "a start that is held waits before GoToSocial, and can be stopped there" held
