# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that are held by a descriptor, and signals that reach them."""

from __future__ import annotations

import os
import signal
import struct
import time

from ansible_collections.cellblock.jails.plugins.module_utils.kernel import pidfd, process
from ansible_collections.cellblock.jails.plugins.module_utils.kernel.syscalls import syscall


def _sleeper() -> int:
    return process.fork(lambda: time.sleep(60))


def _end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    process.wait(pid)


def _pid_of(descriptor: int) -> int:
    """The pid behind a pidfd; -1 once it is reaped (pidfd_open(2))."""
    with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pid:"))


def test_a_process_is_found_by_pid_and_start_time() -> None:
    """Both together open it; the same pid with another start time, as after the pid is used again, does not."""
    pid = _sleeper()
    try:
        started = pidfd.start_time(pid)
        descriptor = pidfd.open_process(pid, started)
        assert descriptor is not None
        assert _pid_of(descriptor) == pid
        assert not pidfd.has_ended(descriptor)
        os.close(descriptor)
        assert pidfd.open_process(pid, started - 1) is None
        assert pidfd.open_process(pid, started + 1) is None
    finally:
        _end(pid)


def test_a_process_that_ended_is_not_found() -> None:
    """Not while it waits to be reaped, and not after; numbers that are no pid are no error."""
    pid = _sleeper()
    started = pidfd.start_time(pid)
    descriptor = pidfd.open_process(pid, started)
    assert descriptor is not None
    os.kill(pid, signal.SIGKILL)
    assert pidfd.wait_for_end(descriptor, 10)
    assert pidfd.start_time(pid) == started
    assert pidfd.open_process(pid, started) is None
    process.wait(pid)
    assert pidfd.open_process(pid, started) is None
    assert _pid_of(descriptor) == -1
    pidfd.send_signal(descriptor, signal.SIGTERM)
    os.close(descriptor)
    assert pidfd.open_process((1 << 31) - 1, 0) is None


def test_waiting_ends_with_the_time() -> None:
    """A process that goes on is waited for as long as was said, and told apart from one that ended."""
    pid = _sleeper()
    descriptor = os.pidfd_open(pid)
    began = time.monotonic()
    try:
        assert not pidfd.wait_for_end(descriptor, 0.2)
        assert 0.15 < time.monotonic() - began < 5
    finally:
        _end(pid)
        os.close(descriptor)


def test_which_signals_a_process_catches() -> None:
    """A handler counts, and so does a signal that is blocked, to be read; the default action and "ignore" do not."""
    reading, writing = os.pipe()

    def child() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.signal(signal.SIGRTMIN + 3, lambda *_: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
        os.write(writing, b".")
        time.sleep(60)

    pid = process.fork(child)
    try:
        os.read(reading, 1)
        caught = [
            number
            for number in (signal.SIGHUP, signal.SIGINT, signal.SIGUSR2, signal.SIGTERM, signal.SIGRTMIN + 3)
            if pidfd.catches(pid, number)
        ]
        assert caught == [signal.SIGUSR2, signal.SIGTERM, signal.SIGRTMIN + 3]
    finally:
        _end(pid)
        os.close(reading)
        os.close(writing)


def test_a_forked_child_never_comes_back() -> None:
    """It ends with its function, whatever that does; a status counts as in a shell."""

    def broken() -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        raise RuntimeError

    assert process.wait(process.fork(lambda: None)) == 0
    assert process.wait(process.fork(lambda: os._exit(3))) == 3
    assert process.wait(process.fork(broken)) == 70
    assert process.wait(process.fork(lambda: os.kill(os.getpid(), signal.SIGKILL))) == 137


def test_all_other_descriptors_are_closed() -> None:
    """Those that are to be kept are open, and none besides."""
    kept = os.open(os.devnull, os.O_RDONLY)
    others = [os.dup(kept) for _each in range(5)]
    high = os.dup2(kept, 900)

    def child() -> None:
        process.close_all_but([0, 1, 2, others[2]])
        listing = os.open("/proc/self/fd", os.O_RDONLY)
        found = {int(name) for name in os.listdir(listing)}
        os._exit(0 if found - {listing, listing + 1} <= {0, 1, 2, others[2]} and others[2] in found else 1)

    try:
        assert process.wait(process.fork(child)) == 0
    finally:
        for descriptor in (kept, high, *others):
            os.close(descriptor)


def test_signals_are_reset_for_an_exec() -> None:
    """Whatever was ignored or blocked has its default again, a signal that the C library keeps to itself included."""

    def child() -> None:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        syscall("rt_sigaction", 32, struct.pack("=QQQQ", int(signal.SIG_IGN), 0, 0, 0), None, 8)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        process.reset_signals()
        with open("/proc/self/status", encoding="ascii") as file:
            facts = dict(line.rstrip("\n").split(":\t", 1) for line in file if line.startswith("Sig"))
        os._exit(0 if int(facts["SigIgn"], 16) == int(facts["SigBlk"], 16) == 0 else 1)

    assert process.wait(process.fork(child)) == 0
