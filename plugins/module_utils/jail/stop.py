# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stop a jail: ask its init, wait, then certain death; and leave nothing of it."""

from __future__ import annotations

import os
import signal

from ..errors import JailError
from ..kernel import pidfd, signals
from . import live, policy, store
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


def stop(running: Running, signal_number: int, seconds: float) -> str:
    """Stop a running jail and clear up; says how it ended.

    A pid 1 without a handler for the signal never gets it (pid_namespaces(7)), so there is nothing to wait for then.

    :param seconds: how long its init may take before SIGKILL, which ends every process of its pid namespace.
    :raises JailError: when processes outlive SIGKILL (they hang in the kernel).
    """
    descriptor = running.open()
    how = "had ended"
    if descriptor is not None:
        try:
            how = _end(descriptor, running, signal_number, seconds)
        finally:
            os.close(descriptor)
    clear(running.name)
    return how


def _end(descriptor: int, running: Running, signal_number: int, seconds: float) -> str:
    name = signal.Signals(signal_number).name
    if pidfd.catches(running.pid, signal_number):
        pidfd.send_signal(descriptor, signal_number)
        if pidfd.wait_for_end(descriptor, seconds):
            return f"ended on {name}"
    pidfd.send_signal(descriptor, signal.SIGKILL)
    if not pidfd.wait_for_end(descriptor, _DEATH_SECONDS):
        raise JailError(
            f"pid {running.pid} did not end within {_DEATH_SECONDS:.0f} s of SIGKILL",
            advice="one of its processes hangs in the kernel, see its stack in /proc/PID/stack",
        )
    return "killed"


def clear(name: str) -> None:
    """Remove what a jail that does not run has left: processes that were entered, its cgroup, its bookkeeping."""
    group = live.group_of(name)
    if group.exists():
        for pid in group.processes():
            _kill(pid)
        group.remove()
    live.forget(name)


def _kill(pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        pidfd.send_signal(descriptor, signal.SIGKILL)
    finally:
        os.close(descriptor)
