# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long it takes to change the limits of many running jails in one call, and how many system calls each costs.

Each case is one call for all jails, in a process of its own as a module has it: once with the time taken, and once
under strace(1) with the system calls counted. Those of a call for no jail are taken off. It measures, it never asserts.
Needs root; the host is as it was afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / ".collections"))

from ansible_collections.cellblock.jails.benchmarks import host, report
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.jail import converge, rootfs, state

_AT_ONCE = 50
_CALL = f"""
import json, sys, time
sys.path.insert(0, {sys.path[0]!r})
from ansible_collections.cellblock.jails.plugins.module_utils.jail import converge, limits
wishes = json.load(sys.stdin)
began = time.monotonic()
outcomes = converge.converge(limits.FACET, wishes, check=False)
seconds = time.monotonic() - began
errors = [outcome.error for outcome in outcomes.values() if outcome.error]
changed = sum(bool(outcome.actions) for outcome in outcomes.values())
print(json.dumps([seconds, changed, errors[:1]]))
"""
_CASES: Sequence[tuple[str, Mapping[str, str], Mapping[str, str]]] = (
    ("one limit", {"memory_max": "64M"}, {"memory_max": "96M"}),
    (
        "three limits",
        {"memory_max": "64M", "cpus": "0.5", "pids_max": "100"},
        {"memory_max": "96M", "cpus": "1", "pids_max": "200"},
    ),
)
_SHOWN = 12


def main() -> int:
    parser = argparse.ArgumentParser(description="Time and system calls of changing the limits of many jails.")
    parser.add_argument("--jails", type=int, default=200, help="how many (default %(default)s)")
    parser.add_argument("--directory", default="/var/tmp", help="where to work (default %(default)s)")
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("making jails needs root")
    if options.jails < 1:
        parser.error("--jails must be 1 or more")
    return host.run_apart(options.directory, lambda folder: _measure(folder, options.jails))


def _measure(folder: str, jails: int) -> None:
    print(f"kernel {platform.release()}, cpus {os.cpu_count()}, python {platform.python_version()}")
    names = [f"{host.PREFIX}{number}" for number in range(jails)]
    began = time.monotonic()
    _make(names)
    print(f"{jails} jails, made and started in {time.monotonic() - began:.1f} s\n")
    rows, calls = [["", "changed", "s", "ms each", "system calls each"]], {}
    for title, first, second in _CASES:
        _timed(names, first)
        for kind, wish in (("changed", second), ("as it is", second)):
            seconds, changed = _timed(names, wish)
            if kind == "changed":
                _timed(names, first)
            counted = _counted(folder, names, wish)
            calls[f"{title}, {kind}"] = counted
            each = f"{sum(counted.values()):.1f}"
            rows.append([f"{title}, {kind}", str(changed), f"{seconds:.2f}", f"{seconds * 1000 / jails:.1f}", each])
    print(report.columns(rows))
    for title, counted in calls.items():
        most = sorted(counted.items(), key=lambda item: -item[1])[:_SHOWN]
        print(f"\n{title}, each: " + ", ".join(f"{name} {number:.1f}" for name, number in most))


def _make(names: Sequence[str]) -> None:
    for first in range(0, len(names), _AT_ONCE):
        some = names[first : first + _AT_ONCE]
        _converged(rootfs.FACET, [{"name": name, "method": "skeleton", "binaries": ["busybox"]} for name in some])
        _converged(state.FACET, [{"name": name, "command": ["sleep", "100000"], "state": "started"} for name in some])


def _converged(facet: Any, wishes: list[dict[str, Any]]) -> None:
    for name, outcome in converge.converge(facet, wishes, check=False).items():
        if outcome.error:
            raise JailError(f"{name}: {outcome.error}")


def _timed(names: Sequence[str], wish: Mapping[str, str]) -> tuple[float, int]:
    return _call([], names, wish)


def _counted(folder: str, names: Sequence[str], wish: Mapping[str, str]) -> dict[str, float]:
    """System calls for each jail, by name."""
    path = os.path.join(folder, "strace")
    tables = []
    for some in ([], names):
        _call(["strace", "-f", "-c", "-S", "name", "-U", "name,calls", "-o", path], some, wish)
        tables.append(_table(path))
    base, whole = tables
    counted = {name: (number - base.get(name, 0)) / len(names) for name, number in whole.items() if name != "total"}
    return {name: number for name, number in counted.items() if abs(number) >= 1 / len(names)}


def _table(path: str) -> dict[str, int]:
    with open(path, encoding="ascii") as file:
        lines = [line.split() for line in file]
    return {words[0]: int(words[1]) for words in lines if len(words) == 2 and words[1].isdecimal()}


def _call(tracer: Sequence[str], names: Sequence[str], wish: Mapping[str, str]) -> tuple[float, int]:
    wishes = json.dumps([{"name": name, **wish} for name in names])
    command = [*tracer, sys.executable, "-c", _CALL]
    done = subprocess.run(command, input=wishes, text=True, check=True, stdout=subprocess.PIPE)
    seconds, changed, errors = json.loads(done.stdout)
    if errors:
        raise JailError(errors[0])
    return seconds, changed


if __name__ == "__main__":
    sys.exit(main())
