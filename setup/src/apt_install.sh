#!/bin/sh
# Installs Debian packages for their programs alone: no service is started now or at the next boot, and no service of the user is
# restarted. Takes the names of the packages; wants root.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C NEEDRESTART_SUSPEND=1
PATH=$PATH:/usr/sbin:/sbin
root=${DPKG_ROOT:-}

policy=$root/usr/sbin/policy-rc.d
kept=$policy.before-loadbook
cluster=$root/etc/postgresql-common/createcluster.d/loadbook.conf
units=

# Two runs at a time would restore each other's files.
mkdir -p "$root/run/lock" "${policy%/*}"
exec 9>"$root/run/lock/loadbook-setup.lock"
flock --timeout 900 9

restore() {
    rm -f "$policy" "$cluster"
    if [ -e "$kept" ] || [ -L "$kept" ]; then mv -f "$kept" "$policy"; fi
}
trap restore EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# Debian asks this file before it starts, stops or restarts a service; 101 means "leave it alone". A file that is there already is
# kept, unless it is ours and was left behind by a run that was killed.
if [ -e "$policy" ] || [ -L "$policy" ]; then
    grep -qs loadbook "$policy" || mv -f "$policy" "$kept"
fi
printf '#!/bin/sh\n# Written by loadbook for the time of an installation.\nexit 101\n' >"$policy"
chmod 755 "$policy"

# Debian's PostgreSQL would make a database cluster of its own.
mkdir -p "${cluster%/*}"
printf 'create_main_cluster = false\n' >"$cluster"

# Only services that come with these packages are kept from the next boot, never one that was there before.
for unit in nginx redis-server valkey-server postgresql; do
    [ -e "$root/lib/systemd/system/$unit.service" ] || [ -e "$root/usr/lib/systemd/system/$unit.service" ] || units="$units $unit"
done

install() {
    apt-get install --assume-yes --no-install-recommends -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold \
        -- "$@" </dev/null 9>&-
}

# Old package lists name files that the mirrors have removed since.
if ! install "$@"; then
    apt-get update -o DPkg::Lock::Timeout=300 </dev/null 9>&-
    install "$@"
fi

# Without systemd nothing starts by itself anyway.
if command -v systemctl >/dev/null; then
    for unit in $units; do
        # Most of the list was not installed, which is no failure.
        systemctl disable --quiet "$unit.service" 9>&- 2>/dev/null || true
    done
fi
