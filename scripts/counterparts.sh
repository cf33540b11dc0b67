#!/bin/sh
# Installs what the tests run against: real web servers, runtimes, tools. As
# root on Debian only; elsewhere the tests that lack something skip by name.
set -eu

# program:package, one a line; a program with a slash is a file to look for.
wanted='
nginx:nginx-light
apache2:apache2
lighttpd:lighttpd
caddy:caddy
php-cgi:php-cgi
/usr/sbin/php-fpm8.2|/usr/sbin/php-fpm8.3|/usr/sbin/php-fpm8.4:php-fpm
cgi-fcgi:libfcgi-bin
/usr/include/fcgiapp.h:libfcgi-dev
/usr/share/doc/libfcgi-perl:libfcgi-perl
/usr/lib/python3/dist-packages/flask:python3-flask
/usr/lib/python3/dist-packages/django:python3-django
/usr/lib/python3/dist-packages/bottle.py:python3-bottle
wrk:wrk
curl:curl
cc:gcc
strace:strace
ps:procps
chromium:chromium
redis-server:redis-server
ruby:ruby
/usr/lib/ruby/vendor_ruby/fcgi.rb:ruby-fcgi
/usr/share/perl5/Plack.pm:libplack-perl
systemd-analyze:systemd
systemd-nspawn:systemd-container
nsenter:util-linux
'

# Where time does not matter, a kernel of its own for what needs one: qemu boots it.
kernels=/var/cache/frontd-test
if [ "${FRONTD_LONG:-}" = 1 ] && [ "$(uname -m)" = x86_64 ]; then
	wanted="$wanted
qemu-system-x86_64:qemu-system-x86
ldd:libc-bin
"
fi

have() {
	case $1 in
	/*) (
		IFS='|'
		for f in $1; do [ -e "$f" ] && exit 0; done
		exit 1
	) ;;
	*) command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] ;;
	esac
}

missing=
for line in $wanted; do
	have "${line%:*}" || missing="$missing ${line##*:}"
done
kernel=
if [ "${FRONTD_LONG:-}" = 1 ] && [ "$(uname -m)" = x86_64 ] &&
	[ -z "$(find /boot $kernels/boot -name 'vmlinuz-*' 2>/dev/null)" ]; then
	kernel=linux-image-cloud-amd64
fi
[ -z "$missing$kernel" ] && exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
	echo "counterparts: not root on Debian, so these stay missing and their tests are skipped by name:$missing $kernel"
	exit 0
fi
echo "counterparts: installing$missing $kernel"

# The servers are started by the tests, never by their packages.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
	trap 'rm -f $policy' EXIT
fi
export DEBIAN_FRONTEND=noninteractive

# A mirror may fail now and then, and another apt may be at work: a fresh
# machine updates itself.
apt() {
	n=1
	until apt-get -qq -o Acquire::Retries=5 -o DPkg::Lock::Timeout=300 "$@" >/dev/null; do
		[ $n -lt 5 ] || return 1
		n=$((n + 1))
		sleep 10
	done
}
apt update
# shellcheck disable=SC2086 # a list of words
[ -z "$missing" ] || apt install -y --no-install-recommends $missing

# The kernel is unpacked, not installed: this system keeps its own.
if [ -n "$kernel" ]; then
	mkdir -p $kernels
	(
		cd $kernels
		apt download "$(apt-cache depends $kernel | awk '$1 == "Depends:" { print $2; exit }')"
		dpkg-deb --fsys-tarfile linux-image-*.deb | tar -x --wildcards './boot/vmlinuz-*'
		rm -f linux-image-*.deb
	)
fi
