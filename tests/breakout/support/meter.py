# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a server in a jail takes to answer while its neighbour does what it can."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ansible_collections.cellblock.jails.plugins.module_utils.kernel import process
from ansible_collections.cellblock.jails.tests.breakout.support.table import Record
from ansible_collections.cellblock.jails.tests.integration.support.calls import pid_of
from ansible_collections.cellblock.jails.tests.integration.support.networks import network_namespace

PORT = 7000
_PAUSE = 0.005
_PATIENCE = 5.0


class Latency(NamedTuple):
    """Milliseconds of the answers, and how many requests got none."""

    median: float
    slow: float
    """Only one in twenty is slower."""
    worst: float
    answers: int
    failures: int

    def __str__(self) -> str:
        return (
            f"{self.median:.1f} ms, 95 % within {self.slow:.1f} ms, worst {self.worst:.1f} ms, "
            f"{self.failures} of {self.answers + self.failures} failed"
        )


class Meter:
    """Asks the server in the jail ``name`` again and again, from a process of the host in the jail's network."""

    def __init__(self, name: str) -> None:
        self._name = name

    @contextlib.contextmanager
    def measuring(self, into: list[Latency]) -> Iterator[None]:
        """Do so for a ``with`` block, and add what was measured to a list."""
        ordering, stop = os.pipe()
        results, told = os.pipe()
        pid = pid_of(self._name)

        def ask() -> None:
            os.close(stop)
            with network_namespace(pid):
                seconds = list(_answers(ordering))
            os.write(told, json.dumps(seconds).encode())

        child = process.fork(ask)
        os.close(told)
        os.close(ordering)
        try:
            yield
        finally:
            os.close(stop)
            with os.fdopen(results, encoding="ascii") as file:
                text = file.read()
            process.wait(child)
        into.append(_summary(json.loads(text)))

    @contextlib.contextmanager
    def noting(self, record: Record, say: Callable[[Latency], str]) -> Iterator[list[Latency]]:
        """Do so, give the list, and note for the table what is to be said of it."""
        found: list[Latency] = []
        with self.measuring(found):
            yield found
        record("measured", say(found[0]))

    def measure(self, seconds: float) -> Latency:
        """For so long."""
        found: list[Latency] = []
        with self.measuring(found):
            time.sleep(seconds)
        return found[0]


def _answers(ordering: int) -> Iterator[float | None]:
    """Seconds that each answer took, ``None`` where there was none, until the other end of the pipe is closed."""
    while not select.select([ordering], [], [], _PAUSE)[0]:
        began = time.monotonic()
        answer = b""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", PORT), _PATIENCE) as end:
            answer = end.recv(1)
        yield time.monotonic() - began if answer == b"+" else None


def _summary(seconds: list[float | None]) -> Latency:
    answers = sorted(each * 1000 for each in seconds if each is not None)
    assert answers, "the neighbour has not answered at all"
    slow = answers[min(len(answers) - 1, len(answers) * 19 // 20)]
    return Latency(statistics.median(answers), slow, answers[-1], len(answers), len(seconds) - len(answers))
