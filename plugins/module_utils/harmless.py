# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text that a jail or its tree has had a hand in, for a terminal or a log: names of files, mounts and processes, what
programs print."""

from __future__ import annotations

_KEPT = "\t\n"


def text(found: str) -> str:
    """The same with a question mark for each control character but tab and newline, which a terminal would obey, and
    for each byte that was no character and that no stream takes (``surrogateescape``)."""
    return "".join(character if character.isprintable() or character in _KEPT else "?" for character in found)
