# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AppArmor: compiled profiles, put into the kernel and taken out by its own files, and labels of processes
(apparmor(7); the kernel's ``security/apparmor/apparmorfs.c``)."""

from __future__ import annotations

import os

from . import paths

_POLICY = "/sys/kernel/security/apparmor"
_ENABLED = "/sys/module/apparmor/parameters/enabled"
_DIRECTORY = "attr/apparmor"
"""Below ``/proc/PID``, since Linux 5.8: AppArmor's own, where ``attr`` belongs to the first module that has any."""
EXEC_FILE = f"{_DIRECTORY}/exec"
"""The file below ``/proc/self`` that takes the profile of our next exec, as :func:`exec_words`."""


def is_enabled() -> bool:
    """Whether the kernel has AppArmor on, and lets us at its policy."""
    try:
        with open(_ENABLED, encoding="ascii") as file:
            return file.read().strip() == "Y" and os.path.isdir(_POLICY)
    except FileNotFoundError:
        return False


def load(program: bytes) -> None:
    """Put a compiled profile (:mod:`apparmor_parser`) into the kernel, in the place of one of the same name."""
    with paths.opened(os.open(f"{_POLICY}/.replace", os.O_WRONLY | os.O_CLOEXEC)) as file:
        os.write(file, program)  # the kernel takes it in one piece only


def remove(name: str) -> None:
    """Take a profile out of the kernel; its processes are unconfined from then on. None may be there."""
    with paths.opened(os.open(f"{_POLICY}/.remove", os.O_WRONLY | os.O_CLOEXEC)) as file:
        try:
            os.write(file, name.encode())
        except FileNotFoundError:
            return


def is_loaded(name: str) -> bool:
    """Whether the kernel has a profile of this name."""
    with open(f"{_POLICY}/profiles", encoding="utf-8", errors="replace") as file:
        return any(line.rpartition(" (")[0] == name for line in file)


def label(pid: int) -> str:
    """The label of a process, such as ``name (enforce)``, or ``unconfined``."""
    with open(f"/proc/{pid}/{_DIRECTORY}/current", encoding="utf-8", errors="replace") as file:
        return file.read().strip("\0\n")


def exec_words(name: str) -> str:
    """What to write to :data:`EXEC_FILE` (aa_change_onexec(2))."""
    return f"exec {name}"
