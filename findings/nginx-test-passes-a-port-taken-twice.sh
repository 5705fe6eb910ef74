#!/bin/sh
# nginx 1.22.1 (Debian 12): `nginx -t` passes a configuration that asks for one port twice, and nginx cannot start with it.
#
# `listen 18081` is an IPv4 socket. `listen [::]:18081 ipv6only=off`, in another file of another site, is an IPv6 socket that takes
# IPv4 connections too, so the second bind(2) of the two fails. nginx does bind its sockets during a test, but there it takes
# "address already in use" for the nginx that is running, and says nothing. On a machine where no nginx
# runs, the test passes all the same.
#
# Seen: `nginx -t` exits 0, "test is successful"; the start exits 1, "still could not bind()".
# Needs Debian 12 and its package archive.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -q -o APT::Sandbox::User=root download nginx=1.22.1-9+deb12u11 >/dev/null
for package in *.deb; do dpkg -x "$package" root; done
nginx=$folder/root/usr/sbin/nginx
"$nginx" -v
cat > nginx.conf <<CONF
pid $folder/pid;
error_log $folder/error.log;
events {}
http {
    access_log off;
    server { listen 18081; return 204; }
    server { listen [::]:18081 ipv6only=off; return 204; }
}
CONF

test=0
"$nginx" -t -q -p "$folder" -e "$folder/error.log" -c "$folder/nginx.conf" || test=$?
start=0
"$nginx" -p "$folder" -e "$folder/error.log" -c "$folder/nginx.conf" 2>start.log || start=$?
tail -n 1 start.log
printf 'the test exits %s, the start %s\n' "$test" "$start"
[ "$test" -eq 0 ] && [ "$start" -eq 1 ] && grep -q 'still could not bind()' start.log
