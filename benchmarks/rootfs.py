# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a jail's root file system costs: time and disk of a clone of one template, and memory of what two jails share.

For each kind of storage, on each file system that is made for the measurement: clones one by one, then as many in one
call of the module's own code. Then two jails map one large library of their template. It measures, it never asserts.
Needs root; the host is as it was afterwards.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / ".collections"))

from ansible_collections.cellblock.jails.benchmarks import host, report
from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.jail import build, console, converge, live, rootfs, state
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import recipes, staging, storage, templates

_HERE = Path(__file__).resolve().parent
_FILESYSTEMS = ("ext4", "xfs", "btrfs")
_IMAGE_BYTES = 8 << 30
_LIBRARY_BYTES = 64 << 20
_MIB = 1 << 20


class Clones(NamedTuple):
    """Milliseconds of each clone, KiB of disk for one, and seconds of all in one call."""

    milliseconds: list[float]
    kibibytes: float
    together: float


def main() -> int:
    parser = argparse.ArgumentParser(description="What a clone of a template costs, and what two of them share.")
    parser.add_argument("--jails", type=int, default=100, help="clones of each kind (default %(default)s)")
    parser.add_argument("--directory", default="/var/tmp", help="where to work (default %(default)s)")
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("making jails needs root")
    if options.jails < 2:
        parser.error("--jails must be 2 or more")
    return host.run_apart(options.directory, lambda folder: _measure(folder, options.jails))


def _measure(folder: str, jails: int) -> None:
    recipe = _recipe(folder)
    print(f"kernel {platform.release()}, cpus {os.cpu_count()}, python {platform.python_version()}; {jails} jails")
    titles = ["", "template s", "builds so far", "clone ms", "p90", "KiB each", f"{jails} in one call s"]
    rows, shared, missing = [titles], [["", "first jail MiB", "second jail MiB", "page cache MiB"]], []
    for filesystem in _FILESYSTEMS:
        with contextlib.ExitStack() as stack:
            stack.enter_context(host.file_system(folder, filesystem, _IMAGE_BYTES))
            before = time.monotonic()
            key = templates.ensure(recipe, build.confine)
            built = time.monotonic() - before
            for kind in storage.KINDS:
                label = f"{kind} on {filesystem}"
                try:
                    clones = _clones(kind, key, recipe, jails)
                    rows.append([label, f"{built:.1f}", str(_builds(key)), *_cells(clones)])
                    shared.append([label, *_memory(kind, recipe)])
                except JailError as error:
                    missing.append(f"not measured: {label}: {error}")
    print(f"\nClones of one template ({_LIBRARY_BYTES // _MIB} MiB and busybox), before they write anything:\n")
    print(report.columns(rows))
    print(
        f"\nTwo jails map one library of {_LIBRARY_BYTES // _MIB} MiB, what each is charged and what the host caches:\n"
    )
    print(report.columns(shared))
    print("\n" + "\n".join(missing))


def _recipe(folder: str) -> recipes.Recipe:
    """Busybox, a program that maps a file, and a file of random bytes in the place of a large library."""
    binary, library = os.path.join(folder, "map"), os.path.join(folder, "library")
    subprocess.run(["cc", "-O2", "-static", "-o", binary, str(_HERE / "map.c")], check=True)
    with open(library, "wb") as file:
        file.writelines(os.urandom(_MIB) for _chunk in range(_LIBRARY_BYTES // _MIB))
    return recipes.parse({"method": "skeleton", "binaries": ["busybox", binary, library]})


def _clones(kind: str, key: str, recipe: recipes.Recipe, jails: int) -> Clones:
    names = [f"{host.PREFIX}{number}" for number in range(jails)]
    storage.create(names[0], kind, key)  # warm
    storage.remove(names[0])
    free = _free_bytes()
    milliseconds = []
    for name in names:
        before = time.monotonic()
        storage.create(name, kind, key)
        milliseconds.append((time.monotonic() - before) * 1000)
    kibibytes = (free - _free_bytes()) / 1024 / jails
    for name in names:
        storage.remove(name)
    before = time.monotonic()
    _converged([{"name": name, **_wish(recipe), "storage": kind} for name in names])
    together = time.monotonic() - before
    _converged([{"name": name, "state": "absent"} for name in names])
    return Clones(milliseconds, kibibytes, together)


def _cells(clones: Clones) -> list[str]:
    tenths = statistics.quantiles(clones.milliseconds, n=10, method="inclusive")
    median = statistics.median(clones.milliseconds)
    return [f"{median:.2f}", f"{tenths[-1]:.2f}", f"{clones.kibibytes:.1f}", f"{clones.together:.2f}"]


def _wish(recipe: recipes.Recipe) -> dict[str, Any]:
    return {name: value for name, value in recipe.items() if name != "version"}


def _converged(wishes: list[dict[str, Any]]) -> None:
    """What the module does for these jails."""
    for name, outcome in converge.converge(rootfs.FACET, wishes, False).items():
        if outcome.error:
            raise JailError(f"{name}: {outcome.error}")


def _builds(key: str) -> int:
    """How many times the log says that this template was built since the last file system was made."""
    with open(layout.BUILD_LOG, encoding="utf-8", errors="replace") as log:
        return sum(1 for line in log if line.startswith(f"[{key}] I: building"))


def _memory(kind: str, recipe: recipes.Recipe) -> list[str]:
    """What the first and the second jail are charged for mapping the library, and what the host's page cache grew
    by."""
    names = [f"{host.PREFIX}a", f"{host.PREFIX}b"]
    _converged([{"name": name, **_wish(recipe), "storage": kind} for name in names])
    key = recipes.key(recipe)
    program, library = (path for path in recipe["binaries"] if path.endswith(("/map", "/library")))
    if program.endswith("/library"):
        program, library = library, program
    for place in _copies(names, key, library):
        _forget_pages(place)
    cached = _cached_bytes()
    charged = [_charge_of(name, program, library) for name in names]
    grown = _cached_bytes() - cached
    for name in names:
        converge.converge(state.FACET, [{"name": name, "state": "absent"}], False)
        host.reap()
    return [f"{bytes_ / _MIB:.1f}" for bytes_ in (*charged, grown)]


def _charge_of(name: str, program: str, library: str) -> int:
    wish = {"name": name, "command": [program, library], "state": "started"}
    outcome = converge.converge(state.FACET, [wish], False)[name]
    if outcome.error:
        raise JailError(outcome.error)
    while b"pages" not in b"".join(console.last_lines(name)):
        time.sleep(0.01)
    return live.group_of(name).get("memory_used") or 0


def _copies(names: list[str], key: str, library: str) -> list[str]:
    """Where the library lies on the host."""
    found = [f"{templates.tree(key)}{library}"]
    for name in names:
        stored = storage.describe(name)
        if stored and stored.writable:
            found.append(f"{stored.writable}{library}")
    return [path for path in found if os.path.exists(path)]


def _forget_pages(path: str) -> None:
    """Drop a file's pages from the page cache."""
    staging.sync_filesystem(os.path.dirname(path))
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def _cached_bytes() -> int:
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("Cached:"))


def _free_bytes() -> int:
    staging.sync_filesystem(layout.LIB)
    facts = os.statvfs(layout.LIB)
    return facts.f_bfree * facts.f_frsize


if __name__ == "__main__":
    sys.exit(main())
