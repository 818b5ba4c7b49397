#!/bin/sh
# Installs Debian's PostgreSQL for the tests where it is missing and we may: no cluster is made, and no service started.
# Where it cannot be had, the tests that need it skip by name, and say why.
set -u
export DEBIAN_FRONTEND=noninteractive
settings=/etc/postgresql-common/createcluster.conf

installed() { ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1; }
get() { apt-get install --yes --quiet=2 --no-install-recommends "$@" >/dev/null 2>&1; }

if installed || [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  exit 0
fi
echo 'installing PostgreSQL for the tests' >&2
apt-get update --quiet=2 >/dev/null 2>&1
get postgresql-common && [ -f "$settings" ] && echo 'create_main_cluster = false' >>"$settings"
get postgresql || echo 'PostgreSQL cannot be installed: the tests that need it will be skipped' >&2
