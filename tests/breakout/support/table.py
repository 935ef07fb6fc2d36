# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of a test run by the rows of the catalogue: stopped, or not stopped, or no control on this kernel, and why.

A test says which row it belongs to by the marker ``row``. What is known not to be stopped is marked ``xfail`` with the
reason. By ``record_property`` a test adds ``control``, why there can be no control here, and ``measured``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from .catalogue import GROUPS

Record = Callable[[str, object], None]
"""The fixture ``record_property``, by which a test notes something for the table."""

NOT_STOPPED, FAILED, STOPPED, NOT_RUN, NO_TEST = "NOT STOPPED", "FAILED", "stopped", "not run", "no test"


class Verdict(NamedTuple):
    """Of one test."""

    test: str
    what: str
    why: str


def _verdict(report: pytest.TestReport) -> Verdict | None:
    """What a phase of a test says; ``None`` when it says nothing new."""
    if report.skipped and hasattr(report, "wasxfail"):
        return Verdict(report.nodeid, NOT_STOPPED, report.wasxfail.removeprefix("reason: "))
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        return Verdict(report.nodeid, NOT_RUN, reason.removeprefix("Skipped: "))
    if report.failed:
        return Verdict(report.nodeid, FAILED, f"{report.nodeid} at {report.when}")
    return Verdict(report.nodeid, STOPPED, "") if report.when == "call" else None


def _notes(report: pytest.TestReport) -> Iterator[str]:
    """What a test has noted for the table by its end."""
    for name, value in report.user_properties:
        if name == "control":
            yield f"control not possible: {value}"
        elif name == "measured":
            yield f"{report.nodeid.rpartition('::test_')[2]}: {value}"


class Table:
    """A plugin that prints it in the end. Tests without a row are not run."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[int, ...]] = {}
        self._found: dict[int, list[Verdict]] = {}
        self._notes: dict[int, dict[str, None]] = {}

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep the tests that belong to a row."""
        self._rows = {
            item.nodeid: tuple(row for marker in item.iter_markers("row") for row in marker.args) for item in items
        }
        others = [item for item in items if not self._rows[item.nodeid]]
        items[:] = [item for item in items if self._rows[item.nodeid]]
        config.hook.pytest_deselected(items=others)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what a test showed."""
        verdict = _verdict(report)
        for row in self._rows.get(report.nodeid, ()):
            if verdict:
                self._found.setdefault(row, []).append(verdict)
            if report.when == "teardown":
                self._notes.setdefault(row, {}).update(dict.fromkeys(_notes(report)))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        """Print the table; with ``-v`` also the tests of each row."""
        for group, rows in GROUPS.items():
            terminalreporter.write_line("")
            terminalreporter.write_line(group, bold=True)
            for row, text in rows.items():
                terminalreporter.write_line(f"{row:3}  {_sum(self._found.get(row, [])):12} {text}")
                for line in self._remarks(row, config.get_verbosity() > 0):
                    terminalreporter.write_line(f"{'':5}{line}")

    def _remarks(self, row: int, verbose: bool) -> Iterator[str]:
        verdicts = self._found.get(row, [])
        yield from (f"- {note}" for note in dict.fromkeys(f"{each.what}: {each.why}" for each in verdicts if each.why))
        yield from (f"- {note}" for note in self._notes.get(row, {}))
        if verbose:
            yield from dict.fromkeys(each.test.partition("[")[0] for each in verdicts)


def _sum(verdicts: list[Verdict]) -> str:
    """The worst of a row's."""
    whats = {each.what for each in verdicts}
    return next((what for what in (FAILED, NOT_STOPPED, STOPPED, NOT_RUN) if what in whats), NO_TEST)
