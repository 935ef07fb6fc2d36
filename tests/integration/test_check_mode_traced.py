# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check mode of every method touches neither network nor disk, by the system calls that it makes."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import recipes, storage
from ansible_collections.cellblock.jails.tests.integration.support import calls, tracing

_CHECKSUM = f"sha256:{'0' * 64}"

WISHES: dict[str, list[dict[str, Any]]] = {
    "apk": [{"release": "v3.22", "mirror": "http://192.0.2.1/alpine", "packages": ["unbound"]}],
    "archive": [{"url": "http://192.0.2.1/root.tar.xz", "checksum": _CHECKSUM}, {"path": calls.path_of("jail_rootfs")}],
    "debootstrap": [
        {"suite": "bookworm", "packages": ["nginx-light"]},
        {"suite": "sid", "tool": "mmdebstrap", "refresh": "7d"},
    ],
    "dnf": [
        {
            "release": "43",
            "repositories": [{"name": "base", "baseurl": "http://192.0.2.1/linux", "gpgkey": "/etc/passwd"}],
            "packages": ["bash"],
        }
    ],
    "skeleton": [{"binaries": ["busybox"]}],
}
"""What is asked for, by method: nothing that is there already."""


def traced(options: dict[str, Any], check: bool) -> list[str]:
    """The calls of a module run that touch anything."""
    python, *rest = calls.command_line("jail_rootfs")
    # -B: the interpreter's own cache of compiled files is not what is looked at here.
    lines = tracing.calls_of([python, "-B", *rest], calls.arguments(options, check), dict(os.environ))
    assert len(lines) > 100, lines
    assert any('"changed": true' in line or '\\"changed\\": true' in line for line in lines), lines[-20:]
    return [line for line in lines if tracing.touches(line)]


def test_every_method_is_asked() -> None:
    """A new method gets a wish above."""
    assert set(WISHES) == set(recipes.METHODS)


@pytest.mark.parametrize("kind", storage.KINDS)
@pytest.mark.parametrize(("method", "wish"), [(method, wish) for method, each in WISHES.items() for wish in each])
def test_check_mode_touches_nothing(name: str, method: str, wish: dict[str, Any], kind: str) -> None:
    """It says what would be done, and every call that it makes only looks."""
    tracing.needs_strace()
    assert traced({"name": name, "method": method, "storage": kind, **wish}, check=True) == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("7 socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_IP) = 3", True),
        ("7 socket(AF_INET6, SOCK_DGRAM, IPPROTO_IP) = 3", True),
        ("7 socket(AF_UNIX, SOCK_DGRAM|SOCK_CLOEXEC, 0) = 3", False),
        ('7 openat(AT_FDCWD, "/var/lib/x", O_WRONLY|O_CREAT|O_CLOEXEC, 0600) = 3', True),
        ('7 openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3', False),
        ('7 renameat2(3, "a", 3, "b", 0) = 0', True),
        ("7 ioctl(3, TCGETS, 0x7ffc) = -1 ENOTTY (Inappropriate ioctl for device)", False),
        ("7 ioctl(3, BTRFS_IOC_SNAP_CREATE_V2, {}) = 0", True),
        ('7 write(1, "x", 1) = 1', False),
        ('7 write(4, "x", 1) = 1', True),
        ('7 fsopen("overlay", FSOPEN_CLOEXEC) = 3', True),
    ],
)
def test_what_counts_as_touching(line: str, expected: bool) -> None:
    """Lines as strace writes them."""
    assert tracing.touches(line) is expected


def test_the_trace_shows_what_a_real_run_touches(name: str) -> None:
    """The control: the same look at a run that is none of check mode finds what it changes."""
    tracing.needs_strace()
    found = traced({"name": name, "method": "skeleton", "binaries": ["true"], "trust_group": "traced"}, check=False)
    seen = {call[1] for call in (re.match(r"\d+ +(\w+)\(", line) for line in found) if call}
    assert {"mkdir", "rename"} <= {name.replace("at2", "at").removesuffix("at") for name in seen}
    assert "openat" in seen
