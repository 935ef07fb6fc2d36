# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SELinux: contexts of processes (selinux(8); the kernel's ``security/selinux/selinuxfs.c``)."""

from __future__ import annotations

import os

from . import paths

_POLICY = "/sys/fs/selinux"
EXEC_FILE = "attr/exec"
"""The file below ``/proc/self`` that takes the context of our next exec (setexeccon(3))."""


def is_enabled() -> bool:
    """Whether the kernel has SELinux on, with a policy."""
    return os.path.exists(f"{_POLICY}/enforce")


def check(context: str) -> None:
    """Ask the policy whether a context is one.

    :raises OSError: ``EINVAL`` when it is not.
    """
    with paths.opened(os.open(f"{_POLICY}/context", os.O_RDWR | os.O_CLOEXEC)) as file:
        os.write(file, context.encode() + b"\0")


def context(pid: int) -> str:
    """The context of a process."""
    with open(f"/proc/{pid}/attr/current", encoding="utf-8", errors="replace") as file:
        return file.read().strip("\0\n")
