#!/usr/bin/env bash
# The demo: the play, with what its builds write shown as they write it; then the same play again, which has to change
# nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
log=/var/log/jails/build.log
again=.cache/demo-again.log
mkdir -p .cache

# From the end of an older log, from the start of a new one, which may not be there yet.
tail -n 0 -s 0.2 -F "$log" 2>/dev/null &
tail=$!
trap 'kill "$tail" 2>/dev/null || true' EXIT
ansible-playbook playbooks/demo.yml
kill "$tail"
wait "$tail" 2>/dev/null || true
trap - EXIT

printf '\nThe same play again:\n'
ansible-playbook playbooks/demo.yml | tee "$again"
if ! grep -q 'changed=0' "$again" || grep -Eq 'changed=[1-9]' "$again"; then
    echo "demo: the second run should have changed nothing" >&2
    exit 1
fi
