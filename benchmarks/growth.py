# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One jail that comes and goes beside many on the same bridge: what it costs, and whether that grows with them."""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

from ansible_collections.cellblock.jails.plugins.module_utils.jail import converge, network, store
from ansible_collections.cellblock.jails.plugins.module_utils.net.addresses import Interface
from ansible_collections.cellblock.jails.plugins.module_utils.net.network import Network

from . import report, spaces
from .wiring import interfaces, name_of

_ROUNDS = 9
_ONE = 10000

Steps = dict[int, dict[str, list[float]]]
"""Milliseconds of each round, by the number of others, by step."""


def measure(others: Sequence[int]) -> Steps:
    """Steps of a jail's life, each by a run of its own, as far as they concern the network."""
    found: Steps = {}
    with contextlib.ExitStack() as stack:
        count = 0
        for wanted in sorted(others):
            with Network() as run:
                for number in range(count, wanted):
                    space = stack.enter_context(_space())
                    _record(number)
                    run.converge(space, name_of(number), number, interfaces(number))
            count = wanted
            found[wanted] = {}
            for _round in range(_ROUNDS):
                for step, milliseconds in _live():
                    found[wanted].setdefault(step, []).append(milliseconds)
        for number in range(count):
            store.forget_all(name_of(number))
    return found


@contextlib.contextmanager
def _space() -> Iterator[int]:
    space = spaces.make()
    try:
        yield space
    finally:
        os.close(space)


def _record(number: int) -> None:
    store.write(name_of(number), "net", {"interfaces": interfaces(number)})


def _live() -> Iterator[tuple[str, float]]:
    name, mine = name_of(_ONE), interfaces(_ONE)
    given = {
        "name": name,
        "interfaces": [{key: value for key, value in each.items() if value is not None} for each in mine],
    }
    yield "record", _milliseconds(lambda: converge.converge(network.FACET, [given], False))
    with _space() as space:
        yield "wire", _milliseconds(lambda: _in_a_run(lambda run: run.converge(space, name, _ONE, mine)))
        yield "read", _milliseconds(lambda: _in_a_run(lambda run: run.read(space, _ONE)))
        yield "wire again", _milliseconds(lambda: _in_a_run(lambda run: run.converge(space, name, _ONE, mine)))
    store.forget_all(name)
    yield "release", _milliseconds(lambda: _in_a_run(lambda run: run.release(name, mine, list, _others, [_ONE])))


def _others() -> Iterator[Interface]:
    return (each for name in store.names() for each in store.read(name, "net")["interfaces"])


def _in_a_run(work: Callable[[Network], object]) -> None:
    with Network() as run:
        work(run)


def _milliseconds(work: Callable[[], object]) -> float:
    before = time.monotonic()
    work()
    return (time.monotonic() - before) * 1000


def table(found: Steps) -> str:
    """Medians: a line for each step, a column for each number of others, and how the last compares with the first."""
    numbers = sorted(found)
    rows = [["", *(f"{number} others" for number in numbers), "last / first"]]
    for step in found[numbers[0]]:
        medians = [statistics.median(found[number][step]) for number in numbers]
        rows.append([step, *(f"{each:.1f}" for each in medians), f"{medians[-1] / medians[0]:.2f}"])
    return report.columns(rows)
