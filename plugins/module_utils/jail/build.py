# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run programs on trees that nobody trusts: as root of a throw-away jail, never on the host."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..kernel import namespaces, paths, pidfd, process
from ..net import loopback
from ..rootfs import layers, toolbox
from ..rootfs.builder import Job
from ..rootfs.layers import Layers, Subject
from . import devices, ids, launch, live, policy, resources, start, stop
from .isolation import labels, options, settled
from .launch import Plan, Started, Streams

_NAME = re.compile(r"\.build-([0-9]+)-([0-9]+)(?:-[0-9]+)?")
"""By pid and start time of the process whose build it is, and a number where it has several at once."""
_OPENED = {"allow_sysvipc": True}
"""A package's script may set up a server that needs it; what it makes is gone with the build's namespace."""
_in_use: set[str] = set()


class FailedError(Exception):
    """A program ended with another status than 0; what it said about it is where its standard error went."""


class Program:
    """A program that runs in a throw-away jail; made by :func:`running`."""

    def __init__(self, started: Started) -> None:
        self._started = started
        self._status: int | None = None

    def wait(self) -> int:
        """Wait for its end, and that of all that it started; its exit status as a shell counts it."""
        if self._status is None:
            self._status = process.wait(self._started.pid)
        return self._status

    def expect_success(self, what: str) -> None:
        """Wait for its end.

        :param what: it is, for the error.
        :raises FailedError: when its status is not 0.
        """
        if self.wait():
            raise FailedError(f"{what} ended with status {self.wait()}")

    def end(self) -> None:
        """Kill it, if it has not been waited for."""
        if self._status is None:
            pidfd.send_signal(self._started.pidfd, signal.SIGKILL)
            self.wait()
        os.close(self._started.pidfd)


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
    with _running(root, None, job, (), _OPENED) as program:
        return program.wait()


@contextlib.contextmanager
def running(subject: Subject | None, job: Job, handed_over: Sequence[int]) -> Iterator[Program]:
    """Have a program of the job's toolbox run for a ``with`` block, likewise, in a root that has nothing else but the
    tree to work on at :data:`toolbox.SUBJECT`. Several can run at once. At the end of the block it is killed if it has
    not ended.

    :param handed_over: descriptors that are the program's alone, and are closed here.
    """
    with _running(None, subject, job, handed_over, {}) as program:
        yield program


@contextlib.contextmanager
def _running(
    root: Layers | None, subject: Subject | None, job: Job, handed_over: Sequence[int], opened: Mapping[str, Any]
) -> Iterator[Program]:
    with contextlib.ExitStack() as stack, contextlib.ExitStack() as given:
        for descriptor in handed_over:
            given.callback(os.close, descriptor)
        sweep()
        name = stack.enter_context(_name())
        stack.callback(_clear, name)
        tools = None if job.tools is None else stack.enter_context(toolbox.packed(job.tools))
        group = live.group_of(name)
        start.limit(group, {"memory_max": job.memory_max})
        devices.restrict(group, ())
        values = {**options.desired({}), **opened}
        plan = Plan(
            hostname="build",
            argv=job.command,
            environment=policy.ENVIRONMENT,
            layers=root,
            subject=subject,
            first_id=ids.first_id(ids.allocate(name)),
            group=group,
            streams=Streams(job.input, job.output, job.errors),
            preparation=None,
            tools=tools,
            isolation=labels.prepare(name, values, settled.settle(values)),
            resources=resources.settle({}),
            ptys=policy.PTYS_MAX,
            volumes=[],
            tied=True,
        )
        program = Program(launch.launch(plan, _wire))
        stack.callback(program.end)
        given.close()
        yield program


def _wire(pid: int, _start_time: int) -> None:
    # A child of ours that nobody has waited for: its number is its own.
    with paths.opened(namespaces.open_namespace(pid, "net")) as namespace:
        loopback.bring_up(namespace)


@contextlib.contextmanager
def _name() -> Iterator[str]:
    """A name that no other such jail has."""
    own = f".build-{os.getpid()}-{pidfd.start_time(os.getpid())}"
    name, number = own, 1
    while name in _in_use:
        number += 1
        name = f"{own}-{number}"
    _in_use.add(name)
    try:
        yield name
    finally:
        _in_use.remove(name)


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
