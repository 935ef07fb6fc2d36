# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words in which sizes are written."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cellblock.jails.plugins.module_utils import sizes

_PAGE = os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("256M", 256 << 20),
        ("256m", 256 << 20),
        ("256MiB", 256 << 20),
        ("256 MB", 256 << 20),
        ("1.5G", 3 << 29),
        ("2T", 2 << 40),
        ("64K", 64 << 10),
        ("65536", 65536),
        (65536, 65536),
        (f"{_PAGE + 1}", _PAGE),
        ("unlimited", None),
        (" Unlimited ", None),
    ],
)
def test_sizes(text: object, size: int | None) -> None:
    """Units are powers of 1024 in whatever case; what is no whole page is rounded down as the kernel does."""
    assert sizes.parse(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "M", "-1M", "1.M", "1..5M", "1e3", "0x10", "12", "0", "1P", "1M2", "max", "none", "1M\n1", "٣M", "9" * 400],
)
def test_what_is_no_size(text: str) -> None:
    """Everything else is refused with the value in the message."""
    with pytest.raises(ValueError, match=r"(is not a size|less than one page|out of range)"):
        sizes.parse(text)


@given(st.one_of(st.none(), st.integers(1, 1 << 30).map(lambda pages: pages * _PAGE)))
def test_a_shown_size_is_the_size(size: int | None) -> None:
    """What is shown can be written back and is the same."""
    assert sizes.parse(sizes.show(size)) == size


@pytest.mark.parametrize(("size", "shown"), [(1 << 30, "1G"), (3 << 29, "1536M"), (5 << 40, "5T"), (12288, "12K")])
def test_sizes_are_shown_short(size: int, shown: str) -> None:
    """By the largest unit that is exact."""
    assert sizes.show(size) == shown
