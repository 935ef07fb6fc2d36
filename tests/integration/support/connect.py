# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection plugin by itself, loaded by Ansible in a process of its own: for what no task can say."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from . import connection_driver
from .calls import ROOT
from .connection_driver import unworded, worded

JAIL = "cellblock.jails.jail"


def connected(
    variables: Mapping[str, object], *calls: tuple[Any, ...], memory: int | None = None, plugin: str = JAIL
) -> list[Any]:
    """What calls of a connection give, one after the other: (method, arguments).

    ``exec_command`` gives status, output and error output; the others ``None``. What is raised ends the list, as
    (class, message).

    :param memory: bytes that the process may take beyond what it has after it was loaded.
    """
    return [unworded(each) for each in _told(variables, calls, memory, plugin)["answers"]]


def seconds_of(variables: Mapping[str, object], *calls: tuple[Any, ...], plugin: str = JAIL) -> list[float]:
    """How long each call took; all must succeed."""
    told = _told(variables, calls, None, plugin)
    assert len(told["seconds"]) == len(calls), told["answers"][-1]
    return list(told["seconds"])


def _told(
    variables: Mapping[str, object], calls: Sequence[tuple[Any, ...]], memory: int | None, plugin: str
) -> dict[str, Any]:
    worded_calls = [[name, [worded(each) for each in rest]] for name, *rest in calls]
    given = json.dumps({"variables": variables, "memory": memory, "calls": worded_calls, "plugin": plugin})
    command = [sys.executable, "-P", connection_driver.__file__]
    done = subprocess.run(command, input=given, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told
