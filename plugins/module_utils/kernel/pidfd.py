# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that cannot be mistaken for others: a pid with its start time, held by a pidfd (pidfd_open(2))."""

from __future__ import annotations

import contextlib
import os
import select
import signal

from . import observe

_EXITING = 0x4  # PF_EXITING of linux/sched.h
_ON_ITS_WAY = (b"R", b"D")


def _fields(pid: int) -> list[bytes]:
    """``/proc/PID/stat`` from its third field on (proc_pid_stat(5)); ``OSError`` when the process is gone."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()


def start_time(pid: int) -> int:
    """Clock ticks after boot at which ``pid`` started; ``OSError`` when it is gone."""
    return int(_fields(pid)[19])


def is_ending(pid: int) -> bool:
    """Whether the kernel is taking the process down, or has done so."""
    try:
        fields = _fields(pid)
    except (FileNotFoundError, ProcessLookupError):
        return True
    return bool(int(fields[6]) & _EXITING)


def is_busy(pid: int, seconds: float) -> bool:
    """Whether the process has something to do still, be it to end, and has had less CPU time than this for it."""
    try:
        fields = _fields(pid)
    except (FileNotFoundError, ProcessLookupError):
        return False
    used = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return bool(int(fields[6]) & _EXITING) or (fields[0] in _ON_ITS_WAY and used < seconds)


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
        found = observe.status(pid)
        masks = [int(found.get(key, "0"), 16) for key in ("SigCgt", "SigBlk")]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return any(mask >> (number - 1) & 1 for mask in masks)
