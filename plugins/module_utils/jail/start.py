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
from typing import Any, NamedTuple

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
    place,
    policy,
    publishing,
    resources,
    size,
    stop,
    store,
)
from .isolation import labels, settled, sysctls
from .isolation.record import Isolation
from .launch import Plan, Streams
from .live import Running
from .resources import Resources
from .volumes import live as volumes

_SETTLE_SECONDS = 0.1
"""An init that cannot do its work has ended by then; one wait serves all jails of a call."""
_POLL_SECONDS = 0.02
_SETTLE_SECONDS_MOST = 3.0
"""So long is waited on a host so busy that an init has not even had the CPU for so much."""

_HINT = "look at it, and whether memory_max and pids_max are enough"


class _Wish(NamedTuple):
    """What is recorded of a jail that is to start, and what follows from it.

    :param wiring: of ``jail_net``.
    :param bounds: of ``jail_limits``.
    :param holds: the options of its isolation.
    :param other_jails: what it is told of them, if it asks.
    """

    name: str
    hostname: str
    started_with: dict[str, Any]
    wiring: dict[str, Any]
    bounds: dict[str, Any]
    holds: dict[str, Any]
    other_jails: list[str] | None


def _wish(name: str) -> _Wish:
    desired, wiring = store.read(name, "state"), store.read(name, "net")
    holds = place.isolation_of(desired, wiring)
    return _Wish(
        name=name,
        hostname=desired.get("hostname", name),
        started_with={"command": desired.get("command"), "init": desired.get("init", policy.INIT), **holds},
        wiring=wiring,
        bounds=store.read(name, "limits"),
        holds=holds,
        other_jails=naming.wanted(name),
    )


def start(name: str) -> None:
    """Start a jail that does not run. Whatever a previous run left is cleared first.

    :raises JailError: when it has no root file system, or a step failed; it is stopped and cleared then. And when it
        runs, but not with all that was wanted in its tree, so that it can be helped from inside.
    """
    adopt.settle(name)
    wish = _wish(name)
    if wish.holds["userns"] == "host" and not image.is_read_only():
        apart.call(__name__, "start", name)
        return
    publishing.expect_free(wish.wiring.get("publish", []))
    isolation = settled.settle(wish.holds)
    given = resources.settle(wish.bounds)
    stop.clear(name)
    size.hold(name)
    notes.drop(name, notes.SAME)
    try:
        problems = _launch(wish, isolation, given)
    except BaseException:
        stop.clear(name)
        raise
    identity.renewed(name)
    if wish.other_jails is not None:
        naming.note(name, wish.other_jails)
    if problems:
        raise JailError(f"it runs, but {'; '.join(problems)}")


def _launch(wish: _Wish, isolation: Isolation, given: Resources) -> Sequence[str]:
    """What does not hold in the tree of the jail that runs now, a sentence for each."""
    name, holds = wish.name, wish.holds
    slot = ids.allocate(name)
    first_id = ids.first_for(holds["userns"], slot)
    group = live.group_of(name)
    limit(group, wish.bounds)
    isolation = isolation._replace(devices_filtered=devices.restrict(group, isolation.devices))
    isolation = labels.prepare(name, holds, isolation)
    failing = contextlib.ExitStack()

    def before_go(pid: int, started: int) -> None:
        running = Running(name, pid, started, slot, first_id, wish.started_with, time.time(), isolation, given)
        failing.enter_context(borrowing.given_back_on_failure(running, wish.wiring))
        network.wire(running, wish.wiring)
        if holds["sysctls"]:
            sysctls.PARAMETERS.set_first(running, holds["sysctls"])
        if holds["mounts"]:
            volumes.record(name, holds["mounts"])
        live.record(running)

    def at_last() -> None:
        if wish.bounds.get(objects.OPTION):
            objects.PARAMETERS.set_first(live.expect(name), wish.bounds[objects.OPTION])

    with failing, storage.layers(name) as layers, console.opened(name, limits.memory_of(group)) as output:
        plan = Plan(
            hostname=wish.hostname,
            argv=wish.started_with["command"] or [wish.started_with["init"]],
            environment=policy.ENVIRONMENT,
            layers=layers,
            subject=None,
            first_id=first_id,
            group=group,
            streams=Streams(None, output, output),
            preparation=identity.preparation(name, wish.hostname, network.files(wish.wiring), wish.other_jails),
            tools=None,
            isolation=isolation,
            resources=given,
            ptys=objects.ptys(wish.bounds),
            volumes=holds["mounts"],
            tied=False,
        )
        started = launch.launch(plan, before_go, at_last)
    os.close(started.pidfd)
    return started.problems


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
