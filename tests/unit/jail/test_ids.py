# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ranges of ids: each jail one of its own, that nobody else has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.jail import ids


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Records and subordinate ids of a host of its own."""
    monkeypatch.setattr(layout, "IDS", str(tmp_path / "ids.json"))
    monkeypatch.setattr(layout, "LOCKS", str(tmp_path / "locks"))
    monkeypatch.setattr(ids, "_SUBORDINATE", (str(tmp_path / "subuid"), str(tmp_path / "subgid")))
    return tmp_path


def _range(slot: int) -> range:
    return range(ids.first_id(slot), ids.first_id(slot) + ids.COUNT)


def test_a_jail_keeps_its_slot() -> None:
    """Allocated once, found again, and another jail gets another."""
    first = ids.allocate("a")
    assert ids.allocate("b") != first
    assert ids.allocate("a") == ids.find("a") == first
    assert ids.find("c") is None


def test_a_freed_slot_is_used_again() -> None:
    """What a removed jail had is the first that is given to the next."""
    slots = [ids.allocate(name) for name in "abc"]
    ids.free("b")
    assert ids.find("b") is None
    assert ids.allocate("d") == slots[1]
    ids.free("nobody")


class Jails(RuleBasedStateMachine):
    """Jails that come and go."""

    def __init__(self) -> None:
        super().__init__()
        self.slots: dict[str, int] = {}
        if os.path.exists(layout.IDS):
            os.unlink(layout.IDS)

    @rule(name=st.sampled_from("abcdefgh"))
    def come(self, name: str) -> None:
        """A jail gets its slot, or has it."""
        slot = ids.allocate(name)
        assert self.slots.setdefault(name, slot) == slot

    @rule(name=st.sampled_from("abcdefgh"))
    def go(self, name: str) -> None:
        """It gives it back."""
        ids.free(name)
        self.slots.pop(name, None)

    @invariant()
    def distinct(self) -> None:
        """No two have the same, and all that are recorded are known."""
        assert len(set(self.slots.values())) == len(self.slots)
        assert {name: ids.find(name) for name in "abcdefgh" if ids.find(name) is not None} == self.slots


def test_slots_are_distinct_whoever_comes_and_goes() -> None:
    """See :class:`Jails`."""
    run_state_machine_as_test(Jails, settings=settings(max_examples=20, stateful_step_count=20))


_FOREIGN = st.lists(
    st.tuples(st.integers(ids.FIRST - 2 * ids.COUNT, ids.FIRST + 6 * ids.COUNT), st.integers(1, 3 * ids.COUNT)),
    max_size=4,
)


@given(_FOREIGN, _FOREIGN)
@settings(max_examples=60)
def test_subordinate_ids_of_others_are_never_taken(users: list[tuple[int, int]], groups: list[tuple[int, int]]) -> None:
    """No range overlaps any that subuid(5) or subgid(5) give away, by however little."""
    for path, ranges in zip(ids._SUBORDINATE, (users, groups)):
        Path(path).write_text("".join(f"user{first}:{first}:{count}\n" for first, count in ranges), encoding="ascii")
    if os.path.exists(layout.IDS):
        os.unlink(layout.IDS)
    for name in "abc":
        taken = _range(ids.allocate(name))
        for first, count in (*users, *groups):
            assert not (first < taken.stop and taken.start < first + count)


def test_odd_lines_of_subuid_do_no_harm(place: Path) -> None:
    """Comments, blank lines, missing fields and other encodings are passed over; the good line between counts."""
    odd = f"# x\n\nroot\na:b:c\na:1:2:3\n\xff:1:-1\nuser:{ids.FIRST}:{ids.COUNT}\n"
    (place / "subuid").write_bytes(odd.encode("latin-1"))
    assert ids.first_id(ids.allocate("a")) == ids.FIRST + ids.COUNT


def test_all_ranges_taken_is_said(place: Path) -> None:
    """With no range left there is an error, and not an overlap."""
    (place / "subgid").write_text(f"greedy:0:{1 << 32}\n", encoding="ascii")
    with pytest.raises(JailError, match="no range of 65536 user ids is free"):
        ids.allocate("a")


def test_the_last_range_ends_where_containers_ids_do() -> None:
    """No slot goes beyond what is meant for containers, nor into 16 bits or the negative of 32."""
    slots = (ids.LAST + 1 - ids.FIRST) // ids.COUNT
    assert _range(slots - 1).stop - 1 == ids.LAST < 1 << 31
    assert ids.FIRST >= 1 << 28
