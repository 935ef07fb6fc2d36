#!/usr/bin/env bash
# Install the Debian packages named as arguments, those that are missing; if none is, nothing runs.
set -euo pipefail

if ! command -v dpkg-query >/dev/null; then
    echo "host-packages: this is no Debian; what is needed here: $*" >&2
    exit 0
fi

missing=()
for package; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || status=unknown
    [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

echo "host-packages: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq -y --no-install-recommends "${missing[@]}"
