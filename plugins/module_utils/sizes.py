# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes as people write them, of memory and of disk."""

from __future__ import annotations

import os
import re
from decimal import Decimal
from typing import Any

UNLIMITED = "unlimited"

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE_MAX = 1 << 60
_NOTHING = re.compile(r"0+\s*[KMGT]?(?:I?B)?")
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)\s*%")
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(?:I?B)?")


def parse(value: Any) -> int | None:
    """Bytes, rounded down to whole pages of memory as the kernel does; ``None`` for ``unlimited``. Units are powers of
    1,024."""
    size = parse_bytes(value)
    if size is None:
        return None
    size = whole_pages(size)
    if size == 0:
        raise ValueError(f"{value!r} is less than one page of memory ({os.sysconf('SC_PAGE_SIZE')} bytes)")
    return size


def parse_bytes(value: Any) -> int | None:
    """The same to the byte, and 0 too."""
    text = str(value).strip().upper()
    if text == UNLIMITED.upper():
        return None
    match = _SIZE.fullmatch(text)
    if not match:
        raise ValueError(f"{value!r} is not a size; write it like 256M, 1.5G, a number of bytes, or {UNLIMITED}")
    size = int(Decimal(match.group(1)) * _UNITS[match.group(2)])
    if size > _SIZE_MAX:
        raise ValueError(f"{value!r} is out of range; the most is {show(_SIZE_MAX)}")
    return size


def parse_or_nothing(value: Any) -> int | None:
    """Likewise, and 0 is a size."""
    return 0 if _is_nothing(value) else parse(value)


def parse_memory(value: Any) -> int | None:
    """Likewise without 0, and a percentage is one of the host's memory."""
    share = _PERCENT.fullmatch(str(value).strip())
    if share is None:
        return parse(value)
    size = whole_pages(int(memory() * Decimal(share.group(1)) / 100))
    if not 0 < size <= memory():
        raise ValueError(f"{value!r} is no part of the host's memory")
    return size


def parse_memory_or_nothing(value: Any) -> int | None:
    """Likewise, and 0 is a size."""
    return 0 if _is_nothing(value) else parse_memory(value)


def _is_nothing(value: Any) -> bool:
    return _NOTHING.fullmatch(str(value).strip().upper()) is not None


def memory() -> int:
    """The bytes of memory that the host has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def whole_pages(size: int) -> int:
    """So many bytes, rounded down to whole pages of memory."""
    page = os.sysconf("SC_PAGE_SIZE")
    return size // page * page


def whole_mebibytes(size: int) -> int:
    """So many bytes, rounded down to whole MiB."""
    return size >> 20 << 20


def show(value: int | None) -> str:
    """The shortest exact form, such as ``256M``."""
    if value is None:
        return UNLIMITED
    if value == 0:
        return "0"
    unit = next(unit for unit in ("T", "G", "M", "K", "") if value % _UNITS[unit] == 0)
    return f"{value // _UNITS[unit]}{unit}"


def show_memory(value: int | None) -> str:
    """Likewise; a size that is no whole number of MiB, and a whole percentage of the host's memory, as that."""
    if value and value % _UNITS["M"]:
        share = min(100, max(1, round(value * 100 / memory())))
        if parse_memory(f"{share}%") == value:
            return f"{share}%"
    return show(value)
