# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stop a jail: ask its init, wait, then certain death; and leave nothing of it."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from ..errors import JailError
from ..kernel import paths, pidfd, signals
from ..kernel.cgroup import freezer
from ..kernel.cgroup.group import Group
from . import borrowing, console, freeze, inits, live, policy, publishing, store
from .isolation import labels
from .live import Running

_DEATH_SECONDS = 10.0
_LOOK_SECONDS = 0.1
_TIMES_ALONE = 5
"""Between two of its programs an init is alone for a moment too."""


def stop_as_desired(name: str) -> None:
    """Stop a jail by the signal and timeout of its desired state, if it runs; clear up in any case."""
    running = live.find(name)
    if running is None:
        clear(name)
        return
    desired = store.read(name, "state")
    stop(running, desired.get("stop_signal"), desired.get("stop_timeout", policy.STOP_SECONDS))


def stop(running: Running, signal_name: str | None, seconds: float) -> None:
    """Stop a running jail and clear up.

    :param signal_name: asks its first process to end; ``None`` for what that takes for it (:mod:`inits`).
    :param seconds: how long this may take before SIGKILL, which ends every process of its pid namespace.
    :raises JailError: when processes outlive SIGKILL (they hang in the kernel).
    """
    descriptor = running.open()
    if descriptor is not None:
        with paths.opened(descriptor), borrowing.given_back(running):
            _end(descriptor, running, signal_name, seconds)
    clear(running.name)


def _end(descriptor: int, running: Running, signal_name: str | None, seconds: float) -> None:
    freeze.thaw(running)  # no signal reaches what is frozen
    known = inits.ending(running)
    number = signals.number_of(signal_name or (known.signal if known else policy.STOP_SIGNAL))
    # A pid 1 without a handler for the signal never gets it (pid_namespaces(7)), so there is nothing to wait for.
    if known or pidfd.catches(running.pid, number):
        pidfd.send_signal(descriptor, number)
        if known and known.stays:
            _wait_until_alone(descriptor, running, seconds)
        elif pidfd.wait_for_end(descriptor, seconds):
            return
    pidfd.send_signal(descriptor, signal.SIGKILL)
    if not pidfd.wait_for_end(descriptor, _DEATH_SECONDS):
        raise JailError(
            f"pid {running.pid} did not end within {_DEATH_SECONDS:.0f} s of SIGKILL",
            advice="a process of it hangs in the kernel (see /proc/PID/stack), or a `jail exec` into it is suspended",
        )


def _wait_until_alone(descriptor: int, running: Running, seconds: float) -> None:
    """Wait until all processes but pid 1 have ended, or it too."""
    deadline = time.monotonic() + seconds
    seen_alone = 0
    while seen_alone < _TIMES_ALONE and time.monotonic() < deadline:
        if pidfd.wait_for_end(descriptor, _LOOK_SECONDS):
            return
        seen_alone = seen_alone + 1 if running.group.processes() == [running.pid] else 0


def clear(name: str) -> None:
    """Remove what a jail that does not run has left: processes that were entered, its cgroup, ports of the
    host that lead to it, its bookkeeping.

    What it printed is kept.
    """
    group = live.group_of(name)
    if group.exists():
        if freezer.is_frozen(group):
            freezer.thaw(group)
        for pid in group.processes():
            _kill(group, pid)
        group.remove()
    publishing.withdraw(name)
    borrowing.clear(name)
    console.close(name)
    labels.remove(name)
    live.forget(name)


def _kill(group: Group, pid: int) -> None:
    """Kill a process of the group: looked for again once it is held, in case its pid has passed to another."""
    with contextlib.suppress(ProcessLookupError), paths.opened(os.pidfd_open(pid)) as descriptor:
        if pid in group.processes():
            pidfd.send_signal(descriptor, signal.SIGKILL)
