# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the loader out of an ELF file, whatever the file is."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import libraries

LOADER = b"/lib/ld-test.so.1\0"


def elf(bits: int, order: str, kind: int = 3) -> bytes:
    """An ELF file that is nothing but its header, one program header and the name of the loader (elf(5))."""
    ident = b"\x7fELF" + bytes([bits // 32, 1 if order == "<" else 2]) + bytes(10)
    if bits == 64:
        header = struct.pack(order + "HHIQQQIHHHHHH", 2, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
        segment = struct.pack(order + "IIQQQQQQ", kind, 4, 120, 0, 0, len(LOADER), len(LOADER), 1)
    else:
        header = struct.pack(order + "HHIIIIIHHHHHH", 2, 3, 1, 0, 52, 0, 0, 52, 32, 1, 0, 0, 0)
        segment = struct.pack(order + "IIIIIIII", kind, 84, 0, 0, len(LOADER), len(LOADER), 4, 1)
    return ident + header + segment + LOADER


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("order", ["<", ">"])
def test_the_loader_is_found(bits: int, order: str) -> None:
    assert libraries.interpreter(elf(bits, order)) == "/lib/ld-test.so.1"
    assert libraries.interpreter(elf(bits, order, kind=1)) is None


def test_what_is_not_elf_needs_no_loader() -> None:
    assert libraries.interpreter(b"#!/bin/sh\n") is None
    assert libraries.interpreter(b"") is None


@given(st.binary(max_size=200), st.integers(0, 200))
def test_rubbish_is_no_error(rubbish: bytes, position: int) -> None:
    whole = elf(64, "<")
    libraries.interpreter(b"\x7fELF" + rubbish)
    libraries.interpreter(whole[:position])
    libraries.interpreter(whole[:position] + rubbish + whole[position:])
