# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checksums of files, written ``ALGORITHM:HEX`` as in ``sha256:0f3a...``."""

from __future__ import annotations

import functools
import hashlib
import os
import stat

from ...errors import JailError
from ...kernel import paths

_DEFAULT = "sha256"
_CHUNK = 1 << 20


def open_file(path: str) -> int:
    """A descriptor, to read, of a regular file of the host that the user named with option ``path``.

    :raises JailError: for whatever else is there.
    """
    try:
        # O_NONBLOCK: a FIFO would keep us waiting for a writer
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise JailError(f"{path} cannot be read: {error.strerror}", option="path") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise JailError(f"{path} is not a regular file", option="path")
    return descriptor


def of_descriptor(descriptor: int, like: str = _DEFAULT) -> str:
    """The checksum of a whole regular file; ``like`` is one whose algorithm is wanted, or that algorithm."""
    algorithm = like.partition(":")[0]
    digest = hashlib.new(algorithm)
    place = 0
    while chunk := os.pread(descriptor, _CHUNK, place):
        digest.update(chunk)
        place += len(chunk)
    return f"{algorithm}:{digest.hexdigest()}"


def of_file(path: str) -> str:
    """The checksum of a file of the host; read once however often it is asked for while it stays as it is.

    :raises JailError: see :func:`open_file`.
    """
    with paths.opened(open_file(path)) as descriptor:
        return _remembered(path, identity(descriptor))


def identity(descriptor: int) -> tuple[int, ...]:
    """What changes when a file is written to or replaced; nobody can set a time of change (inode(7), ``st_ctime``)."""
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


@functools.lru_cache(maxsize=16)
def _remembered(path: str, _identity: tuple[int, ...]) -> str:
    with paths.opened(open_file(path)) as descriptor:
        return of_descriptor(descriptor)
