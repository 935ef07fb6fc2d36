# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel tells of another process: ``/proc/PID`` (proc(5))."""

from __future__ import annotations

_CAPABILITY_SETS = {
    "bounding": "CapBnd",
    "effective": "CapEff",
    "permitted": "CapPrm",
    "inheritable": "CapInh",
    "ambient": "CapAmb",
}


def status(pid: int) -> dict[str, str]:
    """``/proc/PID/status`` by key."""
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        return {key: value.strip() for key, _colon, value in (line.partition(":") for line in file)}


def capability_sets(pid: int) -> dict[str, int]:
    """The masks of a process's capability sets: bounding, effective, permitted, inheritable, ambient."""
    found = status(pid)
    return {name: int(found[key], 16) for name, key in _CAPABILITY_SETS.items()}


def seccomp(pid: int) -> tuple[int, int]:
    """The seccomp mode (0 none, 1 strict, 2 filter) and the number of filters."""
    found = status(pid)
    return int(found["Seccomp"]), int(found["Seccomp_filters"])


def no_new_privileges(pid: int) -> bool:
    """Whether the process has given up new privileges (PR_SET_NO_NEW_PRIVS)."""
    return status(pid)["NoNewPrivs"] == "1"


def personality(pid: int) -> int:
    """The execution domain and its flags (personality(2))."""
    with open(f"/proc/{pid}/personality", encoding="ascii") as file:
        return int(file.read(), 16)
