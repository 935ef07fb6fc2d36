# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounts of a running jail: read from its mount table, put on and taken off under its processes."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Sequence
from typing import Any

from ... import files, layout
from ...errors import JailError
from ...kernel import mounts, namespaces, paths
from ...kernel.mounts import Mounted
from .. import enter, policy
from ..isolation import places
from ..live import Running
from . import given, placing, sources
from .given import Given
from .sources import Place
from .words import OVERLAY, TMPFS, Volume, flags
from .words import sources as sources_of

_STAGING = "/run"


def record(name: str, volumes: Sequence[Volume]) -> None:
    """Write down what a jail that is being started is given, and where that lies on the host."""
    places = [_place(volume) for volume in volumes]
    entries = [{"volume": volume, "place": place} for volume, place in zip(volumes, places)]
    files.write_json(_path(name), entries)


def read(running: Running) -> list[Volume] | str:
    """The volumes that the kernel has in the jail as they were given; what else is mounted, in words.

    A jail's root can give a directory above a mount another name, and the mount goes with it. No mount of a jail that
    may mount can be taken off (:mod:`..inner`), so there all are still what they were, whatever hides them.
    """
    entries = _entries(running.name)
    if running.isolation.may_mount:
        return [entry["volume"] for entry in entries]
    table = mounts.mount_table(str(running.pid))
    held = [entry["volume"] for entry in entries if _holds(table, entry)]
    strangers = _strangers(running, table, held)
    return f"not as they were given: {', '.join(strangers)}" if strangers else held


def write(running: Running, wanted: Sequence[Volume]) -> None:
    """Take off what is not wanted, and put on what is missing.

    :raises JailError: when a mount is in use, or a source may not be given.
    """
    if running.isolation.may_mount:
        raise JailError(
            "the mounts of a jail that may mount are locked, so that its root cannot take their flags off",
            option=sources.OPTION,
            advice="restart the jail: jail_state state=restarted with this option makes it so",
        )
    for volume in reversed(_held(running)):
        if volume not in wanted:
            _take_off(running, volume)
    kept = _held(running)
    missing = [volume for volume in wanted if volume not in kept]
    with contextlib.ExitStack() as stack:
        userns = None
        if running.first_id is not None:
            userns = stack.enter_context(paths.opened(running.open_part("ns/user")))
        ready = stack.enter_context(given.given(missing, userns))
        record(running.name, wanted)
        for each in ready:
            _put(running, each)


def _held(running: Running) -> list[Volume]:
    """What a jail has as it was given.

    :raises JailError: when something else is mounted in it.
    """
    found = read(running)
    if isinstance(found, str):
        raise JailError(found, option=sources.OPTION, advice="the jail has moved what is mounted there: restart it")
    return found


def _strangers(running: Running, table: Sequence[Mounted], held: Sequence[Volume]) -> list[str]:
    """The places on which something is mounted that nobody has put there."""
    own = [*places.with_covers(running.isolation, {}), policy.GROUPS]
    known = [*own, *(volume["target"] for volume in held)]
    return sorted({mount.target for mount in table} - set(known))


def _put(running: Running, each: Given) -> None:
    with paths.opened(running.open_part("ns/mnt")) as home:

        def put(root: int) -> None:
            if each.volume["type"] != OVERLAY:
                placing.put(root, each.volume, each.mounts, root)
                return
            # The layers are mounted where the jail does not see them.
            namespaces.unshare(namespaces.CLONE_NEWNS)
            staging = paths.open_plain(os.open("/", os.O_PATH | os.O_DIRECTORY), _STAGING, os.O_PATH | os.O_DIRECTORY)
            overlay = placing.overlay(each.volume, each.mounts, staging)
            namespaces.setns(home, namespaces.CLONE_NEWNS)
            placing.attach(root, each.volume, overlay)

        _called(running, each.volume, put)


def _take_off(running: Running, volume: Volume) -> None:
    _called(running, volume, lambda root: placing.take_off(root, volume))


def _called(running: Running, volume: Volume, function: Any) -> None:
    try:
        enter.call(running, function)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise JailError(
                f"{volume['target']} is in use in the jail",
                option=sources.OPTION,
                advice="end what uses it, or restart the jail",
            ) from error
        raise JailError(str(error.strerror), option=sources.OPTION) from error


def _holds(table: Sequence[Mounted], entry: dict[str, Any]) -> bool:
    volume = entry["volume"]
    on_target = [mount for mount in table if mount.target == volume["target"]]
    if not on_target:
        return False
    mount = on_target[-1]
    if not flags(volume) <= set(mount.flags.split(",")):
        return False
    if volume["type"] in (OVERLAY, TMPFS):
        return bool(mount.fstype == volume["type"])
    return bool([mount.device, mount.root] == entry["place"])


def _place(volume: Volume) -> Place | None:
    for path in sources_of(volume):
        with paths.opened(paths.open_host(path)) as source:
            return sources.place_of(source)
    return None


def recorded(name: str) -> list[Volume]:
    """What a running jail was given last."""
    return [entry["volume"] for entry in _entries(name)]


def _entries(name: str) -> list[dict[str, Any]]:
    return files.read_json(_path(name)) or []


def _path(name: str) -> str:
    return os.path.join(layout.running(name), "mounts.json")
