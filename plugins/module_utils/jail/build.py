# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the programs of a tree that is being built: as root of a throw-away jail, never on the host."""

from __future__ import annotations

import contextlib
import os
import re

from ..kernel import pidfd
from ..rootfs import layers, toolbox
from ..rootfs.builder import Job
from ..rootfs.layers import Layers
from . import ids, launch, live, policy, start, stop
from .isolation import options, settled
from .launch import Plan, Streams

_NAME = re.compile(r"\.build-([0-9]+)-([0-9]+)")
"""By pid and start time of the process whose build it is."""
_OPENED = {"allow_sysvipc": True}
"""A package's script may set up a server that needs it; what it makes is gone with the build's namespace."""


def confine(tree: str, job: Job) -> int:
    """Run a program on a tree as its root; see :data:`builder.Confine`."""
    with layers.of_directories(tree, None) as root:
        return run(root, job)


def run(root: Layers, job: Job) -> int:
    """Run a program as root of a throw-away jail, confined like any, without network and with no limits of its own but
    that of memory.

    :param root: the layers of its tree, with owners 0..65535; what the program writes goes there.
    :returns: its exit status as a shell counts it. When we are killed, it and all that it started are.
    """
    sweep()
    name = f".build-{os.getpid()}-{pidfd.start_time(os.getpid())}"
    with contextlib.ExitStack() as stack:
        tools = None if job.tools is None else stack.enter_context(toolbox.packed(job.tools))
        try:
            group = live.group_of(name)
            start.limit(group, {} if job.memory_max is None else {"memory_max": job.memory_max})
            plan = Plan(
                hostname="build",
                argv=job.command,
                environment=policy.ENVIRONMENT,
                layers=root,
                first_id=ids.first_id(ids.allocate(name)),
                group=group,
                streams=Streams(job.input, job.output, job.errors),
                preparation=None,
                tools=tools,
                isolation=settled.settle({**options.desired({}), **_OPENED}),
                volumes=[],
                tied=True,
            )
            return launch.run(plan)
        finally:
            _clear(name)


def sweep() -> None:
    """Clear what killed builds left: a cgroup and a range of ids."""
    for name in killed():
        _clear(name)


def killed() -> list[str]:
    """The builds that have left something and whose process, which their names tell, is gone."""
    return sorted(name for name in {*ids.names(), *live.names()} if not _goes_on(name))


def _goes_on(name: str) -> bool:
    match = _NAME.fullmatch(name)
    if match is None:
        return True  # not a name that we give
    descriptor = pidfd.open_process(int(match[1]), int(match[2]))
    if descriptor is None:
        return False
    os.close(descriptor)
    return True


def _clear(name: str) -> None:
    stop.clear(name)
    ids.free(name)
