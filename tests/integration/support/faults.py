# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kill a piece of work at each of its steps (:mod:`tracing`), and look whether the next run finds its way and anything
is left."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import build, converge, ids
from ansible_collections.cellblock.jails.plugins.module_utils.jail.facet import Facet
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import process

from . import sandbox, tracing
from .layer import log_lines
from .processes import Action, children, in_another_process, wait_for_no_children


@contextlib.contextmanager
def orphans_are_ours() -> Iterator[None]:
    """What a killed process leaves comes to us, so that we see it end."""
    tracing.needs_strace()
    process.adopt_orphans(True)
    try:
        yield
    finally:
        process.adopt_orphans(False)


def converged(facet: Facet, name: str, **options: Any) -> None:
    """What the module of a facet does for one jail."""
    outcome = converge.converge(facet, [{"name": name, **options}], False)[name]
    if outcome.error:
        raise AssertionError(outcome.error)


def half_made(*places: str) -> list[str]:
    """What is half made or half removed in our directories."""
    found = []
    for place in places:
        if os.path.isdir(place):
            found += [os.path.join(place, name) for name in os.listdir(place) if name.startswith(".")]
    return found


SLOW = None if os.environ.get("JAILS_TEST_EVERY_STEP") else 6
"""For long work of many steps: without ``JAILS_TEST_EVERY_STEP=1`` it is killed at so many of them only."""


def leaked() -> dict[str, Any]:
    """What nothing of ours may leave behind once a run has come to its end."""
    shelves = os.listdir(layout.SNAPSHOTS) if os.path.isdir(layout.SNAPSHOTS) else []
    return {
        "half made": half_made(layout.TEMPLATES, layout.STORAGE, *map(layout.snapshots, shelves)),
        # The ids are given back last, and nobody else's are in our file; their groups can be another test run's.
        "builds": [name for name in ids.names() if name in build.killed()],
        "mounts": sandbox.mount_points(),
        "groups": sandbox.groups(),
        "loop devices": sandbox.images_in_use(),
    }


def survives_every_kill(begin: Action, finish: Action, most: int | None = None) -> int:
    """Kill ``begin`` at each step, or at ``most`` so many of them; after each, ``finish`` runs and has to find its
    way, and nothing may have leaked then. How often it was hit."""
    return _survives(tracing.killed_at_each_step(begin, most), finish)


def survives_a_kill_at_every_line(begin: Action, finish: Action, most: int | None = None) -> int:
    """The same for a build, at each line that it adds to the log of the builders: while the programs of the host and
    of the tree are at work, and our own process takes no step."""
    return _survives(_killed_at_each_line(begin, most), finish)


def _survives(kills: Iterator[tuple[int, str]], finish: Action) -> int:
    before = leaked()
    ours = children()  # a test's web server
    hits = 0
    with orphans_are_ours():
        for number, where in kills:
            wait_for_no_children(ours)
            finish()
            assert leaked() == before, f"killed at {number}, {where}"
            hits += number > 0
    assert hits
    return hits


def _killed_at_each_line(begin: Action, most: int | None) -> Iterator[tuple[int, str]]:
    start = len(log_lines())
    assert process.wait(in_another_process(begin)) == 0, "the undisturbed run failed"
    said = log_lines()[start:]
    yield 0, "the undisturbed run"
    hits = 0
    for number in tracing.spread(len(said), most):
        hit = _killed_at_line(begin, number)
        hits += hit
        yield number if hit else 0, said[number - 1]
    print(f"killed at {hits} of {len(said)} lines")


def _killed_at_line(begin: Action, number: int) -> bool:
    """Whether it was hit: it may have said less this time."""
    start = len(log_lines())
    pid = in_another_process(begin)
    while len(log_lines()) < start + number and not _ended(pid):
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    return process.wait(pid) == 128 + signal.SIGKILL


def _ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
