# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ages: what is written and what it means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cellblock.jails.plugins.module_utils.jail import ages


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0), ("30m", 1800), ("12h", 43200), (" 7d ", 604800), ("2w", 1209600)],
)
def test_an_age_is_seconds(text: str, seconds: int) -> None:
    """A number and a unit."""
    assert ages.parse(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "7", "d", "-1d", "1.5h", "7 d", "7days", "1h30m", "\u0661d", None, 7, "9" * 10 + "s"]
)
def test_what_is_no_age_is_refused_with_an_example(text: object) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError, match=r"is not an age; write it like 30m, 12h, 7d or 2w"):
        ages.parse(text)


@given(st.floats(min_value=-10, max_value=10**10))
def test_what_is_shown_can_be_read_and_is_not_far_off(seconds: float) -> None:
    """In the largest unit that there is one of, so never wrong by more than one of that."""
    shown = ages.parse(ages.show(seconds))
    assert shown <= max(0, seconds)
    assert max(0, seconds) < shown * 2 or seconds < 1
