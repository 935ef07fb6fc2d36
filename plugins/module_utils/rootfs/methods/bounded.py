# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a program that nobody trusts prints, kept up to a size in a file without a name.

The program gets the end of a pipe and never the file, so it cannot fill a disk, and what was written stays written.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from typing import BinaryIO

from ...kernel import paths, process
from .. import hosttools

_CHUNK = 1 << 20


class Kept:
    """Made by :func:`keeping`.

    :param descriptor: for the program to write to.
    """

    def __init__(self, descriptor: int, copier: int, file: BinaryIO) -> None:
        self.descriptor = descriptor
        self._copier = copier
        self._file = file
        self._open = True

    def close(self) -> bool:
        """Let everything reach the file; whether all of it had room there. All who wrote to it must have ended.

        :raises OSError: when it could not be written, ``ENOSPC`` as a rule.
        """
        number = self._end()
        if number not in (0, errno.EFBIG):
            raise OSError(number, os.strerror(number))
        return number == 0

    def reopen(self) -> int:
        """A descriptor of the file to read from, at its beginning."""
        return os.open(paths.name_of(self._file.fileno()), os.O_RDONLY | os.O_CLOEXEC)

    def read(self) -> bytes:
        """All that was kept."""
        return os.pread(self._file.fileno(), os.fstat(self._file.fileno()).st_size, 0)

    def _end(self) -> int:
        self._open = False
        os.close(self.descriptor)
        return process.wait(self._copier)

    def abandon(self) -> None:
        """Stop, if that has not been done."""
        if self._open:
            self._end()


@contextlib.contextmanager
def keeping(most: int, folder: str) -> Iterator[Kept]:
    """A :class:`Kept` for a ``with`` block. Who writes more than ``most`` bytes finds the pipe broken.

    :param folder: in whose file system the file is.
    """
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        source, descriptor = os.pipe()
        with paths.opened(source):
            copier = hosttools.fork_bound(lambda: _copy(source, file.fileno(), most))
        kept = Kept(descriptor, copier, file)
        try:
            yield kept
        finally:
            kept.abandon()


def _copy(source: int, target: int, most: int) -> None:
    """The copier; ends with an error number as its status, ``EFBIG`` for more than ``most``."""
    process.close_all_but((source, target))
    try:
        while chunk := os.read(source, _CHUNK):
            rest = memoryview(chunk)[:most]
            most -= len(rest)
            cut = len(rest) < len(chunk)
            while rest:
                rest = rest[os.write(target, rest) :]
            if cut:
                os._exit(errno.EFBIG)
    except OSError as error:
        os._exit(error.errno or errno.EIO)
