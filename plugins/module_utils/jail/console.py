# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of what a jail's init prints.

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

_ASIDE_BYTES = 1 << 20
"""A log that has grown beyond this is put aside at the next start."""
READ_BYTES = 16 << 20
"""The most that is read of a log, from its end."""


@contextlib.contextmanager
def opened(name: str) -> Iterator[int]:
    """A descriptor to append to a jail's log."""
    files.make_private_directory(layout.LOG)
    path, aside = _paths(name)
    if _regain(path) > _ASIDE_BYTES:
        _regain(aside)
        os.rename(path, aside)
    # Opened by a mount of its own that begins at the log's directory: /proc/1/fd shows no path of the host then.
    with paths.opened(paths.open_directory(layout.LOG)) as directory, paths.opened(mounts.clone(directory)) as place:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        with paths.opened(os.open(os.path.basename(path), flags, 0o600, dir_fd=place)) as descriptor:
            yield descriptor


def remove(name: str) -> None:
    """Remove a jail's log."""
    for path in _paths(name):
        _regain(path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def _paths(name: str) -> tuple[str, str]:
    """The log, and the one before it."""
    path = layout.console(name)
    return path, f"{path}.1"


def _regain(path: str) -> int:
    """The size of a log, which can be moved and removed from now on, whatever flags (``allow_chflags``) the jail's root
    has put on it; 0 when there is none."""
    try:
        log = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    with paths.opened(log):
        inodeflags.release(log)
        return os.fstat(log).st_size


def last_lines(name: str, number: int | None = None, limit: int = READ_BYTES) -> list[bytes]:
    """The last lines of a jail's log, at most ``number`` and at most ``limit`` bytes; none when there is no log."""
    try:
        with open(layout.console(name), "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - limit))
            lines = file.read(limit).splitlines(keepends=True)
    except FileNotFoundError:
        return []
    return lines if number is None else lines[max(0, len(lines) - number) :]


def harmless(line: bytes) -> str:
    """A line as text, with a question mark for each control character but tab and newline."""
    return shown.text(line.decode(errors="replace"))


def tail(name: str) -> str:
    """The last that a jail's init printed, in one line for an error message."""
    lines = [harmless(line).strip() for line in last_lines(name, 5, 4096)]
    return " | ".join(line for line in lines if line) or "nothing"
