# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the programs of a tree that is being built: as root of a throw-away jail, never on the host."""

from __future__ import annotations

import os

from .. import files
from . import ids, launch, live, policy, start, stop
from .launch import Layers, Plan

_PREFIX = ".build-"


def confine(tree: str, argv: list[str], output: int) -> int:
    """Run a program on a tree as its root, confined like a jail, without network and limits of its own.

    :param tree: a host directory with owners 0..65535; what the program writes goes there, with such owners.
    :param output: a descriptor for what it prints.
    :returns: its exit status as a shell counts it. When we are killed, it and all that it started are.
    """
    sweep()
    name = f"{_PREFIX}{os.getpid()}"
    with files.locked(name):
        try:
            group = live.group_of(name)
            start.limit(group, {})
            first_id = ids.first_id(ids.allocate(name))
            layers = Layers(tree, None)
            return launch.run(Plan("build", argv, policy.ENVIRONMENT, layers, first_id, group, output, {}, tied=True))
        finally:
            _clear(name)


def sweep() -> None:
    """Clear what killed builds left: a cgroup and a range of ids. One that goes on holds its lock."""
    for name in {*ids.names(), *live.names()}:
        if name.startswith(_PREFIX):
            with files.locked_if_free(name) as free:
                if free:
                    _clear(name)


def _clear(name: str) -> None:
    stop.clear(name)
    ids.free(name)
