# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``/etc/machine-id``: 32 hexadecimal digits that no other system has (machine-id(5))."""

from __future__ import annotations

import re

from .. import treefiles
from .setting import Setting, text

_FILE = "etc/machine-id"
_READ_ONLY = 0o444
_ID = re.compile(r"(?!0{32})[0-9a-f]{32}")


def _parse(value: str) -> str:
    if not _ID.fullmatch(value):
        raise ValueError(f"{value!r} is not a machine id: 32 hexadecimal digits in lower case, not all of them 0")
    return value


def read(root: int) -> str:
    """What the file holds; nothing before the first start."""
    return treefiles.text_of(root, _FILE).strip()


def _write(root: int, value: str) -> None:
    treefiles.put(root, _FILE, text([value]), _READ_ONLY)


def fill(root: int, value: str) -> None:
    """Have this id unless there is one."""
    if not _ID.fullmatch(read(root)):
        _write(root, value)


SETTING = Setting(_parse, read, _write)
