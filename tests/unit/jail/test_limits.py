# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words in which limits are written."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cellblock.jails.plugins.module_utils.jail import limits
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import cgroup

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
    assert limits.parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "M", "-1M", "1.M", "1..5M", "1e3", "0x10", "12", "0", "1P", "1M2", "max", "none", "1M\n1", "٣M", "9" * 400],
)
def test_what_is_no_size(text: str) -> None:
    """Everything else is refused with the value in the message."""
    with pytest.raises(ValueError, match=r"(is not a size|less than one page|out of range)"):
        limits.parse_size(text)


@given(st.one_of(st.none(), st.integers(1, 1 << 30).map(lambda pages: pages * _PAGE)))
def test_a_shown_size_is_the_size(size: int | None) -> None:
    """What is shown can be written back and is the same."""
    assert limits.parse_size(limits.show_size(size)) == size


@pytest.mark.parametrize(("size", "shown"), [(1 << 30, "1G"), (3 << 29, "1536M"), (5 << 40, "5T"), (12288, "12K")])
def test_sizes_are_shown_short(size: int, shown: str) -> None:
    """By the largest unit that is exact."""
    assert limits.show_size(size) == shown


@pytest.mark.parametrize(
    ("text", "quota"),
    [
        ("0.5", 50_000),
        (0.5, 50_000),
        ("2", 200_000),
        (2, 200_000),
        ("0.01", 1000),
        (".25", 25_000),
        ("unlimited", None),
    ],
)
def test_cpus(text: object, quota: int | None) -> None:
    """CPUs become microseconds in each period."""
    assert limits.parse_cpus(text) == quota


@pytest.mark.parametrize("text", ["0", "-1", "0.001", "half", "", "nan", "inf", "-inf", "1e400", "1e300", "50%"])
def test_what_is_no_number_of_cpus(text: str) -> None:
    """Everything else, and what the kernel would not take, is refused."""
    with pytest.raises(ValueError, match=r"(is not a number of CPUs|out of range)"):
        limits.parse_cpus(text)


@given(st.one_of(st.none(), st.integers(1000, 512 * cgroup.PERIOD)))
def test_shown_cpus_are_the_cpus(quota: int | None) -> None:
    """What is shown can be written back and is the same, to the microsecond."""
    assert limits.parse_cpus(limits.show_cpus(quota)) == quota


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "", "4194305", "1_000", "²", "1e3"])
def test_what_is_no_number_of_tasks(text: str) -> None:
    """Only a number that the kernel can count to, or ``unlimited``."""
    with pytest.raises(ValueError, match=r"is not a number of tasks"):
        limits.parse_count(text)


@given(st.one_of(st.none(), st.integers(1, 4_194_304)))
def test_a_shown_count_is_the_count(count: int | None) -> None:
    """Likewise."""
    assert limits.parse_count(limits.show_count(count)) == count
