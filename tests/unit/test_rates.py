# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words in which rates are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cellblock.jails.plugins.module_utils import rates


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("10Mbit", 1_250_000),
        ("10mbit", 1_250_000),
        ("10 MBIT", 1_250_000),
        ("1.5Gbit", 187_500_000),
        ("512Kbit", 64_000),
        ("8000bit", 1_000),
        ("8001bit", 1_000),
        ("34Gbit", 4_250_000_000),
        ("unlimited", None),
        (" Unlimited ", None),
    ],
)
def test_rates(text: str, rate: int | None) -> None:
    """Units are powers of 1000 in whatever case; what is no whole byte is rounded down as the kernel has it."""
    assert rates.parse(text) == rate


@pytest.mark.parametrize(
    "text",
    [
        *("", "bit", "10", 10, "10M", "10Mbps", "10MB/s", "-1Mbit", "1e3bit", "0bit", "7999bit", "35Gbit", "1Tbit"),
        *("10Mibit", "10Mbit\n1", "٣Mbit", "9" * 400 + "bit", "max", None, True),
    ],
)
def test_what_is_no_rate(text: object) -> None:
    """Everything else is refused, with what a rate looks like or may be."""
    with pytest.raises(ValueError, match=r"(is not a rate|out of range)"):
        rates.parse(text)


@given(st.one_of(st.none(), st.integers(1_000, 4_250_000_000)))
def test_a_shown_rate_is_the_rate(rate: int | None) -> None:
    """What is shown can be written back and is the same."""
    assert rates.parse(rates.show(rate)) == rate


@pytest.mark.parametrize(("rate", "shown"), [(125_000_000, "1Gbit"), (187_500_000, "1500Mbit"), (1_001, "8008bit")])
def test_rates_are_shown_short(rate: int, shown: str) -> None:
    """By the largest unit that is exact."""
    assert rates.show(rate) == shown


@pytest.mark.parametrize(
    ("text", "canonical"),
    [("10Mbit", True), ("unlimited", True), ("10mbit", False), ("10000Kbit", False), ("Unlimited", False), ("", False)],
)
def test_one_form_of_each_is_canonical(text: str, canonical: bool) -> None:
    """That in which it is shown."""
    assert rates.is_canonical(text) == canonical
