# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kill an action at each of its steps (:mod:`tracing`), and see that nothing stays behind."""

from __future__ import annotations

import os
from typing import Any

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import build, ids
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import process

from . import sandbox, tracing
from .tracing import Action

SLOW_STRIDE = 1 if os.environ.get("JAILS_TEST_EVERY_STEP") else 10
"""For methods that take seconds: without ``JAILS_TEST_EVERY_STEP=1`` they are killed at each tenth step only."""


def leaked() -> dict[str, Any]:
    """What nothing of ours may leave behind once a run has come to its end."""
    killed = build.killed()
    return {
        "half made": [each for place in (layout.TEMPLATES, layout.STORAGE) for each in _half_made(place)],
        # The ids are given back last, and nobody else's are in our file; their groups can be another test run's.
        "builds": [name for name in ids.names() if name in killed],
        "mounts": sandbox.mount_points(),
        "groups": sandbox.groups(),
        "loop devices": sandbox.images_in_use(),
    }


def _half_made(place: str) -> list[str]:
    if not os.path.isdir(place):
        return []
    return [os.path.join(place, name) for name in os.listdir(place) if name.startswith(".")]


def reap() -> None:
    """Wait until all that was started by a killed process has ended; its orphans have to be ours."""
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def survives_every_kill(begin: Action, finish: Action, stride: int = 1) -> int:
    """Kill ``begin`` at each step, or each ``stride``-th; after each, ``finish`` runs and has to find its way, and
    nothing may have leaked then. How often it was hit."""
    tracing.needs_strace()
    before = leaked()
    hits = 0
    process.adopt_orphans(True)
    try:
        for number, step in tracing.killed_at_each_step(begin, stride):
            reap()
            finish()
            assert leaked() == before, f"killed at step {number}, {step}"
            hits += number > 0
    finally:
        process.adopt_orphans(False)
    assert hits
    print(f"killed at {hits} steps")
    return hits
