# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of the builders: what they print, as it comes, for ``tail -F``.

Every line begins with ``[LABEL] ``, so that builds that run at the same time can be told apart. Part of what is
printed comes from programs of a tree that nobody trusts. They get the end of a pipe, never the file, which they could
truncate; a process of ours copies line by line and makes control characters harmless, which a terminal would obey.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator

from .. import files, harmless, layout
from ..errors import JailError
from ..kernel import paths, process
from . import hosttools

_LONGEST_LINE = 2000
# What strerror(3) says of ENOSPC and EDQUOT; the programs that we run speak LC_ALL=C.
_FULL = {"No space left on device": errno.ENOSPC, "Disk quota exceeded": errno.EDQUOT}
_PROGRESS = re.compile(r"I: |\s*$")  # how debootstrap, mmdebstrap and apt mark what is only informative
_ERROR = re.compile(r"[EW]: ")


class BuildLog:
    """One builder's part of the log; made by :func:`recording`."""

    def __init__(self, label: str) -> None:
        self._label = label
        files.make_private_directory(os.path.dirname(layout.BUILD_LOG))
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        with paths.opened(os.open(layout.BUILD_LOG, flags, 0o640)) as target:
            self._start = os.fstat(target).st_size
            source, self.descriptor = os.pipe()
            with paths.opened(source):
                self._copier = hosttools.fork_bound(lambda: _copy(source, target, label))
        self._open = True

    def note(self, text: str) -> None:
        """Add lines of our own; ``I: `` at the beginning marks what is only informative."""
        os.write(self.descriptor, text.encode(errors="replace") + b"\n")

    def close(self) -> None:
        """Let everything reach the file. All others who had :attr:`descriptor` must have ended."""
        if self._open:
            self._open = False
            os.close(self.descriptor)
            process.wait(self._copier)

    def failure(self, what: str, advice: str | None = None) -> Exception:
        """Close, and give the error to raise for a program that failed.

        :return: :class:`JailError` with the last lines that say something and the place of the log; but
            :class:`OSError` ``ENOSPC`` or ``EDQUOT``, like that of a system call, when a full file system was what
            the program met.
        """
        self.note(f"I: {what}")
        self.close()
        said = self._said()
        for line in said:
            for text, number in _FULL.items():
                if text in line:
                    return OSError(number, f"{what}: {line}")
        errors = [line for line in said if line.startswith("E: ")] or [line for line in said if _ERROR.match(line)]
        others = [line for line in said if not _ERROR.match(line)]
        # The first is the cause as a rule, and the last what came of it.
        quoted = " | ".join([*dict.fromkeys(errors[:1] + errors[-1:]), *others[-3:]])
        place = f"all of it is in {layout.BUILD_LOG}, in lines that begin with [{self._label}]"
        return JailError(f"{what}: {quoted}" if quoted else what, advice=f"{advice}; {place}" if advice else place)

    def _said(self) -> list[str]:
        prefix = f"[{self._label}] "
        with open(layout.BUILD_LOG, encoding="utf-8", errors="replace") as file:
            file.seek(self._start)
            lines = [line[len(prefix) :].rstrip() for line in file if line.startswith(prefix)]
        return [line for line in lines if not _PROGRESS.match(line)]


@contextlib.contextmanager
def recording(label: str) -> Iterator[BuildLog]:
    """A :class:`BuildLog` for a ``with`` block."""
    log = BuildLog(label)
    try:
        yield log
    finally:
        log.close()


def _copy(source: int, target: int, label: str) -> None:
    process.close_all_but((source, target))
    rest = b""
    while True:
        chunk = os.read(source, 1 << 16)
        *lines, rest = re.split(rb"[\r\n]", rest + chunk)
        if not chunk or len(rest) > _LONGEST_LINE:
            lines, rest = [*lines, rest], b""
        text = "".join(f"[{label}] {_harmless(line)}\n" for line in lines if line)
        with contextlib.suppress(OSError):  # a full log must not stop a build
            os.write(target, text.encode())
        if not chunk:
            return


def _harmless(line: bytes) -> str:
    return harmless.text(line[:_LONGEST_LINE].decode(errors="replace"))
