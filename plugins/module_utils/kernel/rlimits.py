# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resource limits of a process (getrlimit(2)). A limit is a pair: soft and hard; infinity is -1."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping, Sequence

from . import process

NUMBERS = {
    "cpu": 0,
    "fsize": 1,
    "data": 2,
    "stack": 3,
    "core": 4,
    "rss": 5,
    "nproc": 6,
    "nofile": 7,
    "memlock": 8,
    "as": 9,
    "locks": 10,
    "sigpending": 11,
    "msgqueue": 12,
    "nice": 13,
    "rtprio": 14,
    "rttime": 15,
}
"""``asm-generic/resource.h``, which holds on x86_64 and aarch64."""

Limit = Sequence[int]
"""Soft, hard."""


def set_own(limits: Mapping[str, Limit]) -> None:
    """Set limits by name; a hard limit above the present one is taken down to it.

    Raising a hard limit needs CAP_SYS_RESOURCE in the initial user namespace, which not every host's root has.
    """
    for name, (soft, wanted) in limits.items():
        hard = lower(wanted, get(0, name)[1])
        put(0, name, (lower(soft, hard), hard))


def get(pid: int, name: str) -> tuple[int, int]:
    """A limit of a process, 0 being ourselves (prlimit(2)).

    Of another one this takes its user ids, or CAP_SYS_RESOURCE in its user namespace.
    """
    return resource.prlimit(pid, NUMBERS[name])


def put(pid: int, name: str, limit: Limit) -> None:
    """Set a limit of a process, with the same rights.

    :raises OSError: ``EPERM`` also for a hard limit that is raised without the right to.
    """
    soft, hard = limit
    resource.prlimit(pid, NUMBERS[name], (soft, hard))


def lower(one: int, other: int) -> int:
    """The lower of two limits."""
    finite = [limit for limit in (one, other) if limit != resource.RLIM_INFINITY]
    return min(finite, default=resource.RLIM_INFINITY)


def is_within(one: int, other: int) -> bool:
    """Whether a limit allows no more than another."""
    return lower(one, other) == one


def can_raise() -> bool:
    """Whether we may raise hard limits: a child tries."""
    reading, writing = os.pipe()

    def attempt() -> None:
        number = NUMBERS["core"]
        resource.prlimit(0, number, (0, 0))
        try:
            resource.prlimit(0, number, (0, 1))
        except OSError:
            return
        os.write(writing, b".")

    process.wait(process.fork(attempt))
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        return bool(answer.read())
