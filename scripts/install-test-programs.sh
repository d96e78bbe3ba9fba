#!/bin/sh
# Installs the Debian programs that some tests run as real clients and load balancers. Needs root and apt-get.
# A test whose program is missing is skipped on a developer's machine and fails where CI is set.
set -eu
missing=
command -v haproxy >/dev/null || missing="$missing haproxy"
command -v nginx >/dev/null || missing="$missing nginx-light"
command -v curl >/dev/null || missing="$missing curl"
# javac, since a JRE cannot run a single source file.
command -v javac >/dev/null || missing="$missing default-jdk-headless"
command -v docker-compose >/dev/null || missing="$missing docker-compose"
[ -n "$missing" ] || exit 0
apt-get update -qq
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing
# Debian starts these as services. The tests start their own instances.
for service in haproxy nginx; do
  if [ -x "/etc/init.d/$service" ]; then service "$service" stop >/dev/null 2>&1 || true; fi
done
