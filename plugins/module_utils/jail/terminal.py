# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pseudo-terminals of a jail's own, and the relay between one and our terminal (pts(4), ioctl_tty(2))."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import select
import signal
import struct
import termios
import tty
from collections.abc import Iterator, Sequence

from ..kernel import paths, pidfd
from ..kernel.syscalls import check, libc

_TYPED_MAX = 65536
_TIOCSPTLCK = 0x40045431
_TIOCGPTPEER = 0x5441
_DEVPTS_MAGIC = 0x1CD1
_PTMX = os.makedev(5, 2)
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def open_in_jail() -> tuple[int, int]:
    """A new terminal of the devpts that the jail has at /dev/pts: (master, slave).

    The jail's root may have put something else there, so what was opened must be the multiplexer of a devpts, and
    the other end comes from it by ioctl and not by a name.

    :raises OSError: ``ENODEV`` when it is not.
    """
    master = os.open("/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    if os.fstat(master).st_rdev != _PTMX or _filesystem_magic(master) != _DEVPTS_MAGIC:
        os.close(master)
        raise OSError(errno.ENODEV, "not a terminal multiplexer", "/dev/pts/ptmx")
    os.set_blocking(master, True)
    fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
    slave = fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    return master, slave


def _filesystem_magic(descriptor: int) -> int:
    buffer = ctypes.create_string_buffer(256)  # struct statfs starts with f_type, a long (statfs(2))
    check(libc.fstatfs(descriptor, buffer), "fstatfs")
    return int(ctypes.c_long.from_buffer(buffer).value)


def take(slave: int, numbers: Sequence[int]) -> None:
    """Make a terminal our controlling one and put it in the place of these descriptors; we must lead a session."""
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for number in numbers:
        os.dup2(slave, number)


@contextlib.contextmanager
def forwarded_signals(leader: int) -> Iterator[None]:
    """Pass the signals that end or steer a command on to a process group, as a terminal does, for a ``with`` block.

    :param leader: its leader, a child of ours that is not waited for meanwhile: its number stays its own.
    """

    def forward(number: int, _frame: object) -> None:
        os.killpg(leader, number)

    before = {number: signal.signal(number, forward) for number in _FORWARDED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def relay(master: int, target: int, terminals: Sequence[int]) -> None:
    """Carry bytes and window sizes between our terminal and the jail's until the process of the pidfd ``target`` has
    ended. What the jail does not read waits with us; it can keep us from nothing."""
    source = 0 if 0 in terminals else -1
    sink = next(number for number in (1, 2, 0) if number in terminals)
    os.set_blocking(master, False)
    with paths.opened(master), _raw(source), _window_changes(sink, master):
        typed = b""
        while not pidfd.has_ended(target):
            typed = _carry(master, target, source, sink, typed)
        while _copy(master, sink):
            pass


def _carry(master: int, target: int, source: int, sink: int, typed: bytes) -> bytes:
    """Wait until something can be done and do it; what was typed and not yet taken."""
    waiting = select.poll()
    waiting.register(target, select.POLLIN)
    waiting.register(master, select.POLLIN | (select.POLLOUT if typed else 0))
    if source >= 0 and len(typed) < _TYPED_MAX:
        waiting.register(source, select.POLLIN)
    ready = dict(waiting.poll())
    if source in ready:
        data = os.read(source, _TYPED_MAX)
        if not data:
            raise OSError(errno.EIO, "the terminal has hung up")
        typed += data
    if ready.get(master, 0) & select.POLLOUT:
        typed = typed[_write(master, typed) :]
    if ready.get(master, 0) & (select.POLLIN | select.POLLHUP) and not _copy(master, sink):
        # Every process of the jail has closed its end: only the end of ours is left to wait for.
        pidfd.wait_for_end(target, 0.05)
    return typed


def _write(master: int, data: bytes) -> int:
    with contextlib.suppress(BlockingIOError):
        return os.write(master, data)
    return 0


def _copy(master: int, sink: int) -> bool:
    """Show what is there; whether there was anything. A hung-up terminal says EIO (pts(4))."""
    try:
        data = os.read(master, 65536)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return False
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(sink, rest) :]
    return bool(data)


@contextlib.contextmanager
def _raw(source: int) -> Iterator[None]:
    """Our terminal in raw mode, put back at the end."""
    if source < 0:
        yield
        return
    before = termios.tcgetattr(source)
    tty.setraw(source)
    try:
        yield
    finally:
        termios.tcsetattr(source, termios.TCSAFLUSH, before)


@contextlib.contextmanager
def _window_changes(source: int, master: int) -> Iterator[None]:
    """Give the jail's terminal our window's size, now and at every change."""

    def resize(*_arguments: object) -> None:
        with contextlib.suppress(OSError):  # no terminal any more
            fcntl.ioctl(master, termios.TIOCSWINSZ, fcntl.ioctl(source, termios.TIOCGWINSZ, b"\0" * 8))

    before = signal.signal(signal.SIGWINCH, resize)
    resize()
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
