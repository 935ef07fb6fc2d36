# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shared libraries that a program of the host needs, as the host's own dynamic loader finds them."""

from __future__ import annotations

import re
import struct

from ..errors import JailError
from . import hosttools

_PT_INTERP = 3
# elf(5): where Elf64_Ehdr and Elf32_Ehdr keep e_phoff, e_phentsize and e_phnum, Elf64_Phdr and Elf32_Phdr p_type,
# p_offset and p_filesz; by EI_CLASS.
_HEADERS = {1: ("28xI10xHH", "II8xI"), 2: ("32xQ14xHH", "I4xQ16xQ")}
_BYTE_ORDERS = {1: "<", 2: ">"}  # EI_DATA
_FOUND = re.compile(r"\s*(?:\S+ => )?(/\S+)(?: \(0x[0-9a-f]+\))?")


def interpreter(content: bytes) -> str | None:
    """The dynamic loader that a program names (``PT_INTERP``); ``None`` for a static one and for what is not ELF."""
    if content[:4] != b"\x7fELF":
        return None
    try:
        order = _BYTE_ORDERS[content[5]]
        header, segment = (struct.Struct(order + fields) for fields in _HEADERS[content[4]])
        offset, size, count = header.unpack_from(content)
        for index in range(count):
            kind, start, length = segment.unpack_from(content, offset + index * size)
            if kind == _PT_INTERP:
                return content[start : start + length].rstrip(b"\0").decode("ascii")
    except (IndexError, KeyError, OverflowError, struct.error, UnicodeDecodeError):  # cut short or made up
        return None
    return None


def needed_by(program: str, loader: str, option: str | None = None) -> list[str]:
    """The host paths of ``loader`` and of the libraries that ``program`` needs, directly or not (ld.so(8) ``--list``).

    :param option: the one that named the program, for an error.
    :raises JailError: when one is missing, or is found by nothing but the host's cache, which a jail does not have.
    """
    # musl's loader has neither the option nor the cache.
    no_cache = [] if "musl" in loader else ["--inhibit-cache"]
    status, text = hosttools.output_of([loader, *no_cache, "--list", program])
    missing = [line.strip() for line in text.splitlines() if "not found" in line]
    if status or missing:
        what = f"the libraries of {program} cannot be found: {'; '.join(missing) or text.strip()}"
        raise JailError(what, option, "only libraries in the loader's standard directories can be copied")
    matches = [_FOUND.fullmatch(line) for line in text.splitlines()]
    return list(dict.fromkeys([loader, *(match[1] for match in matches if match)]))
