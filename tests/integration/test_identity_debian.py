# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two Debian jails of one template, known apart and logged in to by SSH as two machines are.

The template is downloaded; where no mirror can be reached, the test says so and is skipped.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.jail import build
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import recipes, templates
from ansible_collections.cellblock.jails.tests.integration.support import mirrors
from ansible_collections.cellblock.jails.tests.integration.support.calls import inside, module

OPTIONS = {"method": "debootstrap", "suite": "bookworm", "packages": ["openssh-server", "iputils-ping", "nginx-light"]}
"""As another test has it: the packages come from the cache then."""

_SERVER = ["sh", "-c", "mkdir -p /run/sshd && exec /usr/sbin/sshd -D -e"]
_ZONES = {"Europe/Berlin": "CET", "Asia/Tokyo": "JST"}
_TELL = "cat /etc/hostname /etc/machine-id; date -d 2026-01-01T12:00Z +%Z; tail -1 /etc/hosts; cat /etc/default/locale"


def scanned(address: str) -> set[str]:
    """The host keys that a machine shows to whoever connects."""
    deadline = time.monotonic() + 20
    while True:
        done = subprocess.run(["ssh-keyscan", "-T", "2", address], capture_output=True, text=True, check=False)
        keys = {" ".join(line.split()[1:]) for line in done.stdout.splitlines() if not line.startswith("#")}
        if len(keys) == 3 or time.monotonic() > deadline:
            return keys


@pytest.mark.skipif(not shutil.which("debootstrap"), reason="debootstrap is not installed")
@pytest.mark.skipif(not shutil.which("ssh-keyscan"), reason="the OpenSSH client is not installed")
def test_two_debian_jails_are_two_machines(names: Callable[[int], list[str]], tmp_path: Path) -> None:
    """Host keys, machine id, name, zone, hosts, locale and who may log in; seen over the network, and nothing of it in
    the template. A restart changes nothing."""
    with mirrors.reached() as mirror:
        key = templates.ensure(recipes.parse(OPTIONS), build.confine)
    jails = dict(zip(names(2), _ZONES))
    addresses = {name: f"10.90.0.{number}" for number, name in enumerate(jails, 2)}
    public = {}
    for name in jails:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)], check=True)
        public[name] = (tmp_path / f"{name}.pub").read_text()
    wishes = [
        {
            "name": name,
            **OPTIONS,
            "authorized_keys": [public[name]],
            "timezone": zone,
            "hosts": [f"192.0.2.1 only-of-{name}"],
            "locale": "C.UTF-8",
            "package_sources": [f"deb {mirror} bookworm main"],
        }
        for name, zone in jails.items()
    ]
    module("jail_rootfs", jails=wishes)
    bridge = {"bridge": "br-identity", "gateway": "10.90.0.1"}
    module(
        "jail_net",
        jails=[
            {"name": name, "interfaces": [{"name": "eth0", "addresses": [f"{address}/24"], **bridge}]}
            for name, address in addresses.items()
        ],
    )
    module("jail_state", name=list(jails), command=_SERVER, state="started")
    assert not module("jail_rootfs", jails=wishes)["changed"]
    seen = {name: scanned(address) for name, address in addresses.items()}
    for name in jails:
        kept = {" ".join(line.split()[:2]) for line in inside(name, "sh", "-c", "cat /etc/ssh/*.pub").splitlines()}
        assert seen[name] == kept
        assert len(kept) == 3
    one, other = jails
    assert not seen[one] & seen[other]

    def login(name: str, identity: str) -> subprocess.CompletedProcess[str]:
        known = tmp_path / "known"
        known.write_text("".join(f"{addresses[name]} {key}\n" for key in seen[name]))
        options = [f"UserKnownHostsFile={known}", "StrictHostKeyChecking=yes", "BatchMode=yes", "IdentitiesOnly=yes"]
        words = [word for option in options for word in ("-o", option)]
        command = ["ssh", "-F", "/dev/null", "-i", str(tmp_path / identity), *words, f"root@{addresses[name]}", _TELL]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    machine_ids = set()
    for name, zone in jails.items():
        done = login(name, name)
        assert done.returncode == 0, done.stderr
        hostname, machine_id, abbreviation, last_host, lang = done.stdout.splitlines()
        assert (hostname, abbreviation) == (name, _ZONES[zone])
        assert (last_host, lang) == (f"192.0.2.1 only-of-{name}", "LANG=C.UTF-8")
        machine_ids.add(machine_id)
        assert "Permission denied" in login(name, other if name == one else one).stderr
    assert len(machine_ids) == 2
    tree = Path(templates.tree(key))
    assert (tree / "etc/machine-id").read_bytes() == b""
    assert not list((tree / "etc/ssh").glob("ssh_host_*"))
    for path in ("etc/hostname", "etc/hosts", "etc/resolv.conf", "etc/fstab", "root/.ssh", "etc/locale.conf"):
        assert not (tree / path).exists(), path
    logs = [path for path in (tree / "var/log").rglob("*") if path.is_file()]
    assert logs
    assert not [path for path in logs if path.stat().st_size]
    module("jail_state", name=list(jails), state="restarted")
    assert {name: scanned(address) for name, address in addresses.items()} == seen
