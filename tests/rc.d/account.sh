# shellcheck shell=sh disable=SC2154,SC2034 # variables are shared with run
# What the scripts start as the account: what it is given, and what it cannot do to root.

# surrounded FILE: what FILE tells of a process of the account is what such a process may have.
surrounded()
{
	for line in terminal=none "core=0 0" "open=0 1 2" stdin=/dev/null umask=027 "HOME=${RCTEST}/db" \
		"PATH=${RCTEST}/stand-ins:/usr/bin:/bin" GTS_LOG_LEVEL=warn "GTS_APPLICATION_NAME=a b"; do
		expect grep -qx "${line}" "${RCTEST}/$1"
	done
	refute grep -i evil "${RCTEST}/$1"
	refute grep ^RCTEST "${RCTEST}/$1"
}

own_session()
{
	rc_conf "gotosocial_env=\"GTS_LOG_LEVEL=warn GTS_APPLICATION_NAME='a b'\""
	for command in start configtest health stop; do
		out=$(GTS_HOST=evil gotosocial_config=/evil.yaml LD_PRELOAD_32=evil SSH_AUTH_SOCK=/evil https_proxy=http://evil \
			ENV=/evil "${here}/on-a-pty" "${RCTEST}/rc.d/gotosocial" "${command}" 3</etc/passwd 7</etc/passwd 2>&1)
		rc=$?
		expect_rc 0
		[ "${command}" != start ] || wait_for test -s "${RCTEST}/up"
	done
	surrounded env
	surrounded debug-env
	expect test "$(grep -cx terminal=none "${RCTEST}/debug-env")" -eq 2
	expect grep -qx TMPDIR="${RCTEST}/db/tmp" "${RCTEST}/env"
}
case_of "the account has no terminal, descriptor, variable, core or umask of root's" own_session

# Proves that a terminal would be seen.
# shellcheck disable=SC2016 # the script's own text
shared_session()
{
	sed -i 's/^\(.*\)daemon -c -u "${gotosocial_runas}" /\1/' "${RCTEST}/rc.d/gotosocial"
	out=$("${here}/on-a-pty" "${RCTEST}/rc.d/gotosocial" configtest 2>&1)
	expect grep -qx terminal=open "${RCTEST}/debug-env"
}
case_of "stand-in: without daemon(8) the account could open root's terminal" shared_session

# as_account LINE...: the account does this in the place of what it is asked to do.
as_account()
{
	printf '%s\n' "$@" >"${RCTEST}/account"
}

# shellcheck disable=SC2016 # expanded by what runs as the account
stopped()
{
	sed -i 's/^gts_limit=60$/gts_limit=1/' "${RCTEST}/rc.d/gotosocial"
	as_account "echo \$\$ >>'${RCTEST}/strangers'; kill -STOP \$\$"
	for command in start configtest; do
		service gotosocial "${command}"
		expect_rc 1
		expect_out "gotosocial: what was asked of gotosocial has not been answered within 1 seconds."
		expect_out "ps -U gotosocial"
	done
	refute test -e "${RCTEST}/starts"
}
case_of "a process of the account that stops itself holds nothing up" stopped

endless()
{
	as_account "exec yes '\"db-password\": \"hunter2\",'"
	service gotosocial configtest
	expect_rc 1
	expect_out "has not been answered"
	expect_not_out hunter2
}
case_of "an answer of the account without end is cut off, and not shown" endless

no_ids()
{
	touch "${RCTEST}/no-account"
	service gotosocial start
	expect_rc 1
	expect_out "daemon: failed to set user environment"
	refute test -e "${RCTEST}/starts"
}
case_of "where daemon(8) cannot take on the account's ids, nothing runs" no_ids

# shellcheck disable=SC2016 # expanded by what runs as the account
lies()
{
	for mode in 777 1777; do
		chmod "${mode}" "${RCTEST}/log"
		as_account 'test() { case $2 in *log) return 1 ;; *) return 0 ;; esac; }'
		service gotosocial start
		expect_rc 1
		expect_out "gotosocial may write in the log's folder ${RCTEST}/log, where root opens the log"
	done
	chmod 755 "${RCTEST}/log"
	as_account 'exec printf "/etc/master.passwd\n11"'
	service gotosocial start
	expect_rc 1
	expect_out "gotosocial cannot write in ${RCTEST}/db."
	expect_not_out master.passwd
	refute test -e "${RCTEST}/starts"
}
case_of "the account's word is not believed about the log's folder, and not repeated" lies

unreadable_in_questions()
{
	start_up
	echo "${RCTEST}/etc/config.yaml" >"${RCTEST}/unreadable"
	for command in configtest health; do
		service gotosocial "${command}"
		expect_rc 1
		expect_out "gotosocial cannot read ${RCTEST}/etc/config.yaml. Correct it with: chown root:gotosocial"
	done
}
case_of "configtest and health: a configuration file that the account cannot read" unreadable_in_questions

not_root()
{
	touch "${RCTEST}/not-root"
	for command in start restart configtest; do
		service gotosocial "${command}"
		expect_rc 1
		expect_out "gotosocial: only root can do this."
	done
	refute test -e "${RCTEST}/starts"
}
case_of "what needs root says so to others" not_root

# The answers of the network are taken apart by the account.
health_as_account()
{
	start_up
	# shellcheck disable=SC2016 # expanded by what runs as the account
	as_account "echo \"\$*\" >>'${RCTEST}/asked'"
	service gotosocial health
	expect_rc 0
	expect grep -q "fetch -q -T 30" "${RCTEST}/asked"
	printf 'host: social.example.org\nport: 443\nletsencrypt-enabled: true\n' >"${RCTEST}/etc/config.yaml"
	service gotosocial health
	expect grep -q "openssl s_client" "${RCTEST}/asked"
}
case_of "health: fetch(1) and openssl(1) run as the account" health_as_account

# outside: bytes that a terminal would obey, that reorder text, or that are no text.
outside()
{
	printf 'a\033[2Jb\233c\302\205d\342\200\256e\377f\007\r\177\b\016g\342\201\246'
}

# expect_visible: nothing of it is left, on the screen or in the log, and it has not been swallowed.
expect_visible()
{
	expect_out 'a\x1b[2Jb\x9bc\xc2\x85d\xe2\x80\xaee\xfff\x07'
	expect test -z "$(printf '%s' "${out}" | LC_ALL=C tr -d '\n\t -~')"
	expect test -z "$(LC_ALL=C tr -d '\n\t -~' <"${RCTEST}/logger" 2>/dev/null)"
}

visible()
{
	start_up
	touch "${RCTEST}/logger"
	outside >"${RCTEST}/fetch-says"
	service gotosocial health
	expect_rc 1
	expect_visible
	rm "${RCTEST}/fetch-says"
	outside >"${RCTEST}/debug-err"
	for command in configtest health; do
		service gotosocial "${command}"
		expect_rc 1
		expect_visible
	done
	rm "${RCTEST}/debug-err"
	printf '{\n    "host": "%s"\n}\n' "$(outside)" >"${RCTEST}/debug-out"
	service gotosocial configtest
	expect_rc 1
	expect_visible
	printf 'host: %s\n' "$(outside)" >"${RCTEST}/etc/config.yaml"
	service gotosocial configtest
	expect_rc 0
	expect_visible
	rm "${RCTEST}/debug-out"
	printf 'host: social.example.org\nport: 443\nletsencrypt-enabled: true\n' >"${RCTEST}/etc/config.yaml"
	printf 'HTTP/1.1 503 %s\r\n\r\n' "$(outside)" >"${RCTEST}/tls-answer"
	service gotosocial health
	expect_rc 1
	expect_visible
	as_account "printf 'daemon: %s' '$(outside)'; exit"
	service gotosocial configtest
	expect_rc 1
	expect_visible
	rc_conf "gotosocial_config='$(outside)'"
	service gotosocial configtest
	expect_rc 1
	expect_visible
}
case_of "nothing from outside reaches the screen or the log raw" visible
