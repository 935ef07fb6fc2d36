# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a system call costs in a jail, on the host, and in runc under a container engine's default profile.

One program makes the calls, on one tree and one processor: on the host, in a default jail, and in a bundle of runc with
the namespaces, mounts and capabilities of the jail. All three stay up and take turns, so that each round compares what
was measured within the same second, and all three are started anew several times. It measures, it never asserts. Needs
root; the host is as it was afterwards.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import select
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Callable, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / ".collections"))

from ansible_collections.cellblock.jails.benchmarks import host, oci, report
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.jail import build, enter, live, policy, start, stop, store
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import process
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import recipes, storage, templates

_SOURCE = Path(__file__).resolve().with_suffix(".c")
_PROFILES = ("/etc/containers/seccomp.json", "/usr/share/containers/seccomp.json")
_WARM_UP = 2
_SECONDS = 60
_JAIL = host.PREFIX + "calls"
_HOST, _OURS, _RUNC = "host", "jail", "runc"

Samples = dict[str, list[float]]
"""Nanoseconds of each round, by call."""


class Place(NamedTuple):
    """Where the program runs: it answers each line of ``asked`` by a round."""

    asked: IO[bytes]
    answers: IO[bytes]

    def measure(self) -> dict[str, float]:
        """One round: nanoseconds by call.

        :raises JailError: when the program has ended.
        """
        with contextlib.suppress(BrokenPipeError):  # why is not told here
            self.asked.write(b"\n")
        found = {}
        while line := self._line():
            name, figure = line.split()
            found[name] = float(figure)
        return found

    def _line(self) -> str:
        if not select.select([self.answers], [], [], _SECONDS)[0]:
            raise JailError(f"it did not answer within {_SECONDS} seconds")
        line = b""
        while not line.endswith(b"\n"):
            byte = os.read(self.answers.fileno(), 1)
            if not byte:
                raise JailError("it ended instead of answering")
            line += byte
        return line.decode().strip()


Starter = Callable[[], contextlib.AbstractContextManager[Place]]


def main() -> int:
    parser = argparse.ArgumentParser(description="Nanoseconds of system calls: host, jail, runc.")
    parser.add_argument("--starts", type=int, default=6, help="where the program's memory lies differs from one to the "
                        "next, and so do its figures (default %(default)s)")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=15, help="of all calls, of each start (default %(default)s)")
    parser.add_argument("--directory", default="/var/tmp", help="where to work (default %(default)s)")
    parser.add_argument("--profile", metavar="FILE", help="runc's seccomp profile, in the format of container engines "
                        f"(default: the first of {', '.join(_PROFILES)})")  # fmt: skip
    parser.add_argument("--json", metavar="FILE", help="write all samples there too")
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("starting jails needs root")
    if min(options.rounds, options.starts) < 1:
        parser.error("--rounds and --starts must be 1 or more")
    output = os.path.abspath(options.json) if options.json else None
    return host.run_apart(options.directory, lambda folder: _measure(folder, options, output))


def _measure(folder: str, options: argparse.Namespace, output: str | None) -> None:
    program = os.path.join(folder, "syscalls")
    if shutil.which("cc") is None:
        raise JailError("there is no C compiler", advice="Debian's packages are gcc and libc6-dev")
    subprocess.run(["cc", "-O2", "-static", "-o", program, str(_SOURCE)], check=True)
    recipe = recipes.parse({"method": "skeleton", "binaries": ["busybox", program]})
    key = templates.ensure(recipe, build.confine)
    missing = {}
    storage.create(_JAIL, "overlay", key)
    store.write(_JAIL, "state", {"command": ["sleep", "100000"]})
    starters: dict[str, Starter] = {_HOST: lambda: _on_host(program), _OURS: lambda: _in_jail(program)}
    try:
        bundle = _bundle(key, folder, program, _profile(options.profile))
        starters[_RUNC] = lambda: _in_runc(bundle)
    except JailError as error:
        missing[_RUNC] = str(error)
    measured: dict[str, dict[str, list[float]]] = {name: {} for name in starters}
    for _start in range(options.starts):
        with contextlib.ExitStack() as stack:
            places = {name: stack.enter_context(starter()) for name, starter in starters.items()}
            _take_turns(places, options.rounds, measured)
    print(f"kernel {platform.release()}, cpus {os.cpu_count()}, load {os.getloadavg()[0]:.1f}")
    print(
        f"{options.rounds} rounds of each of {options.starts} starts; nanoseconds for each call: median, 10th and 90th"
    )
    print("percentile; of the ratios within each round the same")
    print()
    print(_table(measured))
    for name, reason in missing.items():
        print(f"not measured: {name}: {reason}")
    if output:
        with open(output, "w", encoding="utf-8") as file:
            json.dump({"kernel": platform.release(), "nanoseconds": measured, "missing": missing}, file, indent=2)
            file.write("\n")


def _profile(named: str | None) -> str:
    if named:
        return os.path.abspath(named)
    found = next((path for path in _PROFILES if os.path.exists(path)), None)
    if found is None:
        raise JailError(
            f"there is none of {', '.join(_PROFILES)}",
            advice="Debian's package is golang-github-containers-common; or name one by --profile",
        )
    return found


@contextlib.contextmanager
def _on_host(program: str) -> Iterator[Place]:
    with subprocess.Popen([program, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as running:
        assert running.stdin
        assert running.stdout
        yield Place(running.stdin, running.stdout)
        running.stdin.close()


@contextlib.contextmanager
def _in_jail(program: str) -> Iterator[Place]:
    """In a default jail, by the way of everything that enters one."""
    start.start(_JAIL)
    try:
        running = live.find(_JAIL)
        if running is None:
            raise JailError("the jail has ended")
        reading, asked = os.pipe()
        answers, writing = os.pipe()

        def enter_it() -> None:
            os.dup2(reading, 0)
            os.dup2(writing, 1)
            os.close(asked)
            enter.execute(running, enter.Command([program, program], policy.ENVIRONMENT))

        child = process.fork(enter_it)
        os.close(reading)
        os.close(writing)
        with open(asked, "wb", buffering=0) as questions, open(answers, "rb", buffering=0) as lines:
            yield Place(questions, lines)
        process.wait(child)
    finally:
        stop.stop_as_desired(_JAIL)


def _bundle(key: str, folder: str, program: str, profile: str) -> oci.Bundle:
    if shutil.which("runc") is None:
        raise JailError("runc is not installed")
    bundle = oci.Bundle("runc", key, folder)
    bundle.make([program, program], oci.of_engine(profile))
    print(f"runc's seccomp profile: {profile}")
    return bundle


@contextlib.contextmanager
def _in_runc(bundle: oci.Bundle) -> Iterator[Place]:
    running = bundle.run()
    assert running.stdin
    assert running.stdout
    try:
        yield Place(running.stdin, running.stdout)
    finally:
        bundle.delete()
        running.communicate()
        host.reap()


def _take_turns(places: Mapping[str, Place], rounds: int, measured: Mapping[str, Samples]) -> None:
    """Round robin; each round begins with another place, so that none always follows the same one."""
    names = list(places)
    for number in range(-_WARM_UP, rounds):
        shift = number % len(names)
        for name in [*names[shift:], *names[:shift]]:
            try:
                found = places[name].measure()
            except JailError as error:
                raise JailError(f"{name}: {error}") from error
            for call, figure in found.items() if number >= 0 else ():
                measured[name].setdefault(call, []).append(figure)


def _table(measured: Mapping[str, Samples]) -> str:
    pairs = [(_OURS, other) for other in (_HOST, _RUNC) if other in measured]
    titles = ["", *measured, *(f"{one} / {other}" for one, other in pairs)]
    rows = [titles]
    for call in measured[_HOST]:
        figures = [_spread(measured[name][call], 0) for name in measured]
        ratios = [[a / b for a, b in zip(measured[one][call], measured[other][call])] for one, other in pairs]
        rows.append([call.replace("_", " "), *figures, *(_spread(each, 2) for each in ratios)])
    return report.columns(rows)


def _spread(samples: Sequence[float], digits: int) -> str:
    tenths = statistics.quantiles(samples, n=10, method="inclusive") if len(samples) > 1 else [samples[0]]
    return f"{statistics.median(samples):.{digits}f} ({tenths[0]:.{digits}f}-{tenths[-1]:.{digits}f})"


if __name__ == "__main__":
    sys.exit(main())
