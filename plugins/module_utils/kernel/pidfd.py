# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that cannot be mistaken for others: a pid with its start time, held by a pidfd (pidfd_open(2))."""

from __future__ import annotations

import contextlib
import os
import select
import signal


def start_time(pid: int) -> int:
    """Clock ticks after boot at which ``pid`` started: field 22 of ``/proc/PID/stat``; ``OSError`` when it is
    gone."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[19])


def open_process(pid: int, started: int) -> int | None:
    """A pidfd of the process that had ``pid`` and started then; ``None`` when it is gone or ended, also if the pid
    is used again."""
    try:
        descriptor = os.pidfd_open(pid)
    except (ProcessLookupError, OverflowError):
        return None
    try:
        # Read after the pidfd is held: if that process still lives, the pid was its own at the reading.
        if start_time(pid) == started and not has_ended(descriptor):
            return descriptor
    except (FileNotFoundError, ProcessLookupError):
        pass
    os.close(descriptor)
    return None


def pid_of(descriptor: int) -> int:
    """The pid behind a pidfd in our pid namespace; -1 once it is reaped."""
    with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pid:"))


def wait_for_end(descriptor: int, seconds: float) -> bool:
    """Wait up to ``seconds``; whether the process has ended."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(max(0, int(seconds * 1000))))


def has_ended(descriptor: int) -> bool:
    """Whether the process has ended."""
    return wait_for_end(descriptor, 0)


def send_signal(descriptor: int, number: int) -> None:
    """Send a signal; a process that has ended meanwhile is no error."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(descriptor, number)


def catches(pid: int, number: int) -> bool:
    """Whether the process has a handler for this signal, or blocks it, as those do that read signals from a descriptor
    (signalfd(2)): pid 1 of a namespace is deaf to all others but SIGKILL.

    One that has ended catches nothing.
    """
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            masks = [int(line.split()[1], 16) for line in file if line.startswith(("SigCgt:", "SigBlk:"))]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return any(mask >> (number - 1) & 1 for mask in masks)
