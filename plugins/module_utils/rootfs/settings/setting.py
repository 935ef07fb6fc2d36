# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a setting is to the rest: something in a jail's tree that belongs to this one system."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable, NamedTuple


class Setting(NamedTuple):
    """One setting. ``root`` is a descriptor of the root directory of a tree that nobody trusts (:mod:`..intree`).

    :param parse: from what the user wrote to the canonical form; ``ValueError`` says what is wrong.
    :param read: ``read(root)`` is the canonical value that the tree has. What the tree has instead of one compares
        unequal to every canonical value, and shows what it is.
    :param write: ``write(root, value)`` makes a canonical value hold in the tree.
    """

    parse: Callable[[Any], Any]
    read: Callable[[int], Any]
    write: Callable[[int, Any], None]


def one_line(given: str) -> str:
    """A line as it goes into a file, without blanks around it.

    :raises ValueError: for what would be more lines than one, or none.
    """
    line = given.strip()
    if not line.replace("\t", " ").isprintable():
        raise ValueError(f"{given!r} has characters that cannot be printed")
    if not line or line.startswith("#"):
        raise ValueError(f"{given!r} says nothing")
    return line


def spaced(line: str) -> str:
    """A line with one blank between its words."""
    return " ".join(line.split())


def text(lines: Sequence[str]) -> bytes:
    """The file of these lines."""
    return "".join(f"{line}\n" for line in lines).encode()
