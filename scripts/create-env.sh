#!/bin/sh
# Writes .env for docker-compose.yml: .env.example with a random value in the place of each GENERATE. An .env that exists stays.
set -eu
cd "$(dirname "$0")/.."
if [ -e .env ]; then
  echo ".env exists already; remove it to create another" >&2
  exit 1
fi
umask 077
while IFS= read -r line; do
  case $line in
    [A-Z]*GENERATE) printf '%s%s\n' "${line%GENERATE}" "$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')" ;;
    *) printf '%s\n' "$line" ;;
  esac
done <.env.example >.env
echo "created .env"
