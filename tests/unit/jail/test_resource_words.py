# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words for resource limits, scheduling and objects of the kernel."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cellblock.jails.plugins.module_utils.jail import objects, resource_options
from ansible_collections.cellblock.jails.plugins.module_utils.jail.options import Option
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import rlimits

_OPTIONS = {option.name: option for option in (*resource_options.OPTIONS, *objects.OPTIONS)}
_FIGURE = st.one_of(st.just(-1), st.integers(0, 1 << 60))


def _option(name: str) -> Option:
    return _OPTIONS[name]


@st.composite
def _limits(draw: st.DrawFn) -> list[int]:
    hard = draw(_FIGURE)
    return [rlimits.lower(draw(_FIGURE), hard), hard]


@given(st.dictionaries(st.sampled_from(sorted(rlimits.NUMBERS)), _limits()))
def test_shown_resource_limits_are_the_limits(limits: dict[str, list[int]]) -> None:
    """What is shown can be written back, and is the same."""
    option = _option("rlimits")
    assert option.parse(option.show(limits)) == limits


@given(
    st.sampled_from([["other", 0], ["batch", 0], ["idle", 0]])
    | st.tuples(st.sampled_from(["fifo", "rr"]), st.integers(1, 99)).map(list)
)
def test_a_shown_policy_is_the_policy(policy: list[object]) -> None:
    """Likewise."""
    option = _option("scheduling")
    assert option.parse(option.show(policy)) == policy


@given(
    st.dictionaries(st.sampled_from([name for name in objects.NAMES if name != "sem"]), st.integers(0, (1 << 31) - 1))
)
def test_shown_objects_are_the_objects(values: dict[str, int]) -> None:
    """Likewise."""
    option = _option("kernel_objects")
    canonical = option.parse(values)
    assert option.parse(option.show(canonical)) == canonical
    assert {objects._KEYS[path]: int(text) for path, text in canonical.items()} == values


@given(_FIGURE, _FIGURE)
def test_the_lower_of_two_limits_is_within_both(one: int, other: int) -> None:
    """Infinity, which is -1, is above all others."""
    lower = rlimits.lower(one, other)
    assert lower in (one, other)
    assert rlimits.is_within(lower, one)
    assert rlimits.is_within(lower, other)
    assert rlimits.is_within(one, -1)
    assert not rlimits.is_within(-1, 5)
