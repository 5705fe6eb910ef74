# shellcheck shell=sh disable=SC2154,SC2034 # variables are shared with run
# The daily scripts, with a /etc/defaults/periodic.conf of the tests' own.

# periodic_of TEMPLATE VARIABLE LINE...: runs a script as periodic(8) does, with the program under this variable and these lines in
# /etc/periodic.conf.
periodic_of()
{
	template=$1
	variable=$2
	shift 2
	cat >"${RCTEST}/defaults" <<-EOF
		anticongestion() { echo waited >>"${RCTEST}/waited"; }
		source_periodic_confs() { . "${RCTEST}/periodic.conf"; }
	EOF
	printf '%s\n' "${variable}=${RCTEST}/bin/gts-bootstrap" "$@" >"${RCTEST}/periodic.conf"
	sed "s|/etc/defaults/periodic.conf|${RCTEST}/defaults|" "${top}/templates/periodic/${template}" >"${RCTEST}/script"
	out=$(/bin/sh "${RCTEST}/script" 2>&1)
	rc=$?
}

# periodic LINE...: the look at the certificate.
periodic()
{
	periodic_of certificate daily_gts_bootstrap_certificate_program "$@"
}

# daily_status LINE...: the status.
daily_status()
{
	periodic_of status daily_status_gotosocial_program "$@"
}

# program STATUS: a gts-bootstrap that writes down how it was called, says so on both outputs, and ends like this.
program()
{
	cat >"${RCTEST}/bin/gts-bootstrap" <<-EOF
		#!/bin/sh
		echo "\$*" >>"${RCTEST}/calls"
		echo told
		echo told too >&2
		exit $1
	EOF
	chmod 755 "${RCTEST}/bin/gts-bootstrap"
}

looks()
{
	program 0
	periodic
	expect_rc 0
	expect_out "told too"
	expect test "$(cat "${RCTEST}/calls")" = "certificate renew --yes --quiet"
	expect test -e "${RCTEST}/waited"
}
case_of "periodic: it renews without a question, after a wait" looks

fails()
{
	for status in 1 2 3 4; do
		program "${status}"
		periodic
		expect_rc 3
		expect_out "told too"
	done
}
case_of "periodic: a failure needs attention" fails

switched_off()
{
	program 0
	periodic 'daily_gts_bootstrap_certificate_enable="NO"'
	expect_rc 0
	expect test -z "${out}"
	refute test -e "${RCTEST}/calls"
	periodic 'daily_gts_bootstrap_certificate_enable="yes"'
	expect test -e "${RCTEST}/calls"
}
case_of "periodic: it can be switched off" switched_off

no_program()
{
	rm -f "${RCTEST}/bin/gts-bootstrap"
	periodic
	expect_rc 2
	expect_out "is not there, so nobody renews"
}
case_of "periodic: without the program it says so" no_program

# status_is STATUS TEXT: a gts-bootstrap that finds this.
status_is()
{
	cat >"${RCTEST}/bin/gts-bootstrap" <<-EOF
		#!/bin/sh
		echo "\$*" >>"${RCTEST}/calls"
		[ -z "$2" ] || echo "$2"
		exit $1
	EOF
	chmod 755 "${RCTEST}/bin/gts-bootstrap"
}

says_nothing()
{
	status_is 0 ""
	daily_status
	expect_rc 0
	expect test -z "${out}"
	expect test "$(cat "${RCTEST}/calls")" = "--quiet --color never status --offline"
	refute test -e "${RCTEST}/waited"
}
case_of "periodic: nothing is said of a status that is well" says_nothing

says_what_is_wrong()
{
	status_is 0 "  warn drift: a file is gone"
	daily_status
	expect_rc 1
	expect_out "Status of GoToSocial:"
	expect_out "warn drift: a file is gone"
	for status in 1 2 3; do
		status_is "${status}" "  FAIL service: it does not run"
		daily_status
		expect_rc 3
		expect_out "FAIL service: it does not run"
	done
	status_is 3 ""
	daily_status
	expect_rc 3
}
case_of "periodic: a warning is notable, a failure important" says_what_is_wrong

status_switched_off()
{
	status_is 3 "wrong"
	daily_status 'daily_status_gotosocial_enable="NO"'
	expect_rc 0
	expect test -z "${out}"
	refute test -e "${RCTEST}/calls"
	daily_status 'daily_status_gotosocial_enable="yes"'
	expect_rc 3
}
case_of "periodic: the status can be switched off" status_switched_off

status_without_program()
{
	rm -f "${RCTEST}/bin/gts-bootstrap"
	daily_status
	expect_rc 2
	expect_out "nobody looks at the status"
}
case_of "periodic: without the program nobody looks, and it says so" status_without_program

# weekly LINE...: runs the script of the backup, with these lines in /etc/periodic.conf.
weekly()
{
	cat >"${RCTEST}/defaults" <<-EOF
		source_periodic_confs() { . "${RCTEST}/periodic.conf"; }
	EOF
	printf '%s\n' "weekly_gotosocial_backup_program=${RCTEST}/bin/gts-bootstrap" "$@" >"${RCTEST}/periodic.conf"
	sed "s|/etc/defaults/periodic.conf|${RCTEST}/defaults|" "${top}/templates/periodic/backup" >"${RCTEST}/script"
	out=$(/bin/sh "${RCTEST}/script" 2>&1)
	rc=$?
}

backup_is_off()
{
	program 0
	weekly
	expect_rc 0
	expect test -z "${out}"
	refute test -e "${RCTEST}/calls"
}
case_of "periodic: no backup is made before somebody asks for it" backup_is_off

backs_up()
{
	status_is 0 "Backed up to /somewhere."
	weekly 'weekly_gotosocial_backup_enable="YES"'
	expect_rc 1
	expect test "${out}" = "GoToSocial: Backed up to /somewhere."
	expect test "$(cat "${RCTEST}/calls")" = "--quiet --color never backup --yes --keep 4"
	rm -f "${RCTEST}/calls"
	weekly 'weekly_gotosocial_backup_enable="yes"' 'weekly_gotosocial_backup_keep="2"' \
	    'weekly_gotosocial_backup_flags="--to /backup --without-media"'
	expect test "$(cat "${RCTEST}/calls")" = "--quiet --color never backup --yes --keep 2 --to /backup --without-media"
}
case_of "periodic: a backup is told in one line" backs_up

backup_fails()
{
	for status in 1 2 4; do
		status_is "${status}" "no room"
		weekly 'weekly_gotosocial_backup_enable="YES"'
		expect_rc 3
		expect_out "The backup of GoToSocial failed:"
		expect_out "no room"
	done
	rm -f "${RCTEST}/calls"
	for keep in 0 "" x -1; do
		weekly 'weekly_gotosocial_backup_enable="YES"' "weekly_gotosocial_backup_keep='${keep}'"
		[ -z "${keep}" ] || expect_rc 2
	done
	rm -f "${RCTEST}/bin/gts-bootstrap"
	weekly 'weekly_gotosocial_backup_enable="YES"'
	expect_rc 2
	expect_out "nobody backs GoToSocial up"
}
case_of "periodic: a backup that fails needs attention" backup_fails

# steering STATUS: a gts-bootstrap that says what a terminal would obey, on both outputs: ESC, BEL, CR, C1 in UTF-8 and as a byte,
# and a change of the reading order.
steering()
{
	cat >"${RCTEST}/bin/gts-bootstrap" <<-EOF
		#!/bin/sh
		printf 'a\033[2J\007\rb\302\233c\233d\342\200\256e\tf\n'
		printf 'two\033]0;t\n' >&2
		exit $1
	EOF
	chmod 755 "${RCTEST}/bin/gts-bootstrap"
}

# plain_out: the output has both lines, in printable ASCII.
plain_out()
{
	expect_out "a?[2J??b??c?d???e	f
two?]0;t"
	expect test -z "$(printf '%s' "${out}" | LC_ALL=C tr -d '\11\12\40-\176')"
}

steers_nothing()
{
	for status in 0 3; do
		steering "${status}"
		periodic
		plain_out
		daily_status
		plain_out
		weekly 'weekly_gotosocial_backup_enable="YES"'
		plain_out
	done
	expect_rc 3
	# shellcheck disable=SC2016 # periodic.conf is a script
	periodic 'daily_gts_bootstrap_certificate_program="$(printf "/no\033where")"'
	expect_out "/no?where is not there"
}
case_of "periodic: nothing that a program says steers a terminal" steers_nothing
