# shellcheck shell=sh disable=SC2154 # RCTEST is set by daemon
# What the account may do, as the tests need not run as root: it may not write in the log's folder ($RCTEST/log-writable:
# it may), and not in what $RCTEST/unwritable names, nor read what $RCTEST/unreadable names. It can trace its own
# processes, so it can do something else in the place of any command: what $RCTEST/account says.
test()
{
	case $1 in
	-w)
		! grep -qx "$2" "${RCTEST}/unwritable" 2>/dev/null || return 1
		[ "$2" != "${RCTEST}/log" ] || [ -e "${RCTEST}/log-writable" ] || return 1
		;;
	-r)	! grep -qx "$2" "${RCTEST}/unreadable" 2>/dev/null || return 1 ;;
	esac
	[ "$@" ]
}
if [ -e "${RCTEST}/account" ]; then
	# shellcheck source=/dev/null
	. "${RCTEST}/account"
fi
