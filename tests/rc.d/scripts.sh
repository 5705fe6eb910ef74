# shellcheck shell=sh disable=SC2154,SC2034 # variables are shared with run
# The scripts as texts: syntax, shellcheck, the boot order they ask for.

syntax()
{
	for script in "${top}"/rc.d/* "${top}"/templates/periodic/* "${here}"/run "${here}"/*.sh "${stand_ins}/rc.subr" "${stand_ins}/ps" \
		"${stand_ins}/sysctl" "${stand_ins}/account.sh" "${stand_ins}/id" "${stand_ins}/logger" "${stand_ins}/protect" \
		"${stand_ins}/fetch" "${stand_ins}/openssl"; do
		expect sh -n "${script}"
	done
}
case_of "syntax of all scripts" syntax

clean_in_shellcheck()
{
	out=$(shellcheck "${top}"/rc.d/* "${top}"/templates/periodic/* "${here}"/run "${here}"/*.sh "${stand_ins}/rc.subr" "${stand_ins}/ps" \
		"${stand_ins}/sysctl" "${stand_ins}/account.sh" "${stand_ins}/id" "${stand_ins}/fetch" "${stand_ins}/openssl" 2>&1) ||
		miss "${out}"
}
if command -v shellcheck >/dev/null; then
	case_of "shellcheck of all scripts" clean_in_shellcheck
else
	echo "skipped shellcheck of all scripts: it is not installed"
fi

# The words after KEYWORD in the header of a script, one a line.
header()
{
	sed -n "s/^# $2: *//p" "${top}/rc.d/$1" | tr ' ' '\n'
}

boot_order()
{
	expect test "$(header gotosocial PROVIDE)" = gotosocial
	expect test "$(header gotosocial REQUIRE)" = LOGIN
	expect test "$(header gotosocial KEYWORD)" = shutdown
	for word in sysctl kld; do
		expect test "$(header gts_portacl_guard REQUIRE | grep -cx "${word}")" -eq 1
	done
	expect test "$(header gts_portacl_guard BEFORE)" = SERVERS
	expect test "$(header gts_portacl_guard_late REQUIRE)" = sysctl_lastload
	for word in jail securelevel; do
		expect test "$(header gts_portacl_guard_late BEFORE | grep -cx "${word}")" -eq 1
	done
	for script in gts_portacl_guard gts_portacl_guard_late; do
		expect test "$(header "${script}" KEYWORD)" = nojailvnet
	done
}
case_of "boot order" boot_order

# rc.subr gives these names a meaning of its own.
no_reserved_names()
{
	for word in program user group groups flags nice prepend chroot chdir svcj; do
		refute grep -q "gotosocial_${word}[:}=]" "${top}/rc.d/gotosocial"
	done
}
case_of "no rc.conf variable that rc.subr takes for its own" no_reserved_names
