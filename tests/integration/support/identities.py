# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to belong to a jail alone, and what its tree has to have for that."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from typing import Any

from ansible_collections.cellblock.jails.tests.integration.support.calls import inside, module

Names = Callable[[int], list[str]]

SKELETON: dict[str, Any] = {"method": "skeleton", "binaries": ["busybox"]}

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPtWnMB0N8sB0xvq9Kq2 {}@example"

FURNISH = """
mkdir -p /etc/apt/sources.list.d /etc/default /usr/share/zoneinfo/Europe /usr/sbin
for zone in UTC Europe/Berlin Europe/Paris; do echo TZif2 > /usr/share/zoneinfo/$zone; done
"""

SERVER = ": > /usr/sbin/sshd; chmod 755 /usr/sbin/sshd"

FILES = {
    "authorized_keys": "/root/.ssh/authorized_keys",
    "fstab": "/etc/fstab",
    "hosts": "/etc/hosts",
    "locale": "/etc/locale.conf",
    "machine_id": "/etc/machine-id",
    "package_sources": "/etc/apt/sources.list",
    "timezone": "/etc/timezone",
}


def values(word: str, zone: str) -> dict[str, Any]:
    """A value for each option, with a word in each that can hold one."""
    return {
        "authorized_keys": [KEY.format(word)],
        "fstab": [f"tmpfs /{word} tmpfs size=1m 0 0"],
        "hosts": [f"192.0.2.1 {word}.example"],
        "locale": f"{word}_XX.UTF-8",
        "machine_id": format(sum(word.encode()), "032x"),
        "package_sources": [f"deb http://{word}.example/debian bookworm main"],
        "timezone": zone,
    }


ONE, OTHER = values("one", "Europe/Berlin"), values("other", "Europe/Paris")


def restart(name: str) -> None:
    module("jail_state", name=[name], state="restarted")


def content(name: str) -> dict[str, str]:
    """The files of the options, inside."""
    return {option: inside(name, "cat", path) for option, path in FILES.items()}


def fingerprints(name: str) -> dict[str, str]:
    """Of the private host keys in a jail, by type, as ssh-keygen computes them; each public one has to be its other
    half."""
    found = {}
    for kind in inside(name, "ls", "/etc/ssh").split():
        match = re.fullmatch(r"ssh_host_(.*)_key", kind)
        if match:
            private = inside(name, "cat", f"/etc/ssh/{kind}")
            public = derived(private)
            assert inside(name, "cat", f"/etc/ssh/{kind}.pub").split()[:2] == public.split()[:2]
            assert inside(name, "stat", "-c", "%a %u %g", f"/etc/ssh/{kind}") == "600 0 0\n"
            found[match[1]] = public
    return found


def derived(private: str) -> str:
    """The public key that ssh-keygen(1) finds in a private one."""
    memory = os.memfd_create("key")
    try:
        os.write(memory, private.encode())
        os.fchmod(memory, 0o600)
        done = subprocess.run(
            ["ssh-keygen", "-y", "-f", f"/proc/self/fd/{memory}"], pass_fds=[memory], capture_output=True, check=True
        )
        return done.stdout.decode()
    finally:
        os.close(memory)
