# shellcheck shell=sh disable=SC2154,SC2034 # variables are shared with run
# The daily look at the certificate, with a /etc/defaults/periodic.conf of the tests' own.

# periodic LINE...: runs the script as periodic(8) does, with these lines in /etc/periodic.conf.
periodic()
{
	cat >"${RCTEST}/defaults" <<-EOF
		anticongestion() { echo waited >>"${RCTEST}/waited"; }
		source_periodic_confs() { . "${RCTEST}/periodic.conf"; }
	EOF
	printf '%s\n' "daily_gts_bootstrap_certificate_program=${RCTEST}/bin/gts-bootstrap" "$@" >"${RCTEST}/periodic.conf"
	sed "s|/etc/defaults/periodic.conf|${RCTEST}/defaults|" "${top}/templates/periodic/certificate" >"${RCTEST}/script"
	out=$(/bin/sh "${RCTEST}/script" 2>&1)
	rc=$?
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
