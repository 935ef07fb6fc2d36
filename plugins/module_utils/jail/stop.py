# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stop a jail: ask its init, wait, then certain death; and leave nothing of it."""

from __future__ import annotations

import contextlib
import os
import signal

from ..errors import JailError
from ..kernel import paths, pidfd, signals
from ..kernel.cgroup import Group
from . import console, live, policy, store
from .isolation import labels
from .live import Running

_DEATH_SECONDS = 10.0


def stop_as_desired(name: str) -> None:
    """Stop a jail by the signal and timeout of its desired state, if it runs; clear up in any case."""
    running = live.find(name)
    if running is None:
        clear(name)
        return
    desired = store.read(name, "state")
    number = signals.number_of(desired.get("stop_signal", policy.STOP_SIGNAL))
    stop(running, number, desired.get("stop_timeout", policy.STOP_SECONDS))


def stop(running: Running, signal_number: int, seconds: float) -> None:
    """Stop a running jail and clear up.

    A pid 1 without a handler for the signal never gets it (pid_namespaces(7)), so there is nothing to wait for then.

    :param seconds: how long its init may take before SIGKILL, which ends every process of its pid namespace.
    :raises JailError: when processes outlive SIGKILL (they hang in the kernel).
    """
    descriptor = running.open()
    if descriptor is not None:
        with paths.opened(descriptor):
            _end(descriptor, running, signal_number, seconds)
    clear(running.name)


def _end(descriptor: int, running: Running, signal_number: int, seconds: float) -> None:
    if pidfd.catches(running.pid, signal_number):
        pidfd.send_signal(descriptor, signal_number)
        if pidfd.wait_for_end(descriptor, seconds):
            return
    pidfd.send_signal(descriptor, signal.SIGKILL)
    if not pidfd.wait_for_end(descriptor, _DEATH_SECONDS):
        raise JailError(
            f"pid {running.pid} did not end within {_DEATH_SECONDS:.0f} s of SIGKILL",
            advice="a process of it hangs in the kernel (see /proc/PID/stack), or a `jail exec` into it is suspended",
        )


def clear(name: str) -> None:
    """Remove what a jail that does not run has left: processes that were entered, its cgroup, its bookkeeping.

    What it printed is kept.
    """
    group = live.group_of(name)
    if group.exists():
        for pid in group.processes():
            _kill(group, pid)
        group.remove()
    console.close(name)
    labels.remove(name)
    live.forget(name)


def _kill(group: Group, pid: int) -> None:
    """Kill a process of the group: looked for again once it is held, in case its pid has passed to another."""
    with contextlib.suppress(ProcessLookupError), paths.opened(os.pidfd_open(pid)) as descriptor:
        if pid in group.processes():
            pidfd.send_signal(descriptor, signal.SIGKILL)
