# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a jail's init prints.

While a jail runs it goes to a file in a small tmpfs, mounted for this jail alone: nothing else bounds, without a
process of ours beside it, what is written to a file that is open already. When the jail has ended, and whenever
somebody looks or a module comes by, it is kept in a log on disk, of bounded size too. What is printed while the tmpfs
is full is lost, and the write fails as on a full disk (ENOSPC); nothing ever waits.

The jail holds the file open and can put anything into it, or make it as long as it likes: it is read from the end, up
to a limit, and shown without what a terminal would obey.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from .. import files, layout
from .. import harmless as shown
from ..kernel import inodeflags, mounts, paths
from ..kernel.mounts import NODEV, NOEXEC, NOSUID
from ..rootfs import space
from . import policy

_ASIDE_BYTES = 1 << 20
"""More than this is put aside: of a log on disk when something is added to it, of a running jail when one comes by."""
READ_BYTES = 16 << 20
"""The most that is read of a log, from its end; and kept of one run."""

_FILE = "log"


@contextlib.contextmanager
def opened(name: str, memory_max: int | None) -> Iterator[int]:
    """A descriptor to append to what a jail prints. Nothing of an earlier run may be there (:func:`close`).

    :param memory_max: what the jail may have, for what it prints counts as memory of the jail's.
    """
    place = layout.console_place(name)
    files.make_private_directory(place)
    options = {"mode": "0700", "size": str(_room(memory_max)), "nr_inodes": "2"}
    with paths.opened(mounts.create("tmpfs", options, NOSUID | NODEV | NOEXEC)) as memory:
        with paths.opened(paths.open_directory(place)) as target:
            mounts.attach(memory, target)
        # Opened by a mount of its own that begins at the log's directory: /proc/1/fd shows no path of the host then.
        # And who has it open does not keep the other mount.
        with paths.opened(mounts.clone(memory)) as copy:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            with paths.opened(os.open(_FILE, flags, 0o600, dir_fd=copy)) as descriptor:
                yield descriptor


def _room(memory_max: int | None) -> int:
    most = policy.CONSOLE_BYTES if memory_max is None else memory_max // policy.CONSOLE_PART
    return max(policy.CONSOLE_BYTES_LEAST, min(policy.CONSOLE_BYTES, most))


def file_of(name: str) -> str:
    """The path of the file that has the last that a jail's init printed."""
    path = layout.live_console(name)
    return path if os.path.exists(path) else layout.console(name)


def keep(name: str) -> None:
    """Move what a running jail has printed to disk, if it is much. The caller has the jail's lock.

    A line that is printed at this very moment may be lost.
    """
    with contextlib.suppress(FileNotFoundError):
        if os.stat(layout.live_console(name)).st_size > _ASIDE_BYTES:
            _move(name)


def close(name: str) -> None:
    """Keep what a jail has printed that does not run, and unmount; nothing to do is fine. Likewise."""
    place = layout.console_place(name)
    if not os.path.isdir(place):
        return
    parent, folder = os.path.split(place)
    if os.path.ismount(place):
        with contextlib.suppress(FileNotFoundError):
            _move(name)
        with paths.opened(paths.open_directory(parent)) as directory:
            mounts.detach_lazily(directory, folder)
    os.rmdir(place)


def _move(name: str) -> None:
    """Add the end of what is there to the log on disk, and empty it."""
    files.make_private_directory(layout.LOG)
    path = layout.console(name)
    with contextlib.suppress(FileNotFoundError):
        if os.stat(path).st_size > _ASIDE_BYTES:
            os.rename(path, f"{path}.1")
    _regain(layout.live_console(name))
    with open(layout.live_console(name), "r+b", 0) as source:
        kept = _end_of(source.fileno(), READ_BYTES)
        with paths.opened(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)) as log:
            _append(log, kept)
        os.ftruncate(source.fileno(), 0)


def _append(log: int, content: bytes) -> None:
    """As much as the disk has room for: a jail must stop on a full one too."""
    rest = memoryview(content)
    try:
        while rest:
            rest = rest[os.write(log, rest) :]
    except OSError as error:
        if error.errno not in space.FULL:
            raise


def _end_of(file: int, limit: int) -> bytes:
    size = os.fstat(file).st_size
    return os.pread(file, limit, max(0, size - limit)) if limit else b""


def _regain(path: str) -> None:
    """Make a log that can be emptied of one that a jail holds open, whatever flags its root has put on it
    (``allow_chflags``)."""
    with paths.opened(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)) as log:
        inodeflags.release(log)


def remove(name: str) -> None:
    """Remove a jail's log."""
    for path in (layout.console(name), f"{layout.console(name)}.1"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def last_lines(name: str, number: int | None = None, limit: int = READ_BYTES) -> list[bytes]:
    """The last lines that a jail's init printed, at most ``number`` and at most ``limit`` bytes; none when there are
    none."""
    content = b""
    for path in (layout.live_console(name), layout.console(name)):
        with contextlib.suppress(FileNotFoundError), open(path, "rb", 0) as file:
            content = _end_of(file.fileno(), limit - len(content)) + content
    lines = content.splitlines(keepends=True)
    return lines if number is None else lines[max(0, len(lines) - number) :]


def harmless(line: bytes) -> str:
    """A line as text, with a question mark for each control character but tab and newline."""
    return shown.text(line.decode(errors="replace"))


def tail(name: str) -> str:
    """The last that a jail's init printed, in one line for an error message."""
    lines = [harmless(line).strip() for line in last_lines(name, 5, 4096)]
    return " | ".join(line for line in lines if line) or "nothing"
