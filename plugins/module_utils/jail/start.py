# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start a jail from its desired state."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Sequence
from typing import Any

from ..errors import JailError
from ..kernel import image, pidfd
from ..kernel.cgroup import freezer
from ..kernel.cgroup.group import Group
from ..rootfs import notes, storage
from . import (
    adopt,
    apart,
    borrowing,
    ceiling,
    console,
    devices,
    identity,
    ids,
    launch,
    limits,
    live,
    naming,
    network,
    objects,
    policy,
    publishing,
    resources,
    size,
    stop,
    store,
)
from .isolation import labels, options, settled, sysctls
from .launch import Plan, Streams
from .live import Running
from .volumes import live as volumes

_SETTLE_SECONDS = 0.1
"""An init that cannot do its work has ended by then; one wait serves all jails of a call."""
_POLL_SECONDS = 0.02
_SETTLE_SECONDS_MOST = 3.0
"""So long is waited on a host so busy that an init has not even had the CPU for so much."""

_HINT = "look at it, and whether memory_max and pids_max are enough"


def start(name: str) -> None:
    """Start a jail that does not run. Whatever a previous run left is cleared first.

    :raises JailError: when it has no root file system, or a step failed; it is stopped and cleared then. And when it
        runs, but not with all that was wanted in its tree, so that it can be helped from inside.
    """
    adopt.settle(name)
    desired = store.read(name, "state")
    if options.desired(desired)["userns"] == "host" and not image.is_read_only():
        apart.call(__name__, "start", name)
        return
    wiring = store.read(name, "net")
    publishing.expect_free(wiring.get("publish", []))
    holds = options.desired(desired)
    isolation = settled.settle(holds)
    bounds = store.read(name, "limits")
    given = resources.settle(bounds)
    slot = ids.allocate(name)
    first_id = ids.first_for(holds["userns"], slot)
    stop.clear(name)
    size.hold(name)
    notes.drop(name, notes.SAME)
    group = live.group_of(name)
    started_with = {"command": desired.get("command"), "init": desired.get("init", policy.INIT), **holds}
    hostname = desired.get("hostname", name)
    other_jails = naming.wanted(name)

    failing = contextlib.ExitStack()

    def before_go(pid: int, started: int) -> None:
        running = Running(name, pid, started, slot, first_id, started_with, time.time(), isolation, given)
        failing.enter_context(borrowing.given_back_on_failure(running, wiring))
        network.wire(running, wiring)
        if holds["sysctls"]:
            sysctls.PARAMETERS.set_first(running, holds["sysctls"])
        if holds["mounts"]:
            volumes.record(name, holds["mounts"])
        live.record(running)

    def at_last() -> None:
        if bounds.get(objects.OPTION):
            objects.PARAMETERS.set_first(live.expect(name), bounds[objects.OPTION])

    try:
        limit(group, store.read(name, "limits"))
        isolation = isolation._replace(devices_filtered=devices.restrict(group, isolation.devices))
        isolation = labels.prepare(name, holds, isolation)
        with storage.layers(name) as layers, console.opened(name, limits.memory_of(group)) as output, failing:
            plan = Plan(
                hostname=hostname,
                argv=started_with["command"] or [started_with["init"]],
                environment=policy.ENVIRONMENT,
                layers=layers,
                subject=None,
                first_id=first_id,
                group=group,
                streams=Streams(None, output, output),
                preparation=identity.preparation(name, hostname, network.files(wiring), other_jails),
                tools=None,
                isolation=isolation,
                resources=given,
                ptys=objects.ptys(bounds),
                volumes=holds["mounts"],
                tied=False,
            )
            started = launch.launch(plan, before_go, at_last)
            os.close(started.pidfd)
    except BaseException:
        stop.clear(name)
        raise
    identity.renewed(name)
    if other_jails is not None:
        naming.note(name, other_jails)
    if started.problems:
        raise JailError(f"it runs, but {'; '.join(started.problems)}")


def settle(names: Sequence[str]) -> dict[str, str]:
    """Look, a moment after they were started, which of these jails have ended already; a sentence for each."""
    time.sleep(_SETTLE_SECONDS if names else 0)
    deadline = time.monotonic() + _SETTLE_SECONDS_MOST
    while any(map(_is_on_its_way, names)) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    found = {}
    for name in names:
        with store.locked(name):
            if live.find(name) is None:
                stop.clear(name)
                found[name] = (
                    f"command: its init ended at once; the last that it printed: {console.tail(name)}; {_HINT}"
                )
    return found


def _is_on_its_way(name: str) -> bool:
    running = live.find(name)
    if running is None or freezer.is_frozen(running.group):
        return False
    return pidfd.is_busy(running.pid, _SETTLE_SECONDS)


def limit(group: Group, recorded: dict[str, Any]) -> None:
    """Make a jail's cgroup with its limits, below one that has its own.

    :raises JailError: when the host does not let us make cgroups.
    """
    try:
        group.create()
        ceiling.hold()
        limits.apply_to_new(group, recorded)
    except OSError as error:
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise JailError(
                f"cannot make a cgroup: {error.strerror} ({error.filename})",
                advice="the cgroup file systems must be writable by root",
            ) from error
        raise
