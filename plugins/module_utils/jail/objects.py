# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of the kernel that cost it memory and that no control group counts alone: how many a jail may make.

Two kinds of counts: those of a user namespace (namespaces(7), inotify(7), fanotify(7); ``/proc/sys/user``), and those
of an IPC namespace (sysvipc(7), mq_overview(7)).
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from typing import Any, Callable

from .. import sizes
from ..errors import JailError
from ..kernel import mounts, namespaces, paths
from ..net import sysctl
from . import counts, enter, policy, store
from .live import Running
from .options import Option
from .parameters import Parameters

OPTION = "kernel_objects"
_USER = {
    "inotify_instances": "user/max_inotify_instances",
    "inotify_watches": "user/max_inotify_watches",
    "fanotify_groups": "user/max_fanotify_groups",
    "fanotify_marks": "user/max_fanotify_marks",
    **{f"{kind}_namespaces": f"user/max_{kind}_namespaces" for kind in (*namespaces.KINDS, "time") if kind != "user"},
}
_IPC = {
    **{name: f"kernel/{name}" for name in ("shmmax", "shmall", "shmmni", "msgmax", "msgmnb", "msgmni", "sem")},
    "mqueue_queues": "fs/mqueue/queues_max",
    "mqueue_messages": "fs/mqueue/msg_max",
    "mqueue_message_size": "fs/mqueue/msgsize_max",
}
NAMES = (*_USER, *_IPC)
_PATHS = {**_USER, **_IPC}
_KEYS = {path: name for name, path in _PATHS.items()}
_IN_BYTES = ("shmmax", "msgmax", "msgmnb", "mqueue_message_size")
_INT_MAX = (1 << 31) - 1
_SEM = re.compile(r"[0-9]{1,10}( [0-9]{1,10}){3}")


def parse(value: Mapping[str, Any]) -> dict[str, str]:
    """By path below ``/proc/sys``, the kernel's own text."""
    return {_path(str(name)): _text(str(name), words) for name, words in value.items() if words is not None}


def _path(name: str) -> str:
    if name not in _PATHS:
        raise ValueError(f"{name!r} is no object of the kernel that can be limited; there are: {', '.join(NAMES)}")
    return _PATHS[name]


def _text(name: str, words: Any) -> str:
    text = " ".join(str(words).split())
    if name == "sem":
        if not _SEM.fullmatch(text):
            raise ValueError(f"sem: {words!r} is not four numbers: SEMMSL SEMMNS SEMOPM SEMMNI (proc_sys_kernel(5))")
        return text
    if name in _IN_BYTES:
        try:
            size = sizes.parse_bytes(text)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        if size is None or (size > _INT_MAX and name != "shmmax"):
            raise ValueError(f"{name}: {words!r} is more than the kernel takes")
        return str(size)
    if not (text.isascii() and text.isdigit()) or int(text) > (_INT_MAX if name != "shmall" else 1 << 62):
        raise ValueError(f"{name}: {words!r} is not a number that the kernel takes")
    return str(int(text))


def show(value: Mapping[str, str]) -> dict[str, str]:
    """By name, in the shortest words."""
    named = {_KEYS[path]: text for path, text in value.items()}
    return {name: sizes.show(int(text)) if name in _IN_BYTES else text for name, text in named.items()}


def namespaces_of(name: str) -> dict[str, int]:
    """How many namespaces of each kind the option lets a jail make, where it says so."""
    said = store.read(name, "limits").get(OPTION, {})
    kinds = {kind: f"user/max_{kind}_namespaces" for kind in (*namespaces.KINDS, "time")}
    return {kind: int(said[path]) for kind, path in kinds.items() if path in said}


def _get(running: Running, wanted: Collection[str]) -> Mapping[str, str | None]:
    user, ipc = _parted(wanted)
    found: dict[str, str | None] = {}
    if user:
        found.update(_counted_by_user(running, lambda: {path: sysctl.read(path) for path in user}))
    if ipc:
        found.update(enter.call(running, lambda _root: {path: sysctl.read(path) for path in ipc}, ("user", "ipc")))
    return found


def _put(running: Running, values: Mapping[str, str]) -> None:
    user, ipc = _parted(values)
    try:
        if user:
            _counted_by_user(running, lambda: _write({path: values[path] for path in user}))
        if ipc:
            _in_ipc(running, {path: values[path] for path in ipc})
    except OSError as error:
        path = str(error.filename).partition(f"{sysctl.PLACE}/")[2]
        if path not in values:
            raise
        raise JailError(f"{_KEYS[path]}: the kernel refuses {values[path]}: {error.strerror}", option=OPTION) from error


def _in_ipc(running: Running, values: Mapping[str, str]) -> None:
    """They belong to the root of the namespace's user namespace; on older kernels to the host's (ipc/ipc_sysctl.c)."""
    try:
        enter.call(running, lambda _root: _write(values), ("user", "ipc"))
    except PermissionError:
        enter.call(running, lambda _root: _write(values), ("ipc",))


def _write(values: Mapping[str, str]) -> None:
    for path, value in values.items():
        sysctl.write(path, value)


def _counted_by_user(running: Running, function: Callable[[], Any]) -> Any:
    """In the user namespace whose counts hold for all of the jail."""
    if running.first_id is None:
        raise JailError(
            "a jail without a user namespace of its own has no counts of its own",
            option=OPTION,
            advice=f"it cannot have these together with userns=host: {', '.join(_USER)}",
        )
    with paths.opened(running.open_part("ns/user")) as own, paths.opened(namespaces.parent(own)) as above:
        # Until its first instruction a jail that will have an inner one is in the outer one itself.
        is_inner = os.fstat(above).st_ino != namespaces.identity(os.getpid(), "user")
    return enter.call_above(running, function) if is_inner else enter.call(running, lambda _root: function(), ("user",))


def _parted(wanted: Collection[str]) -> tuple[list[str], list[str]]:
    return [path for path in wanted if path in _USER.values()], [path for path in wanted if path in _IPC.values()]


PARAMETERS = Parameters(OPTION, _KEYS.__getitem__, _get, _put)

PTYS = "ptys_max"
_PTYS_MOST = 1 << 20  # NR_UNIX98_PTY_MAX of linux/devpts_fs.h


def _parse_ptys(value: Any) -> int:
    found = counts.parse(value, "terminals", _PTYS_MOST)
    if found is None:
        raise ValueError(f"the host has a number of terminals for all; write 1 to {_PTYS_MOST}")
    return found


def _read_ptys(running: Running) -> int:
    """From the jail's mount; one without the option has as many as there can be."""
    table = mounts.mount_table(str(running.pid))
    options = next((mount.options.split(",") for mount in table if mount.target == "/dev/pts"), [])
    return next((int(word[len("max=") :]) for word in options if word.startswith("max=")), _PTYS_MOST)


def ptys(recorded: Mapping[str, Any]) -> int:
    """How many pseudoterminals a jail may have of which this is recorded."""
    return int(recorded.get(PTYS, policy.PTYS_MAX))


OPTIONS = (
    Option(PTYS, default=policy.PTYS_MAX, parse=_parse_ptys, show=str, read=_read_ptys),
    Option(
        OPTION,
        type="dict",
        default={},
        parse=parse,
        show=show,
        read=PARAMETERS.read,
        write=PARAMETERS.write,
    ),
)
