# shellcheck shell=sh disable=SC2154,SC2034 # variables are shared with run
# What start refuses, and in which words.

# refused TEXT: a start is refused with these words, and nothing has been started.
refused()
{
	service gotosocial start
	expect_rc 1
	expect_out "$1"
	refute test -e "${RCTEST}/starts"
	refute test -s "${RCTEST}/daemons"
	# Each message is said in the log as well.
	expect grep -q -- "-p daemon.err -t gotosocial" "${RCTEST}/logger"
}

no_program()	{ rm "${RCTEST}/bin/gotosocial"; refused "gotosocial: the program ${RCTEST}/bin/gotosocial is not there"; }
case_of "start refused: no program" no_program

folder_as_program()
{
	rc_conf "gotosocial_binary=${RCTEST}/bin"
	refused "gotosocial: the program ${RCTEST}/bin is not there or not executable"
}
case_of "start refused: a folder in the place of the program" folder_as_program

no_config()	{ rm "${RCTEST}/etc/config.yaml"; refused "gotosocial: the configuration file ${RCTEST}/etc/config.yaml is not there"; }
case_of "start refused: no configuration file" no_config

odd_config()
{
	cp "${RCTEST}/etc/config.yaml" "${RCTEST}/etc/config"
	rc_conf "gotosocial_config=${RCTEST}/etc/config"
	refused "must end in .yaml"
}
case_of "start refused: a configuration file without ending" odd_config

unreadable_config()
{
	echo "${RCTEST}/etc/config.yaml" >"${RCTEST}/unreadable"
	refused "gotosocial: gotosocial cannot read ${RCTEST}/etc/config.yaml. Correct it with: chown root:gotosocial"
}
case_of "start refused: a configuration file that the account cannot read" unreadable_config

no_account()	{ rc_conf gotosocial_runas=nobodyhere; refused "there is no account 'nobodyhere'"; }
case_of "start refused: no account" no_account

no_tmp()
{
	rmdir "${RCTEST}/db/tmp"
	refused "gotosocial: the folder ${RCTEST}/db/tmp is not there. Make it with: install -d -o gotosocial"
}
case_of "start refused: no temporary folder" no_tmp

unwritable_cache()
{
	echo "${RCTEST}/db/wazero" >"${RCTEST}/unwritable"
	refused "gotosocial: gotosocial cannot write in ${RCTEST}/db/wazero"
}
case_of "start refused: a cache folder that the account cannot write" unwritable_cache

no_log_folder()	{ rmdir "${RCTEST}/log"; refused "gotosocial: the log's folder ${RCTEST}/log is not there"; }
case_of "start refused: no folder for the log" no_log_folder

unsafe_log_folder()
{
	touch "${RCTEST}/log-writable"
	refused "gotosocial may write in the log's folder ${RCTEST}/log, where root opens the log"
}
case_of "start refused: a folder for the log that the account could plant a link in" unsafe_log_folder

odd_path()	{ rc_conf "gotosocial_config='/tmp/a;id'"; refused "only letters, digits and"; }
case_of "start refused: a path that a shell could mistake for a command" odd_path

relative_path()	{ rc_conf gotosocial_config=config.yaml; refused "must be a full path"; }
case_of "start refused: a relative path" relative_path

odd_delay()	{ rc_conf gotosocial_restart_delay=0; refused "gotosocial_restart_delay is '0'"; }
case_of "start refused: a restart delay of 0" odd_delay

odd_umask()	{ rc_conf gotosocial_umask=08; refused "gotosocial_umask is '08'"; }
case_of "start refused: a umask that is not octal" odd_umask

odd_ports()	{ rc_conf gotosocial_ports=80,443; refused "gotosocial_ports is '80,443'"; }
case_of "start refused: ports that are not numbers with blanks between them" odd_ports

no_run_folder()	{ touch "${RCTEST}/run"; refused "the folder ${RCTEST}/run for the pid files cannot be made"; }
case_of "start refused: no folder for the pid files can be made" no_run_folder

log_is_a_folder()
{
	mkdir "${RCTEST}/log/gotosocial.log"
	refused "not started: daemon(8) gave up with exit status 7"
}
case_of "start says so when daemon(8) gives up" log_is_a_folder

# Direct mode.

direct()	{ rc_conf gotosocial_direct=YES; }

direct_in_order()
{
	direct
	start_up
	service gotosocial stop
	set_sysctl security.mac.portacl.rules "uid:80:tcp:8080, uid:+209:tcp:080,gid:00209:tcp: 443"
	service gotosocial start
	expect_rc 0
}
case_of "direct mode: starts when all is in order, however leniently the rules are spelt" direct_in_order

direct_group()
{
	direct
	set_sysctl security.mac.portacl.rules "gid:80:tcp:80,gid:209:tcp:443"
	start_up
}
case_of "direct mode: rules for the account's groups count" direct_group

direct_in_jail()
{
	direct
	set_sysctl security.jail.jailed 1
	start_up
}
case_of "direct mode: in a jail the host's rules count" direct_in_jail

direct_no_module()
{
	direct
	no_portacl
	refused "not started: the kernel module mac_portacl is not loaded"
	expect_out "every local user can take ports 80 to 1023"
	expect_out "sysctl net.inet.ip.portrange.reservedhigh=1023"
	expect_out "kldload mac_portacl"
}
case_of "direct mode refused: no mac_portacl, ports open" direct_no_module

direct_no_module_closed()
{
	direct
	no_portacl
	set_sysctl net.inet.ip.portrange.reservedhigh 1023
	set_sysctl security.jail.jailed 1
	refused "not started: the kernel module mac_portacl is not loaded"
	expect_not_out "every local user"
	expect_out "on the host, not in this jail"
}
case_of "direct mode refused: no mac_portacl, ports closed, in a jail" direct_no_module_closed

direct_off()
{
	direct
	set_sysctl security.mac.portacl.enabled 0
	refused "mac_portacl is loaded but switched off"
	expect_out "every local user can take ports 80 to 1023"
	expect_out "sysctl security.mac.portacl.enabled=1"
}
case_of "direct mode refused: mac_portacl switched off" direct_off

direct_port_high()
{
	direct
	set_sysctl security.mac.portacl.port_high 442
	refused "mac_portacl guards only ports up to 442"
}
case_of "direct mode refused: port_high too low" direct_port_high

direct_rule_missing()
{
	direct
	set_sysctl security.mac.portacl.rules "uid:80:tcp:443,uid:209:tcp:80,uid:209:udp:443,uid:2090:tcp:443"
	refused "no mac_portacl rule lets gotosocial use some of its ports"
	expect_out "sysctl security.mac.portacl.rules='uid:80:tcp:443,uid:209:tcp:80,uid:209:udp:443,uid:2090:tcp:443,uid:209:tcp:443'"
}
case_of "direct mode refused: a rule is missing; the others are kept in the advice" direct_rule_missing

direct_no_rules()
{
	direct
	: >"${RCTEST}/sysctl/security.mac.portacl.rules"
	refused "sysctl security.mac.portacl.rules='uid:209:tcp:80,uid:209:tcp:443'"
}
case_of "direct mode refused: no rules at all" direct_no_rules

direct_reserved()
{
	direct
	set_sysctl net.inet.ip.portrange.reservedhigh 1023
	refused "port 80 is still reserved for root"
	expect_out "sysctl net.inet.ip.portrange.reservedhigh=79"
}
case_of "direct mode refused: the ports are still reserved" direct_reserved

direct_other_ports()
{
	direct
	rc_conf "gotosocial_ports='443'"
	set_sysctl security.mac.portacl.rules uid:209:tcp:443
	set_sysctl net.inet.ip.portrange.reservedhigh 442
	start_up
}
case_of "direct mode: other ports" direct_other_ports

proxy_does_not_ask()
{
	no_portacl
	set_sysctl net.inet.ip.portrange.reservedhigh 1023
	start_up
}
case_of "proxy mode needs no mac_portacl" proxy_does_not_ask
