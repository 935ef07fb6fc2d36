# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text in columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from . import harmless


def lines(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A line for each row, with its end; each column is as wide as its widest cell."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
        yield harmless.text(text).replace("\n", "?") + "\n"
