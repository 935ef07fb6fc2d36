# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of ours on the host: written whole or not at all, locked by flock(2)."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from typing import Any

from . import layout
from .errors import JailError
from .kernel import wholefiles


def make_private_directory(path: str) -> None:
    """Make a directory that only root can enter, and so those of its parents that are missing."""
    mask = os.umask(0o077)
    try:
        os.makedirs(path, exist_ok=True)
    finally:
        os.umask(mask)


def write_bytes(path: str, content: bytes) -> None:
    """Replace a file: temporary name, fsync(2), rename(2), fsync of the directory. A reader sees the old or the new
    one.

    Two writers of one file need a lock.
    """
    make_private_directory(os.path.dirname(path))
    temporary = f"{path}.new"
    with open(temporary, "wb", opener=_private) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, path)
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def write_for_all(path: str, content: bytes) -> None:
    """Replace a file that everybody may read, in a directory that is not ours: whole or not at all, and whatever its
    name leads to there.

    Until then it has another name with a dot in front.
    """
    directory, name = os.path.split(os.path.abspath(path))
    descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=directory)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(descriptor, 0o644)
            file.flush()
            os.fsync(descriptor)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def write_json(path: str, value: Any) -> None:
    """Replace a file by the JSON text of ``value``, as :func:`write_bytes` does."""
    write_bytes(path, json.dumps(value, indent=2, sort_keys=True).encode() + b"\n")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def read_json(path: str) -> Any:
    """What :func:`write_json` wrote; ``None`` when the file is not there.

    :raises JailError: when it holds something else.
    """
    try:
        return json.loads(wholefiles.read(path))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise JailError(f"{path} is damaged ({error})", advice="put a good copy back, or remove it") from error


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lock ``name`` for a ``with`` block; whoever comes second waits. The kernel drops it with the process."""
    descriptor = _open_lock(name)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def shared(name: str) -> Iterator[None]:
    """Hold the lock ``name`` together with whoever else does so, for a ``with`` block: :func:`locked` waits for all of
    them."""
    descriptor = _open_lock(name)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked_if_free(name: str) -> Iterator[bool]:
    """Like :func:`locked` without waiting: gives whether we hold it."""
    descriptor = _open_lock(name)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def is_free(name: str) -> bool:
    """Whether nobody holds the lock ``name``. Leaves no trace, and nobody waits for it."""
    try:
        descriptor = os.open(os.path.join(layout.LOCKS, name), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _open_lock(name: str) -> int:
    make_private_directory(layout.LOCKS)
    return os.open(os.path.join(layout.LOCKS, name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
