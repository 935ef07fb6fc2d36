#!/usr/bin/env bash
# ansible-test sanity, every test of it, with nothing ignored.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=$PWD/.cache/sanity

# ansible-test wants a real directory of this name and a git repository of its own: a copy of what git knows or would
# add, without the link in .collections that leads back to the root.
copy=$cache/ansible_collections/cellblock/jails
rm -rf "$copy"
git init -q "$copy"
git ls-files -z --cached --others --exclude-standard -- ':!.collections' |
    while IFS= read -r -d '' file; do
        # A file removed but not yet committed is still listed.
        if [ -e "$file" ]; then cp --parents -P "$file" "$copy"; fi
    done

# A home of its own for ansible-test's virtual environments, so that `make clean` removes them and nobody else's are
# touched; pip's settings stay the user's.
home=$cache/home
mkdir -p "$home/.ansible/test/cache"
ln -sfn "${XDG_CONFIG_HOME:-$HOME/.config}" "$home/.config"
# ansible-test would download a script to put pip into those environments; Python brings one along.
echo 'import ensurepip; ensurepip.bootstrap()' >"$home/.ansible/test/cache/get_pip_24_2.py"

# Compiling and importing are tried on every Python that is here. pyenv's commands answer only for the versions that are
# switched on, which is seldom all that it has, so ask it for all and put the real ones first.
PYENV_VERSION=$(pyenv versions --bare 2>/dev/null | paste -sd :) || true
bin=$cache/bin
rm -rf "$bin"
mkdir -p "$bin"
for version in 3.9 3.10 3.11 3.12 3.13; do
    python=$(PYENV_VERSION=$PYENV_VERSION "python$version" -c 'import sys; print(sys.executable)' 2>/dev/null) || continue
    ln -sfn "$python" "$bin/python$version"
done

export PATH="$PWD/.venv/bin:$bin:$PATH" HOME="$home"
cd "$copy"
ansible-test sanity "$@"
