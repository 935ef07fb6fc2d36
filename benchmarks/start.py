# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a jail takes from the call that starts it to the first instruction of its pid 1.

Measured in one Python process that is up and has imported what it needs, against the kernel's floor (the same
system calls from C, and unshare(1)), bubblewrap, runc and crun, on one tree, in turns. It measures, it never asserts.
Needs root; the host is as it was afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / ".collections"))

from ansible_collections.cellblock.jails.benchmarks import contenders, host, report, stages
from ansible_collections.cellblock.jails.benchmarks.contenders import Contender, Tree
from ansible_collections.cellblock.jails.benchmarks.report import Samples
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.jail import build, start
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import process
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import recipes, templates

_HERE = Path(__file__).resolve().parent
_VETH = ({"name": "eth0", "bridge": "br-bench", "addresses": ["10.99.0.2/24"]},)
_FLOORS = ("unshare", "floor", "floor, all")
_WARM_UP = 3
_PYTHON_ROUNDS = 10


def main() -> int:
    parser = argparse.ArgumentParser(description="Time from the call to a jail's first instruction, in microseconds.")
    parser.add_argument("--rounds", type=int, default=40, help="starts of each contender (default %(default)s)")
    parser.add_argument("--pause", type=float, default=0.05, help="seconds between two starts, in which the kernel "
                        "finishes with the last one's namespaces (default %(default)s)")  # fmt: skip
    parser.add_argument("--directory", default="/var/tmp", help="where to work (default %(default)s)")
    parser.add_argument("--json", metavar="FILE", help="write all samples there too")
    parser.add_argument("--profile", action="store_true", help="show where the time of our own start goes instead")
    parser.add_argument("--only", metavar="NAME", action="append", help="measure this contender; may be repeated")
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("starting jails needs root")
    if options.rounds < 1:
        parser.error("--rounds must be 1 or more")
    output = os.path.abspath(options.json) if options.json else None
    return host.run_apart(options.directory, lambda folder: _measure(folder, options, output))


def _measure(folder: str, options: argparse.Namespace, output: str | None) -> None:
    floor, first = (_compiled(name, folder) for name in ("floor", "first"))
    tree = _make_tree(folder, first)
    candidates: list[Contender] = [
        contenders.Jail("jail", tree, ()),
        contenders.Jail("jail, veth", tree, _VETH),
        contenders.unshare(tree),
        contenders.Bubblewrap(tree),
        contenders.OciRuntime("runc", tree),
        contenders.OciRuntime("crun", tree),
    ]
    missing = {}
    if floor and first:
        candidates += [contenders.bare_floor(floor, tree), contenders.whole_floor(floor, tree)]
    else:
        missing = dict.fromkeys(("floor", "floor, all"), "there is no C compiler (cc) that makes static programs")
    chosen = [one for one in candidates if not options.only or one.name in options.only]
    if options.profile:
        chosen = [one for one in chosen if isinstance(one, contenders.Jail)]
    ready = []
    for contender in chosen:
        reason = contender.prepare()
        if reason:
            missing[contender.name] = reason
        else:
            ready.append(contender)
    if options.profile:
        if ready:
            print(stages.profile(ready[0], options.rounds, options.pause))
    else:
        measured = _take_turns(ready, options.rounds, options.pause)
        python = _python_up()
        _show(measured, ready, options.rounds, python)
        if output:
            machine = {**_machine(), "rounds": options.rounds, "python_up_us": python}
            with open(output, "w", encoding="utf-8") as file:
                json.dump(report.as_json(measured, missing, machine), file, indent=2)
                file.write("\n")
    for name, reason in missing.items():
        print(f"not measured: {name}: {reason}")


def _compiled(name: str, folder: str) -> str | None:
    """A static program from its source beside this file."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    binary = os.path.join(folder, name)
    command = [compiler, "-O2", "-static", "-o", binary, str(_HERE / f"{name}.c")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        print(ended.stderr, file=sys.stderr)
        return None
    return binary


def _make_tree(folder: str, first: str | None) -> Tree:
    """A template by our own builder: busybox and the program that says when it ran."""
    if shutil.which("busybox") is None:
        raise JailError("the host has no busybox", advice="Debian's package is busybox-static")
    binaries = ["busybox", first] if first else ["busybox"]
    recipe = recipes.parse({"method": "skeleton", "binaries": binaries})
    argv = [first] if first else ["/bin/sh", "-c", "date +%s%N; exec sleep 3600"]
    return Tree(templates.ensure(recipe, build.confine), argv, folder)


def _take_turns(ready: Sequence[Contender], rounds: int, pause: float) -> dict[str, Samples]:
    """Round robin; each round begins with another contender, so that none always follows the same one."""
    measured = {contender.name: Samples([], []) for contender in ready}
    for number in range(-_WARM_UP, rounds):
        shift = number % len(ready) if ready else 0
        for contender in [*ready[shift:], *ready[:shift]]:
            before, first = contender.start()
            stop = contender.stop()
            if number >= 0:
                measured[contender.name].start.append(first - before)
                measured[contender.name].stop.append(stop)
            time.sleep(pause)
    return measured


def _python_up() -> float:
    """Microseconds until a new Python can call start(): what a call of the ``jail`` command adds to our figures."""
    program = f"import sys; sys.path.insert(0, {str(_HERE.parent / '.collections')!r}); import {start.__name__}"
    took = []
    for _round in range(_PYTHON_ROUNDS):
        before = time.monotonic_ns()
        process.wait(os.posix_spawn(sys.executable, [sys.executable, "-c", program], os.environ))
        took.append(time.monotonic_ns() - before)
    return statistics.median(took) / 1000


def _show(measured: Mapping[str, Samples], ready: Sequence[Contender], rounds: int, python: float) -> None:
    print(", ".join(f"{name} {value}" for name, value in _machine().items()))
    print(f"{rounds} rounds; microseconds: median, 10th and 90th percentile; ratio of medians")
    print()
    print(report.table(measured, _FLOORS))
    print()
    for contender in ready:
        print(f"{contender.name}: {contender.work}")
    print(f"Python up and imports done, which comes before where each call has a Python of its own: {python:.0f} us")


def _machine() -> dict[str, object]:
    return {
        "kernel": platform.release(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1),
    }


if __name__ == "__main__":
    sys.exit(main())
