# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of what was tried: server, version, installed, started, answered, and the switch that it needs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

COLUMNS = ("server", "version", "installed", "started", "answered", "needs")
NOT_RUN = "not run"
DOCUMENT = Path(__file__).parents[3] / "docs" / "servers.md"


class Table:
    """A plugin that prints it in the end."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what a test has recorded, or why it has not run."""
        noted = {name: str(value) for name, value in report.user_properties if name in COLUMNS}
        if "server" in noted:
            self._rows.setdefault(noted["server"], {}).update(noted)
        if report.skipped and report.when == "call":
            self._rows[report.nodeid] = {"server": report.nodeid, "version": NOT_RUN}

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print it."""
        for line in lines(self._rows.values()):
            terminalreporter.write_line(line)


def lines(rows: Any) -> Iterator[str]:
    """A table in Markdown."""
    yield f"| {' | '.join(COLUMNS)} |"
    yield f"| {' | '.join('---' for _column in COLUMNS)} |"
    for row in rows:
        yield f"| {' | '.join(row.get(column, '') for column in COLUMNS)} |"


def documented() -> dict[str, str]:
    """By server: what it needs, as the documentation says."""
    found = {}
    for line in DOCUMENT.read_text().splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == len(COLUMNS) and cells[0] not in ("server", "---"):
            found[cells[0]] = cells[-1]
    return found
