# shellcheck shell=sh disable=SC2154,SC2034 # variables are shared with run
# Who is the supervisor, and who only looks like it.

# impostor IDS: a process with the supervisor's title and these ids: effective, real, saved.
impostor()
{
	lookalike "daemon: gotosocial[1] (daemon)"
	echo "${stranger}" >>"${RCTEST}/daemons"
	echo "${stranger} $1" >"${RCTEST}/ps-uid"
}

# ignored: it makes neither start refuse nor stop wait, nor status tell of a supervisor.
ignored()
{
	service gotosocial status
	expect_rc 1
	expect test "${out}" = "gotosocial is not running."
	service gotosocial stop
	expect_rc 0
	expect_out "gotosocial is not running."
	start_up
	service gotosocial stop
	expect_rc 0
	refute test -e "${RCTEST}/wal"
	expect alive "${stranger}"
	kill -9 "${stranger}"
	wait_for gone "${stranger}"
	nothing_runs
}

under_another_account()	{ impostor "1002 1002 1002"; ignored; }
case_of "the supervisor's title under an account other than root is a stranger" under_another_account

set_uid()
{
	# Even where a pid file names it: its pid is chosen by whoever starts many.
	for ids in "0 1002 0" "0 0 1002" "0 1002 1002"; do
		impostor "${ids}"
		mkdir -p "${RCTEST}/run"
		echo "${stranger}" >"${RCTEST}/run/daemon.pid"
		ignored
	done
}
case_of "a set-uid program with the supervisor's title is a stranger" set_uid

without_pid_file()	{ impostor "0 0 0"; ignored; }
case_of "a process of root's with the supervisor's title that no pid file names is a stranger" without_pid_file

# forged WAY: a pid file that somebody else than root could have written counts for nothing.
forged()
{
	impostor "0 0 0"
	mkdir -p "${RCTEST}/run"
	echo "${stranger}" >"${RCTEST}/run/daemon.pid"
	case $1 in
	mode)	chmod 666 "${RCTEST}/run/daemon.pid" ;;
	group)	chmod 620 "${RCTEST}/run/daemon.pid" ;;
	folder)	chmod 777 "${RCTEST}/run" ;;
	owner)	echo 12345 >"${RCTEST}/root-uid" ;;
	link)	ln "${RCTEST}/run/daemon.pid" "${RCTEST}/other" ;;
	symlink)
		mv "${RCTEST}/run/daemon.pid" "${RCTEST}/other"
		ln -s "${RCTEST}/other" "${RCTEST}/run/daemon.pid"
		;;
	text)	echo "1 ${stranger}" >"${RCTEST}/run/daemon.pid" ;;
	fifo)	rm "${RCTEST}/run/daemon.pid"; mkfifo "${RCTEST}/run/daemon.pid" ;;
	esac
	service gotosocial status
	expect_rc 1
	expect test "${out}" = "gotosocial is not running."
	[ "$1" != mode ] || ignored
}
for way in mode group folder owner link symlink text fifo; do
	forged_so()	{ forged "${way}"; }
	case_of "a pid file that somebody else than root could have written names nobody: ${way}" forged_so
done

# The other way round: what root's pid file names, with root's ids and the title, is the supervisor.
named()
{
	impostor "0 0 0"
	mkdir -p "${RCTEST}/run"
	chmod 755 "${RCTEST}/run"
	printf '%s' "${stranger}" >"${RCTEST}/run/daemon.pid"
	chmod 600 "${RCTEST}/run/daemon.pid"
	service gotosocial start
	expect_rc 1
	expect_out "not started: its supervisor already runs as pid ${stranger}"
}
case_of "stand-in: what root's own pid file names is taken for the supervisor" named

lost_pid_file()
{
	start_up
	was_supervisor=$(supervisor)
	rm "${RCTEST}/run/daemon.pid"
	service gotosocial status
	expect_rc 0
	expect_not_out WITHOUT
	service gotosocial stop
	expect_rc 0
	refute alive "${was_supervisor}"
	nothing_runs
	expect test "$(wc -l <"${RCTEST}/starts")" -eq 1
}
case_of "a supervisor that has lost its pid file is known by its child, and stopped" lost_pid_file

seen_by_others()
{
	echo crash >"${RCTEST}/mode"
	rc_conf gotosocial_restart_delay=5
	service gotosocial start
	wait_for grep -q PANIC "${RCTEST}/log/gotosocial.log"
	sleep 0.3
	touch "${RCTEST}/not-root"
	service gotosocial status
	expect_rc 1
	expect_out "its supervisor (pid $(supervisor)) is about to start it again"
	rm "${RCTEST}/not-root"
}
case_of "status by another than root, who cannot read the pid file, tells of the supervisor" seen_by_others

forged_for_others()
{
	impostor "0 1002 0"
	mkdir -p "${RCTEST}/run"
	touch "${RCTEST}/not-root" "${RCTEST}/run/daemon.pid"
	service gotosocial status
	expect_rc 1
	expect test "${out}" = "gotosocial is not running."
}
case_of "status by another than root tells a set-uid program from the supervisor" forged_for_others

set_uid_server()
{
	lookalike "${RCTEST}/bin/gotosocial" --config-path "${RCTEST}/etc/config.yaml" server start
	echo "${stranger} 209 1002 209" >"${RCTEST}/ps-uid"
	ignored
}
case_of "a set-uid program with the server's command line is a stranger" set_uid_server

unreadable_rows()
{
	printf '%s\n' '' '-' 'garbage' "  99     1     -     -     -     - -" '12 1 0 0' '7 1 0 0 0 x daemon: gotosocial[1] (daemon)' \
		"$(printf '\377\033[2J 1 0 0 0 0 x')" >"${RCTEST}/ps-rows"
	start_up
	service gotosocial status
	expect_rc 0
	expect_out "gotosocial is running as pid $(child) "
	service gotosocial stop
	expect_rc 0
	nothing_runs
}
case_of "a row of ps(1) that cannot be read is unknown, and not the end" unreadable_rows

cut_list()
{
	start_up
	touch "${RCTEST}/ps-cut"
	for command in status stop start; do
		service gotosocial "${command}"
		expect_rc 1
		expect_out "cannot be read with ps(1)"
		expect_not_out "is not running"
	done
	expect alive "$(child)"
	rm "${RCTEST}/ps-cut"
}
case_of "a list of ps(1) that lacks even the script itself is no list" cut_list

continued()
{
	start_up
	kill -STOP "$(child)"
	service gotosocial stop
	expect_rc 0
	nothing_runs
	refute test -e "${RCTEST}/wal"
}
case_of "stop continues a stopped GoToSocial, which then ends cleanly" continued

given_up()
{
	sed -i 's/^gts_patience=600$/gts_patience=1/' "${RCTEST}/rc.d/gotosocial"
	echo 9 >"${RCTEST}/grace"
	start_up
	service gotosocial stop
	expect_rc 1
	expect_out "gotosocial: not stopped: pid $(child) still runs after 1 seconds."
	expect_out "service gotosocial stop"
	expect alive "$(child)"
	expect test -e "${RCTEST}/run/stopping"
	kill -9 "$(child)"
	service gotosocial stop
	expect_rc 0
	nothing_runs
	expect test "$(wc -l <"${RCTEST}/starts")" -eq 1
}
case_of "stop gives up on one that does not end, and a second stop finds the hold" given_up
