#!/bin/sh
# Apache httpd 2.4.71 (Debian 12): a graceful restart that meets one taken port ends the server, with the ports that it served.
#
# "Graceful" is documented for connections, and nginx, asked for the same by its reload, goes on with its old configuration and
# old sockets. httpd opens the new Listen sockets in the running parent, and a bind(2) that fails there is the end of it. Nothing warns
# beforehand: `-t` binds nothing, and `-k graceful` only sends the signal.
#
# Seen: `-t` exits 0, `-k graceful` exits 0, then "no listening sockets available, shutting down"; the first port answers no more.
# Needs Debian 12, its package archive, curl and python3.
set -eu
folder=$(mktemp -d)
holder=
trap '[ -z "$holder" ] || kill "$holder"; rm -rf "$folder"' EXIT
cd "$folder"
apt-get -q -o APT::Sandbox::User=root download apache2-bin=2.4.71-1~deb12u1 libapr1 libaprutil1 liblua5.3-0 libjansson4 >/dev/null
for package in *.deb; do dpkg -x "$package" root; done
LD_LIBRARY_PATH=$(echo "$folder"/root/usr/lib/*-linux-gnu)
export LD_LIBRARY_PATH
httpd=$folder/root/usr/sbin/apache2
modules=$folder/root/usr/lib/apache2/modules
"$httpd" -v | head -n 1
chmod 755 .
cat > httpd.conf <<CONF
ServerRoot $folder
ServerName localhost
PidFile $folder/pid
ErrorLog $folder/error.log
Mutex file:$folder
User nobody
Group nogroup
LoadModule mpm_event_module $modules/mod_mpm_event.so
LoadModule authz_core_module $modules/mod_authz_core.so
DocumentRoot $folder
Listen 127.0.0.1:18083
CONF
"$httpd" -f "$folder/httpd.conf" -k start
answers() { curl -s -o /dev/null --retry 10 --retry-connrefused --retry-delay 1 http://127.0.0.1:18083/ && echo yes || echo no; }
before=$(answers)

python3 -m http.server --bind 127.0.0.1 18084 >/dev/null 2>&1 &
holder=$!
until curl -s -o /dev/null http://127.0.0.1:18084/; do sleep 0.2; done
echo 'Listen 127.0.0.1:18084' >> httpd.conf
test=0
"$httpd" -f "$folder/httpd.conf" -t || test=$?
graceful=0
"$httpd" -f "$folder/httpd.conf" -k graceful || graceful=$?
sleep 3
after=no
curl -s -o /dev/null http://127.0.0.1:18083/ && after=yes
tail -n 1 error.log
printf 'answers before: %s; the test exits %s, the graceful restart %s; answers after: %s\n' "$before" "$test" "$graceful" "$after"
[ "$before" = yes ] && [ "$test" -eq 0 ] && [ "$graceful" -eq 0 ] && [ "$after" = no ]
grep -q 'no listening sockets available, shutting down' error.log
