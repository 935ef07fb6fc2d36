# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``/etc/fstab``: the lines of fstab(5)."""

from __future__ import annotations

from collections.abc import Sequence

from .. import treefiles
from .setting import Setting, one_line, spaced, text

_FILE = "etc/fstab"


def _parse(value: Sequence[str]) -> list[str]:
    return [_parse_line(line) for line in value]


def _parse_line(line: str) -> str:
    fields = one_line(line).split()
    fields += ["0"] * (6 - len(fields)) if len(fields) >= 4 else []
    if len(fields) != 6 or not (fields[4].isdigit() and fields[5].isdigit()):
        raise ValueError(f"{line!r} is no line of fstab(5); write it like 'tmpfs /tmp tmpfs size=64m 0 0'")
    return " ".join(fields)


def _read(root: int) -> list[str]:
    return [spaced(line) for line in treefiles.lines_of(root, _FILE)]


def _write(root: int, value: Sequence[str]) -> None:
    treefiles.put(root, _FILE, text(value))


SETTING = Setting(_parse, _read, _write)
