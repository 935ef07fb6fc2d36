# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams of bytes that are handed on from one descriptor to another, and what they add up to."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import signal
from collections.abc import Iterator
from typing import NamedTuple

from ...kernel import paths, process
from .. import hosttools

CHUNK = 1 << 20
_F_SETPIPE_SZ = 1031  # linux/fcntl.h; in Python's fcntl since 3.10


class Sum(NamedTuple):
    """What has gone through a stream."""

    size: int
    sha256: str


class Relay:
    """A process of ours that copies a stream; made by :func:`into` and :func:`out_of`.

    :param end: our end of the pipe: to write to, or to read from.
    """

    def __init__(self, end: int, child: int, answers: int) -> None:
        self.end = end
        self._child = child
        self._answers = answers
        self._open = True

    def finish(self) -> Sum:
        """Close our end, wait until all is copied, and say what it was.

        :raises OSError: when the copying failed, as the kernel put it.
        """
        if self._open:
            os.close(self.give_away())
        with os.fdopen(os.dup(self._answers), encoding="ascii") as answers:
            text = answers.read()
        answer = json.loads(text) if text else {"errno": 5}  # EIO: it was killed
        if "errno" in answer:
            raise OSError(answer["errno"], os.strerror(answer["errno"]))
        return Sum(**answer)

    def give_away(self) -> int:
        """Our end, to be closed by somebody else."""
        self._open = False
        return self.end

    def abandon(self) -> None:
        """End it at once, whatever it waits for."""
        if self._open:
            os.close(self.end)
        os.kill(self._child, signal.SIGKILL)
        process.wait(self._child)
        os.close(self._answers)


@contextlib.contextmanager
def into(target: int) -> Iterator[Relay]:
    """Copy to ``target`` what the ``with`` block writes to the relay's end. The block has to call ``finish``."""
    source, end = pipe()
    with _relay(b"", source, target, source, end) as relay:
        yield relay


@contextlib.contextmanager
def out_of(source: int, beginning: bytes) -> Iterator[Relay]:
    """Let the ``with`` block read ``beginning`` and then what is in ``source`` from the relay's end."""
    end, target = pipe()
    with _relay(beginning, source, target, target, end) as relay:
        yield relay


@contextlib.contextmanager
def _relay(beginning: bytes, source: int, target: int, theirs: int, ours: int) -> Iterator[Relay]:
    answers, answering = os.pipe()

    def child() -> None:
        process.close_all_but((source, target, answering))
        os.write(answering, json.dumps(_copied(beginning, source, target)).encode())

    with paths.opened(theirs), paths.opened(answering):
        relay = Relay(ours, hosttools.fork_bound(child), answers)
    try:
        yield relay
    finally:
        relay.abandon()


def _copied(beginning: bytes, source: int, target: int) -> dict[str, object]:
    digest, size, chunk = hashlib.sha256(), 0, beginning
    try:
        while True:
            write(target, chunk)
            digest.update(chunk)
            size += len(chunk)
            chunk = os.read(source, CHUNK)
            if not chunk:
                return Sum(size, digest.hexdigest())._asdict()
    except OSError as error:
        return {"errno": error.errno}


def pipe() -> tuple[int, int]:
    """A pipe with as much room as an unprivileged user may have, as (reading end, writing end)."""
    reading, writing = os.pipe()
    with contextlib.suppress(OSError):  # many pipes have been made that large: one of the usual size does it too
        fcntl.fcntl(writing, _F_SETPIPE_SZ, CHUNK)
    return reading, writing


def write(target: int, data: bytes) -> None:
    """Write all of it."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(target, rest) :]


def read(source: int, size: int) -> bytes:
    """``size`` bytes, or fewer at the end of the stream."""
    chunks = []
    while size > 0:
        chunk = os.read(source, min(size, CHUNK))
        if not chunk:
            break
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)
