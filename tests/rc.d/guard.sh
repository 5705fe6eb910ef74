# shellcheck shell=sh disable=SC2154,SC2034 # variables are shared with run
# gts_portacl_guard: open ports are closed, guarded and closed ones left alone; twice at boot.

high=net.inet.ip.portrange.reservedhigh

# left_alone TEXT: start changes nothing and is silent; status says TEXT.
left_alone()
{
	was=$(get_sysctl "${high}")
	service gts_portacl_guard start
	expect_rc 0
	expect test -z "${out}"
	expect test "$(get_sysctl "${high}")" = "${was}"
	refute test -e "${RCTEST}/logger"
	service gts_portacl_guard status
	expect_rc 0
	expect_out "$1"
}

# closed_again TEXT: status says open, start raises reservedhigh to 1023, says TEXT on the console and in the log.
closed_again()
{
	service gts_portacl_guard status
	expect_rc 1
	expect_out "gts_portacl_guard: OPEN: $1"
	was=$(get_sysctl "${high}")
	service gts_portacl_guard start
	expect_rc 0
	expect_out "gts_portacl_guard: $1"
	expect_out "reservedhigh was ${was}"
	expect_out "It has been set to 1023"
	expect test "$(get_sysctl "${high}")" = 1023
	expect grep -q -- "-p security.crit -t gts_portacl_guard $1" "${RCTEST}/logger"
	service gts_portacl_guard status
	expect_rc 0
	expect_out "gts_portacl_guard: closed: ports up to 1023 are reserved for root"
}

absent="the kernel module mac_portacl is not loaded"

guarded()	{ left_alone "gts_portacl_guard: guarded: reservedhigh is 79"; }
case_of "guard: in force and lowered: left alone" guarded

guarded_at_0()	{ set_sysctl "${high}" 0; left_alone "guarded: reservedhigh is 0"; }
case_of "guard: in force and lowered to 0: left alone" guarded_at_0

reserved()	{ no_portacl; set_sysctl "${high}" 1023; left_alone "closed: ports up to 1023"; }
case_of "guard: no module, not lowered: left alone" reserved

open_absent()	{ no_portacl; closed_again "${absent}"; }
case_of "guard: no module, lowered: closed" open_absent

open_by_one()	{ no_portacl; set_sysctl "${high}" 1022; closed_again "${absent}"; }
case_of "guard: no module, lowered by one: closed" open_by_one

open_off()	{ set_sysctl security.mac.portacl.enabled 0; closed_again "mac_portacl is switched off"; }
case_of "guard: module switched off, lowered: closed" open_off

off_reserved()	{ set_sysctl security.mac.portacl.enabled 0; set_sysctl "${high}" 1023; left_alone "closed"; }
case_of "guard: module switched off, not lowered: left alone" off_reserved

open_port_high()
{
	set_sysctl security.mac.portacl.port_high 1022
	closed_again "mac_portacl guards ports only up to 1022"
}
case_of "guard: port_high below 1023, lowered: closed" open_port_high

odd_values()
{
	echo yes >"${RCTEST}/sysctl/security.mac.portacl.enabled"
	closed_again "${absent}"
}
case_of "guard: a value that is not understood counts as not in force" odd_values

no_rules()	{ : >"${RCTEST}/sysctl/security.mac.portacl.rules"; left_alone "guarded"; }
case_of "guard: in force without rules lets nobody in: left alone" no_rules

other_value()
{
	rc_conf gts_portacl_guard_reservedhigh=500
	no_portacl
	set_sysctl "${high}" 500
	service gts_portacl_guard start
	expect test "$(get_sysctl "${high}")" = 500
	set_sysctl "${high}" 79
	service gts_portacl_guard start
	expect_rc 0
	expect test "$(get_sysctl "${high}")" = 500
}
case_of "guard: an administrator's own lower value is what it goes back to" other_value

securelevel()
{
	no_portacl
	set_sysctl kern.securelevel 1
	service gts_portacl_guard start
	expect_rc 1
	expect_out "gts_portacl_guard: OPEN PORTS: ${absent}, reservedhigh is 79, and it could not be raised"
	expect_out "Operation not permitted"
	expect_out "The securelevel forbids it"
	expect grep -q "OPEN PORTS" "${RCTEST}/logger"
	expect test "$(get_sysctl "${high}")" = 79
}
case_of "guard: securelevel forbids it: said" securelevel

steering()
{
	no_portacl
	set_sysctl kern.securelevel 1
	# What sysctl(8) says of its failure has what a terminal would obey, and a line of its own.
	mkdir "${RCTEST}/steering"
	cat >"${RCTEST}/steering/sysctl" <<-EOF
		#!/bin/sh
		case \$1 in *=*) printf 'no\033[2J\302\233m\nguarded: all is well\n' >&2; exit 1 ;; esac
		exec "${stand_ins}/sysctl" "\$@"
	EOF
	chmod 755 "${RCTEST}/steering/sysctl"
	sed "s|^PATH=|PATH=${RCTEST}/steering:|" "${RCTEST}/rc.d/gts_portacl_guard" >"${RCTEST}/steering/guard"
	cat "${RCTEST}/steering/guard" >"${RCTEST}/rc.d/gts_portacl_guard"
	service gts_portacl_guard start
	expect_rc 1
	expect_out "(no?[2J??m?guarded: all is well)"
	expect grep -q "no?\[2J??m?guarded" "${RCTEST}/logger"
	expect test -z "$(cat "${RCTEST}/logger" - <<-EOF | LC_ALL=C tr -d '\12\40-\176'
		${out}
	EOF
	)"
}
case_of "guard: nothing that sysctl says steers the console or makes a line of its own" steering

jail()
{
	no_portacl
	set_sysctl security.jail.jailed 1
	service gts_portacl_guard start
	expect_rc 1
	expect_out "it has to be put right on the host"
}
case_of "guard: in a jail that cannot change it: said" jail

unreadable_high()
{
	no_portacl
	rm "${RCTEST}/sysctl/${high}"
	service gts_portacl_guard start
	expect_rc 1
	expect_out "OPEN PORTS"
}
case_of "guard: a reservedhigh that cannot be read counts as open" unreadable_high

disabled()
{
	rc_conf gts_portacl_guard_enable=NO
	no_portacl
	service gts_portacl_guard faststart
	expect test "$(get_sysctl "${high}")" = 79
	service gts_portacl_guard_late faststart
	expect test "$(get_sysctl "${high}")" = 79
	service gts_portacl_guard status
	expect_rc 1
	expect_out "OPEN"
}
case_of "guard: disabled: changes nothing, status still tells" disabled

# boot: rc.d/sysctl, the early guard, rc.d/sysctl_lastload and the late guard, with the commands of FreeBSD's scripts.
boot()
{
	printf 'security.mac.portacl.rules=uid:209:tcp:80,uid:209:tcp:443\n%s=79\n' "${high}" >"${RCTEST}/sysctl.conf"
	set_sysctl "${high}" 1023
	"${RCTEST}/stand-ins/sysctl" -i -f "${RCTEST}/sysctl.conf" >/dev/null 2>&1
	early_before=$(get_sysctl "${high}")
	service gts_portacl_guard faststart
	early=$(get_sysctl "${high}")
	"${RCTEST}/stand-ins/sysctl" -f "${RCTEST}/sysctl.conf" >/dev/null 2>&1
	late_before=$(get_sysctl "${high}")
	service gts_portacl_guard_late faststart
	late=$(get_sysctl "${high}")
}

boot_without_module()
{
	no_portacl
	boot
	# The first two tell that the danger is real, so that the others mean something.
	expect test "${early_before}" = 79
	expect test "${late_before}" = 79
	expect test "${early}" = 1023
	expect test "${late}" = 1023
	expect test "$(wc -l <"${RCTEST}/logger")" -eq 2
}
case_of "guard: a boot without the module: closed early, and again after sysctl_lastload" boot_without_module

boot_in_order()
{
	boot
	expect test "${early}" = 79
	expect test "${late}" = 79
	refute test -e "${RCTEST}/logger"
}
case_of "guard: a boot with the module: left alone twice" boot_in_order
