# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the time of a start goes: a clock around the functions of the launcher, and around each system call.

The functions are replaced in their modules, so the product code has no part in it. Three processes take part in a
start (:mod:`launch`); what they note lies in memory that they share. The clocks cost some: a total is larger here
than in the table, by what the first line says.
"""

from __future__ import annotations

import functools
import inspect
import mmap
import os
import statistics
import struct
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Callable, NamedTuple

from ansible_collections.cellblock.jails.plugins.module_utils import files
from ansible_collections.cellblock.jails.plugins.module_utils.jail import (
    assemble,
    channel,
    confinement,
    devices,
    ids,
    launch,
    limits,
    live,
    network,
    start,
    stop,
    store,
    syscall_policy,
)
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import (
    capabilities,
    cgroup,
    idmap,
    mounts,
    namespaces,
    paths,
    pidfd,
    process,
    rlimits,
    seccomp,
    syscalls,
)
from ansible_collections.cellblock.jails.plugins.module_utils.net import (
    bridges,
    firewall,
    links,
    loopback,
)
from ansible_collections.cellblock.jails.plugins.module_utils.net import (
    network as host_network,
)
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import storage

from . import report
from .contenders import Contender

_MODULES: tuple[ModuleType, ...] = (
    *(assemble, channel, confinement, devices, ids, launch, limits, live, network, start, stop, store, syscall_policy),
    *(bridges, firewall, links, loopback, host_network, storage, files),
    *(capabilities, cgroup, idmap, mounts, namespaces, paths, pidfd, process, rlimits, seccomp),
)
_OF_OS = ("fsync", "mknod", "chown", "symlink", "mkdir", "setsid", "execve", "pidfd_open", "waitpid")
_OF_LIBC = ("mount", "umount2", "unshare", "prctl")
_ROLES = ("launcher", "first child", "pid 1")
_ENTERED = {"_leave_host": 1, "_become_init": 2}

_SHOWN = 100_000
"""Nanoseconds. What takes less counts as part of what calls it."""

_EVENT = struct.Struct("qii")  # nanosecond, label, 1 for the beginning and 0 for the end
_AREA = 1 << 20


class _Node(NamedTuple):
    path: tuple[str, ...]
    began: int
    took: int


class Recorder:
    """Notes of the three processes, each in a part of its own."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _AREA * len(_ROLES))
        self._labels: list[str] = []
        self._role = 0
        self._position = 0

    def clear(self) -> None:
        """Forget the notes so far."""
        for role in range(len(_ROLES)):
            # Written, not only zeroed: a page fault in a fresh page is not the start's.
            self._memory[role * _AREA : (role + 1) * _AREA] = bytes(_AREA)
        self._role = self._position = 0

    def label(self, text: str) -> int:
        """The number of a label; labels are made before a fork."""
        self._labels.append(text)
        return len(self._labels) - 1

    def note(self, label: int, beginning: int) -> None:
        """Write an event down."""
        _EVENT.pack_into(self._memory, self._role * _AREA + self._position, time.monotonic_ns(), label, beginning)
        self._position += _EVENT.size

    def enter(self, role: int) -> None:
        """Be another process from now on."""
        self._role, self._position = role, 0

    def nodes(self, role: int) -> Iterator[_Node]:
        """What was called, by the path of calls; a call that never came back (exec, exit) took 0."""
        stack: list[tuple[str, int]] = []
        for offset in range(role * _AREA, (role + 1) * _AREA, _EVENT.size):
            moment, label, beginning = _EVENT.unpack_from(self._memory, offset)
            if not moment:
                break
            if beginning:
                stack.append((self._labels[label], moment))
                continue
            path = tuple(name for name, _began in stack)
            began = stack.pop()[1]
            yield _Node(path, began, moment - began)
        while stack:
            path = tuple(name for name, _began in stack)
            yield _Node(path, stack.pop()[1], 0)


def install() -> Recorder:
    """Put the clocks around everything, for the rest of this process."""
    recorder = Recorder()
    for owner, prefix, name in list(_functions()):
        timed = _timed(recorder, getattr(owner, name), recorder.label(f"{prefix}.{name}"), _ENTERED.get(name))
        setattr(owner, name, timed)
    raw: Any = syscalls
    for name in _OF_LIBC:
        setattr(raw.libc, name, _timed(recorder, getattr(raw.libc, name), recorder.label(f"({name})"), None))
    raw._syscall = _timed_syscall(recorder, raw._syscall)  # noqa: SLF001
    return recorder


def _functions() -> Iterator[tuple[Any, str, str]]:
    """Owner, its name and the function's, for all that the modules define; not what makes ``with`` blocks, whose time
    is that of the block."""
    yield from ((os, "os", name) for name in _OF_OS)
    for module in _MODULES:
        classes = [thing for thing in vars(module).values() if inspect.isclass(thing)]
        owners: list[Any] = [module, *(one for one in classes if one.__module__ == module.__name__)]
        for owner in owners:
            for name, thing in list(vars(owner).items()):
                plain = inspect.isfunction(thing) and not hasattr(thing, "__wrapped__") and not name.startswith("__")
                if plain and thing.__module__ == module.__name__ and not inspect.isgeneratorfunction(thing):
                    yield owner, owner.__name__.rpartition(".")[2], name


def _timed(recorder: Recorder, function: Callable[..., Any], label: int, role: int | None) -> Callable[..., Any]:
    @functools.wraps(function, assigned=())
    def timed(*arguments: Any, **named: Any) -> Any:
        if role is not None:
            recorder.enter(role)
        recorder.note(label, 1)
        try:
            return function(*arguments, **named)
        finally:
            recorder.note(label, 0)

    return timed


def _timed_syscall(recorder: Recorder, function: Callable[..., int]) -> Callable[..., int]:
    tables: Any = syscalls
    own = tables._BY_MACHINE.get(os.uname().machine, {})  # noqa: SLF001
    labels = {number: recorder.label(f"({name})") for name, number in {**tables._SHARED, **own}.items()}  # noqa: SLF001

    def timed(number: int, *arguments: Any) -> int:
        recorder.note(labels[number], 1)
        try:
            return function(number, *arguments)
        finally:
            recorder.note(labels[number], 0)

    return timed


def _prefixes(path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    return (path[:depth] for depth in range(1, len(path) + 1))


def _is_shown(took: list[int]) -> bool:
    """Whether it is worth a line; what took 0 never came back."""
    return statistics.median(took) >= _SHOWN or statistics.median(took) == 0


def profile(contender: Contender, rounds: int, pause: float) -> str:
    """Start ``contender`` so often under the clocks; what each process did, in microseconds, by medians."""
    recorder = install()
    took: dict[tuple[int, tuple[str, ...]], list[int]] = {}
    begins: dict[tuple[int, tuple[str, ...]], list[int]] = {}
    calls: dict[tuple[int, tuple[str, ...]], list[int]] = {}
    totals = []
    for _round in range(rounds):
        recorder.clear()
        before, first = contender.start()
        totals.append(first - before)
        seen: dict[tuple[int, tuple[str, ...]], list[_Node]] = {}
        for role in range(len(_ROLES)):
            for node in recorder.nodes(role):
                seen.setdefault((role, node.path), []).append(node)
        for key, nodes in seen.items():
            took.setdefault(key, []).append(sum(node.took for node in nodes))
            begins.setdefault(key, []).append(min(node.began for node in nodes) - before)
            calls.setdefault(key, []).append(len(nodes))
        contender.stop()
        time.sleep(pause)
    lines = [f"{contender.name}, under the clocks: {statistics.median(totals) / 1000:.0f} us to the first instruction"]
    for role, title in enumerate(_ROLES):
        keys = [key for key in took if key[0] == role and _is_shown(took[key])]
        keys.sort(key=lambda key: [statistics.median(begins[role, path]) for path in _prefixes(key[1])])
        rows = [[title, "at", "took", "itself", "calls"]]
        for key in keys:
            inside = [other for other in keys if other[1][:-1] == key[1]]
            total = statistics.median(took[key])
            itself = total - sum(statistics.median(took[other]) for other in inside)
            figures = (statistics.median(begins[key]), total, max(0.0, itself))
            indent = "  " * len(key[1])
            rows.append([indent + key[1][-1], *(f"{figure / 1000:.0f}" for figure in figures),
                         f"{statistics.median(calls[key]):.0f}"])  # fmt: skip
        lines += ["", report.columns(rows)]
    return "\n".join(lines)
