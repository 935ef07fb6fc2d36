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
