# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hold all processes of a control group still, and let them go on (the kernel's admin-guide/cgroup-v2,
``cgroup.freeze``, and admin-guide/cgroup-v1/freezer-subsystem).

What joins a group that is frozen is frozen too. On version 1 a signal waits for the thaw, SIGKILL as well.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Sequence
from typing import NamedTuple

from .group import Group, read, write
from .hierarchies import CONTROLLERS

_SECONDS = 10.0
_LOOK_SECONDS = 0.005


class _Switch(NamedTuple):
    """Where it can be; the file to write to and the words for it; the file that tells when it is done, and the line of
    it then."""

    controllers: Sequence[str]
    file: str
    frozen: str
    thawed: str
    state: str
    done: str


_V2 = _Switch(CONTROLLERS, "cgroup.freeze", "1", "0", "cgroup.events", "frozen 1")
"""In each group, whatever controllers it has."""
_V1 = _Switch(("freezer",), "freezer.state", "FROZEN", "THAWED", "freezer.state", "FROZEN")


def freeze(group: Group) -> None:
    """Freeze a group, and wait until it is.

    :raises OSError: ``EOPNOTSUPP`` where this host has no freezer; ``EBUSY`` when a process of it stays in the kernel,
        and the group is as it was.
    """
    switch = _switch(group)
    write(_path(group, switch, switch.file), switch.frozen)
    deadline = time.monotonic() + _SECONDS
    while switch.done not in read(_path(group, switch, switch.state)).splitlines():
        if time.monotonic() > deadline:
            thaw(group)
            raise OSError(errno.EBUSY, f"a process of it has not come out of the kernel for {_SECONDS:.0f} s")
        time.sleep(_LOOK_SECONDS)


def thaw(group: Group) -> None:
    """Let a group go on."""
    switch = _switch(group)
    write(_path(group, switch, switch.file), switch.thawed)


def is_frozen(group: Group) -> bool:
    """Whether a group is frozen, or about to be. Without a freezer none is."""
    switch = _switch(group)
    if all(map(group.lacks, switch.controllers)):
        return False
    try:
        return read(_path(group, switch, switch.file)).strip() not in (switch.thawed, "")
    except FileNotFoundError:
        return False


def _switch(group: Group) -> _Switch:
    return _V2 if group.version == 2 else _V1


def _path(group: Group, switch: _Switch, file: str) -> str:
    there = [controller for controller in switch.controllers if not group.lacks(controller)]
    return os.path.join(group.directory((there or switch.controllers)[0]), file)
