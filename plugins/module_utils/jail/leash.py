# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs in a jail for a client ends with that client, also when it is killed.

A terminal does so by hanging up: SIGHUP and SIGCONT for the processes of the session that has it (credentials(7)).
Here a process of ours does it for those that have none: it waits on the host while the command runs, and the kernel
tells it that the client is gone by closing the client's end of a pipe. As with a terminal, a process that made a
session of its own or ignores SIGHUP has detached itself, and stays.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterator, Sequence

from ..kernel import paths, pidfd, process
from .live import Running


@contextlib.contextmanager
def held(running: Running, leader: int, target: int, listeners: Sequence[int]) -> Iterator[None]:
    """Hang up a session in a jail if this process ends, or one of the listeners goes, while its leader lives; for a
    ``with`` block.

    :param running: the jail; nothing outside it is signalled.
    :param leader: the pid of the session's leader, and so the session's number.
    :param target: a pidfd of it.
    :param listeners: descriptors of ours whose other ends, if they are pipes or sockets, are looked after.
    """
    reading, writing = os.pipe()
    keeper = process.fork(lambda: _keep(running, leader, target, reading, listeners))
    os.close(reading)
    try:
        yield
    finally:
        os.close(writing)
        process.wait(keeper)


def _keep(running: Running, leader: int, target: int, reading: int, listeners: Sequence[int]) -> None:
    """The process that waits."""
    process.close_all_but([target, reading, *listeners])
    os.setsid()  # what is done to the client's session and group is not done to us
    poll = select.poll()
    poll.register(target, select.POLLIN)
    poll.register(reading, select.POLLIN)
    for listener in listeners:
        poll.register(listener, 0)  # hang-up and error are told unasked (poll(2))
    poll.poll()
    if not pidfd.has_ended(target):
        _hang_up(running, leader)


def _hang_up(running: Running, session: int) -> None:
    """Signal every process of the session once, also those that it starts meanwhile."""
    told: set[int] = set()
    while fresh := {pid for pid in running.group.processes() if pid not in told and _session_of(pid) == session}:
        told |= fresh
        for pid in fresh:
            _tell(pid, session)


def _tell(pid: int, session: int) -> None:
    with contextlib.suppress(ProcessLookupError), paths.opened(os.pidfd_open(pid)) as descriptor:
        if _session_of(pid) == session:  # asked again now that the number cannot become another's
            pidfd.send_signal(descriptor, signal.SIGHUP)
            pidfd.send_signal(descriptor, signal.SIGCONT)


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None
