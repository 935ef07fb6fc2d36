# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The attacks that are a program run inside, in jails and in what else is installed, side by side.

It says what it sees and asserts nothing: other runtimes have other defaults for other ends. Needs root; what runtimes
keep is in a directory that goes, and their networks in a network namespace.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".collections"))

from ansible_collections.cellblock.jails.tests.breakout.support import attacks, cells, programs, runtimes
from ansible_collections.cellblock.jails.tests.breakout.support.outside import Chroot
from ansible_collections.cellblock.jails.tests.breakout.support.runtimes import Place, Runtime
from ansible_collections.cellblock.jails.tests.integration.support import sandbox
from ansible_collections.cellblock.jails.tests.integration.support.boxes import fresh_name
from ansible_collections.cellblock.jails.tests.integration.support.calls import attempt, nursery

Column = Callable[[Sequence[str]], str]

_THROUGH = "through!"
_WIDTHS = (46, 15)


def main() -> int:
    with sandbox.entered(), tempfile.TemporaryDirectory(prefix="jails-compare-", dir="/var/tmp") as folder:
        before = runtimes.groups()
        name = fresh_name()
        try:
            _compare(Path(folder), name)
        finally:
            attempt("jail_state", name=[name], state="absent")
            nursery().close()
            sandbox.clear()
            runtimes.remove_new_groups(before)
            runtimes.unmount_below(Path(folder))
    return 0


def _compare(folder: Path, name: str) -> None:
    compiled = programs.compiled(folder)
    cell = cells.made(name, compiled)
    root = folder / "chroot"
    root.mkdir()
    chroot = Chroot(root, compiled.attack)
    place = runtimes.prepared(folder, [compiled.attack])
    columns: dict[str, Column] = {
        "chroot": lambda words: chroot.says(*words).split()[-1],
        "jails": lambda words: cell.run(*words).split()[-1],
    }
    for runtime in runtimes.RUNTIMES:
        why = _why_not(runtime, place)
        if why:
            print(f"{runtime.name}: not compared: {why}")
        else:
            print(f"{runtime.name}: {runtime.version_text()}; {runtime.beside}")
            columns[runtime.name] = _column(runtime, place)
    print()
    _show(columns)


def _why_not(runtime: Runtime, place: Place) -> str | None:
    """Why a runtime cannot be compared, if it cannot."""
    why = runtime.missing()
    if why:
        return why
    said, errors = runtime.says(place, ["/attack", "read", "/etc/passwd"])
    return None if said == "ok" else f"it does not run here: {errors.splitlines()[-1] if errors else said}"


def _column(runtime: Runtime, place: Place) -> Column:
    return lambda words: runtime.says(place, ["/attack", *words])[0]


def _show(columns: dict[str, Column]) -> None:
    """A line for each attack, and how many went through."""
    print("row ", "attack".ljust(_WIDTHS[0]), *(name.ljust(_WIDTHS[1]) for name in columns))
    through = dict.fromkeys(columns, 0)
    tried = 0
    for attack in attacks.ALL:
        said = {name: column(attack.words) for name, column in columns.items()}
        tried += said["chroot"] == "ok"
        for name, word in said.items():
            through[name] += word == "ok"
        cells_of_line = [_THROUGH if word == "ok" else word for word in said.values()]
        print(f"{attack.row:3} ", attack.name.ljust(_WIDTHS[0]), *(word.ljust(_WIDTHS[1]) for word in cells_of_line))
    print()
    print("    ", "went through".ljust(_WIDTHS[0]), *(str(number).ljust(_WIDTHS[1]) for number in through.values()))
    print(f"{tried} of {len(attacks.ALL)} attacks work on this kernel where nothing stops them (chroot).")
    print("What goes through need not reach the host: of what a guest has of its own, it may be the owner.")


if __name__ == "__main__":
    raise SystemExit(main())
