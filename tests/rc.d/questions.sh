# shellcheck shell=sh disable=SC2154,SC2034 # variables are shared with run
# status, configtest and health.

status_running()
{
	start_up
	service gotosocial status
	expect_rc 0
	case ${out} in
	"gotosocial is running as pid $(child) (since "*" s).")	;;
	*)	miss "not the words that are promised" ;;
	esac
}
case_of "status: running" status_running

status_orphan()
{
	make_orphan
	service gotosocial status
	expect_rc 0
	expect_out "gotosocial is running as pid ${orphan} WITHOUT its supervisor"
}
case_of "status: an orphan" status_orphan

status_loop()
{
	echo crash >"${RCTEST}/mode"
	rc_conf gotosocial_restart_delay=5
	service gotosocial start
	wait_for grep -q PANIC "${RCTEST}/log/gotosocial.log"
	sleep 0.3
	service gotosocial status
	expect_rc 1
	expect_out "gotosocial is not running: it died, and its supervisor (pid $(supervisor)) is about to start it again."
	expect_out "${RCTEST}/log/gotosocial.log"
}
case_of "status: between two crashes" status_loop

status_being_stopped()
{
	start_up
	touch "${RCTEST}/run/stopping"
	kill -9 "$(child)"
	wait_for held_back
	service gotosocial status
	expect_rc 1
	expect_out "gotosocial is not running: it is being stopped (supervisor pid $(supervisor))"
	service gotosocial stop
	expect_rc 0
	nothing_runs
}
case_of "status: being stopped" status_being_stopped

status_nothing()
{
	service gotosocial status
	expect_rc 1
	expect test "${out}" = "gotosocial is not running."
}
case_of "status: not running" status_nothing

status_hidden()
{
	start_up
	touch "${RCTEST}/not-root"
	service gotosocial status
	expect_rc 0
	for of in uids gids; do
		set_sysctl "security.bsd.see_other_${of}" 0
		service gotosocial status
		expect_rc 1
		expect_out "only root can tell"
		expect_not_out "is not running"
		set_sysctl "security.bsd.see_other_${of}" 1
	done
}
case_of "status: by another than root" status_hidden

configtest_good()
{
	service gotosocial configtest
	expect_rc 0
	expect test "${out}" = "gotosocial: ${RCTEST}/etc/config.yaml is read, host is social.example.org."
	printf "host: 'other.example.org'\n" >"${RCTEST}/etc/config.yaml"
	cat >"${RCTEST}/debug-out" <<-END
		{
		    "account-domain": "",
		    "host": "other.example.org",
		    "db-password": "hunter2"
		}
	END
	service gotosocial configtest
	expect_rc 0
	expect_out "host is other.example.org."
}
case_of "configtest: good" configtest_good

configtest_defaults()
{
	printf '{\n    "account-domain": "",\n    "host": "",\n    "db-password": "hunter2"\n}\n' >"${RCTEST}/debug-out"
	service gotosocial configtest
	expect_rc 1
	expect_out "says host 'social.example.org', but GoToSocial takes ''"
	expect_not_out hunter2
}
case_of "configtest: a release that silently runs on its defaults" configtest_defaults

configtest_rejected()
{
	echo '{ "db-password": "hunter2" }' >"${RCTEST}/debug-out"
	echo "error executing command: error reloading config: While parsing config: yaml: line 8" >"${RCTEST}/debug-err"
	service gotosocial configtest
	expect_rc 1
	expect_out "GoToSocial does not accept ${RCTEST}/etc/config.yaml (exit status 1). It says:"
	expect_out "yaml: line 8"
	expect_not_out hunter2
}
case_of "configtest: rejected, and no secret shown" configtest_rejected

configtest_no_host()
{
	echo 'port: 8080' >"${RCTEST}/etc/config.yaml"
	service gotosocial configtest
	expect_rc 1
	expect_out "sets no host"
}
case_of "configtest: no host in the file" configtest_no_host

configtest_secrets()
{
	start_up
	service gotosocial configtest
	expect_not_out hunter2
	service gotosocial health
	expect_not_out hunter2
}
case_of "configtest and health show no secret" configtest_secrets

health_ready()
{
	start_up
	service gotosocial health
	expect_rc 0
	expect test "${out}" = "gotosocial is ready: http://127.0.0.1:8080/readyz answers 200."
	expect grep -q "http://127.0.0.1:8080/readyz" "${RCTEST}/fetch"
}
case_of "health: ready, plain http" health_ready

health_not_ready()
{
	start_up
	echo "fetch: http://127.0.0.1:8080/readyz: Service Unavailable" >"${RCTEST}/fetch-says"
	service gotosocial health
	expect_rc 1
	expect_out "gotosocial runs as pid $(child) but is not ready: http://127.0.0.1:8080/readyz: fetch:"
	expect_out "Service Unavailable"
	expect_out "do not stop it then"
}
case_of "health: not ready yet" health_not_ready

# phase_is WORDS LINE...: what health says of a server that has logged these lines, each a mark at the same time.
phase_is()
{
	phase=$1
	shift
	log=${RCTEST}/log/gotosocial.log
	for form in 'timestamp="22/11/2026 23:59:%02d.000" func=%s level=INFO msg="%s"' \
		'{"timestamp":"22/11/2026 23:59:%02d.000", "func":"%s", "level":"INFO", "msg":"%s"}'; do
		: >"${log}"
		for line in "$@"; do
			case ${line} in
			start)	func="cache.(*Caches).Start" ;;
			*)	func=bundb.doMigration ;;
			esac
			# shellcheck disable=SC2059 # the form is the format
			printf "${form}\n" 7 "${func}" "${line}" >>"${log}"
		done
		service gotosocial health
		expect_rc 1
		expect_out "It is ${phase} for "
		expect_out " s (last log line "
	done
}

health_phases()
{
	start_up
	echo "fetch: http://127.0.0.1:8080/readyz: Service Unavailable" >"${RCTEST}/fetch-says"
	phase_is "starting" start
	phase_is "starting: migrating the database" start "connected to SQLITE database with address x"
	phase_is "starting: migrating the database" start "connected to POSTGRES database" "copying statuses"
	phase_is "starting" start "connected to SQLITE database" "there are no new migrations to run"
	phase_is "starting: migrating the database" start "connected to SQLITE database" "MIGRATED DATABASE TO group 2" \
		"running ANALYZE to update table and index statistics"
	phase_is "starting" start "connected to SQLITE database" "MIGRATED DATABASE TO group 2" \
		"running ANALYZE to update table and index statistics" "compiling WebAssembly"
	phase_is "starting: migrating the database" start "recovered queued tasks" start "connected to SQLITE database"
	printf 'nonsense\n' >"${RCTEST}/log/gotosocial.log"
	service gotosocial health
	expect_out "It is starting for "
	expect_not_out "last log line"
}
case_of "health: the phases of a start" health_phases

health_phase_certificate()
{
	tls
	phase_is "starting: fetching the certificate" start "connected to SQLITE database" "recovered queued tasks"
}

health_not_running()
{
	service gotosocial health
	expect_rc 1
	expect test "${out}" = "gotosocial is not running."
	refute test -e "${RCTEST}/fetch"
}
case_of "health: not running" health_not_running

tls()
{
	printf 'host: social.example.org\nport: 443\nletsencrypt-enabled: true\nbind-address: "0.0.0.0"\n' \
		>"${RCTEST}/etc/config.yaml"
	start_up
}

case_of "health: a certificate that is fetched" health_phase_certificate

health_tls()
{
	tls
	printf 'HTTP/1.1 200 OK\r\nServer: gotosocial\r\n\r\n' >"${RCTEST}/tls-answer"
	service gotosocial health
	expect_rc 0
	expect test "${out}" = "gotosocial is ready: https://social.example.org:443/readyz answers 200."
	expect grep -q -- "-connect 127.0.0.1:443 -servername social.example.org" "${RCTEST}/openssl"
	expect grep -q "^Host: social.example.org" "${RCTEST}/openssl"
	expect grep -q "^User-Agent: " "${RCTEST}/openssl"
}
case_of "health: ready, over TLS, to this machine with the host's name" health_tls

health_tls_starting()
{
	tls
	printf 'HTTP/1.1 503 Service Unavailable\r\n\r\n' >"${RCTEST}/tls-answer"
	service gotosocial health
	expect_rc 1
	expect_out "readyz: HTTP/1.1 503 Service Unavailable."
	rm "${RCTEST}/tls-answer"
	service gotosocial health
	expect_rc 1
	expect_out "no answer over TLS"
}
case_of "health: TLS, starting or without a certificate" health_tls_starting

health_ipv6()
{
	printf 'host: social.example.org\nport: 8080\nbind-address: "[::1]"\n' >"${RCTEST}/etc/config.yaml"
	start_up
	service gotosocial health
	expect_rc 0
	expect_out "http://[::1]:8080/readyz"
}
case_of "health: an IPv6 address" health_ipv6

health_odd_host()
{
	start_up
	# shellcheck disable=SC2016 # a host that a shell would expand
	printf '{\n    "host": "a$(id)",\n    "port": 80,\n    "bind-address": ""\n}\n' >"${RCTEST}/debug-out"
	service gotosocial health
	expect_rc 1
	expect_out "is not usable"
	refute test -e "${RCTEST}/fetch"
}
case_of "health: a host that is none" health_odd_host
