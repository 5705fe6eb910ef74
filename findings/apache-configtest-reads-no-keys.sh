#!/bin/sh
# Apache httpd 2.4.71 (Debian 12): `httpd -t` says "Syntax OK" about a certificate whose private key is that of another one.
#
# Anybody who comes from nginx, whose -t loads certificates and keys, expects the same of the configuration test that
# scripts run before a restart. mod_ssl looks at no more than whether the files exist. The start then fails, with AH02565 in the log,
# and the old server is gone by then if it was a restart.
#
# Seen: `-t` exits 0 with "Syntax OK"; the start of the same file exits 1, "do not match".
# Needs Debian 12, its package archive, and openssl.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -q -o APT::Sandbox::User=root download apache2-bin=2.4.71-1~deb12u1 libapr1 libaprutil1 liblua5.3-0 libjansson4 >/dev/null
for package in *.deb; do dpkg -x "$package" root; done
LD_LIBRARY_PATH=$(echo "$folder"/root/usr/lib/*-linux-gnu)
export LD_LIBRARY_PATH
httpd=$folder/root/usr/sbin/apache2
modules=$folder/root/usr/lib/apache2/modules
"$httpd" -v | head -n 1

for name in one two; do
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$name.key" -out "$name.crt" \
        -subj /CN=localhost -days 30 2>/dev/null
done
cat > httpd.conf <<CONF
ServerRoot $folder
ServerName localhost
PidFile $folder/pid
ErrorLog $folder/error.log
LoadModule mpm_event_module $modules/mod_mpm_event.so
LoadModule authz_core_module $modules/mod_authz_core.so
LoadModule ssl_module $modules/mod_ssl.so
Listen 127.0.0.1:18443
<VirtualHost 127.0.0.1:18443>
SSLEngine on
SSLCertificateFile $folder/one.crt
SSLCertificateKeyFile $folder/two.key
</VirtualHost>
CONF

test=0
"$httpd" -f "$folder/httpd.conf" -t || test=$?
start=0
"$httpd" -f "$folder/httpd.conf" -k start 2>/dev/null || start=$?
grep -o 'AH02565.*do not match' error.log
printf 'the test exits %s, the start %s\n' "$test" "$start"
[ "$test" -eq 0 ] && [ "$start" -eq 1 ]
