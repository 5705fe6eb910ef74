# shellcheck shell=sh disable=SC2154,SC2034 # variables are shared with run
# The log: who writes it, and its rotation.

# The entry of newsyslog.conf, its fields by number.
field()
{
	sed -n 's/^\(\/[^#]*\)$/\1/p' "${top}/templates/newsyslog.conf" | awk -v n="$1" '{ print $n }'
}

entry()
{
	expect test "$(grep -c '^[^#]' "${top}/templates/newsyslog.conf")" -eq 1
	expect test "$(field 1)" = /var/log/gotosocial/gotosocial.log
	expect grep -q "gotosocial_logfile:=$(field 1)}" "${top}/rc.d/gotosocial"
	expect test "$(field 2)" = root:gotosocial
	expect test "$(field 3)" = 640
	expect test "$(field 8)" = /var/run/gotosocial/daemon.pid
	# shellcheck disable=SC2016 # the text of the script
	expect grep -q '^gts_supervisor_pidfile=${gotosocial_rundir}/daemon.pid$' "${top}/rc.d/gotosocial"
	expect test "$(field 9)" = 1
}
case_of "rotation: newsyslog.conf names the log and the supervisor that the script uses" entry

# What newsyslog(8) does: rename, make a new one, signal the pid in the file.
rotates()
{
	start_up
	was=$(child)
	log=${RCTEST}/log/gotosocial.log
	mv "${log}" "${log}.0"
	: >"${log}"
	kill -HUP "$(supervisor)"
	wait_for grep -q tick "${log}"
	lines=$(wc -l <"${log}.0")
	sleep 0.5
	expect test "$(wc -l <"${log}.0")" -eq "${lines}"
	expect test "$(child)" = "${was}"
	expect alive "${was}"
	expect test "$(wc -l <"${RCTEST}/starts")" -eq 1
}
for kind in 13 14 15; do
	on_kind()	{ echo "${kind}" >"${RCTEST}/daemon-kind"; rotates; }
	case_of "rotation: daemon(8) of ${kind} opens the log again on HUP, GoToSocial runs on" on_kind
done

reopen()
{
	start_up
	log=${RCTEST}/log/gotosocial.log
	mv "${log}" "${log}.0"
	service gotosocial reopen
	expect_rc 0
	wait_for grep -q tick "${log}"
	service gotosocial stop
	service gotosocial reopen
	expect_rc 1
	expect_out "gotosocial: no supervisor runs"
}
case_of "rotation: service gotosocial reopen" reopen
