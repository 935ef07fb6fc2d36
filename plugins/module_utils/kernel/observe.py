# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel tells of another process: ``/proc/PID`` (proc(5))."""

from __future__ import annotations

import resource

_CAPABILITY_SETS = {
    "bounding": "CapBnd",
    "effective": "CapEff",
    "permitted": "CapPrm",
    "inheritable": "CapInh",
    "ambient": "CapAmb",
}

_LIMITS = {
    "Max cpu time": "cpu",
    "Max file size": "fsize",
    "Max data size": "data",
    "Max stack size": "stack",
    "Max core file size": "core",
    "Max resident set": "rss",
    "Max processes": "nproc",
    "Max open files": "nofile",
    "Max locked memory": "memlock",
    "Max address space": "as",
    "Max file locks": "locks",
    "Max pending signals": "sigpending",
    "Max msgqueue size": "msgqueue",
    "Max nice priority": "nice",
    "Max realtime priority": "rtprio",
    "Max realtime timeout": "rttime",
}
_TITLE_MAX = 4096
_LIMIT_COLUMN = 26  # where the figures begin (fs/proc/base.c)


def status(pid: int) -> dict[str, str]:
    """``/proc/PID/status`` by key.

    A process gives itself its name, in which the kernel escapes the newline but no carriage return: that ends no line.
    """
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace", newline="\n") as file:
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


def title(pid: int) -> str:
    """What a process calls itself: its first argument, which many overwrite (proc_pid_cmdline(5)), bounded."""
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read(_TITLE_MAX).partition(b"\0")[0].decode(errors="replace").rstrip()


def control_groups(pid: int) -> list[tuple[str, str]]:
    """For each hierarchy its controllers, parted by commas (none for version 2), and the process's group in it."""
    with open(f"/proc/{pid}/cgroup", encoding="utf-8", newline="\n") as file:
        lines = [line.rstrip("\n").split(":", 2) for line in file]
    return [(controllers, path) for _number, controllers, path in lines]


def limits(pid: int) -> dict[str, tuple[int, int]]:
    """The resource limits of a process, soft and hard, by lower-case name (:mod:`rlimits`).

    From ``/proc/PID/limits``: for prlimit(2) one needs CAP_SYS_RESOURCE, which not every host's root has.
    """
    found = {}
    with open(f"/proc/{pid}/limits", encoding="ascii") as file:
        for line in file:
            name = _LIMITS.get(line[:_LIMIT_COLUMN].strip())
            if name is not None:
                soft, hard = line[_LIMIT_COLUMN:].split()[:2]
                found[name] = _limit(soft), _limit(hard)
    return found


def _limit(text: str) -> int:
    return resource.RLIM_INFINITY if text == "unlimited" else int(text)
