# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of generations: whose they are, in which order, and that none is given twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import generations, recipes, records

KEY = recipes.key(recipes.parse({"method": "debootstrap", "suite": "jessie-8.1"}))
OTHER = recipes.key(recipes.parse({"method": "skeleton"}))


@pytest.fixture(autouse=True)
def no_jails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host without jails."""
    monkeypatch.setattr(layout, "STORAGE", str(tmp_path))


def test_names_follow_each_other() -> None:
    """The key, then the key with 2, 3 and so on."""
    known: list[str] = [OTHER]
    for expected in (KEY, f"{KEY}.2", f"{KEY}.3"):
        assert generations.following(KEY, known) == expected
        known.append(expected)
    assert generations.of(KEY, known) == [KEY, f"{KEY}.2", f"{KEY}.3"]
    assert generations.of(OTHER, known) == [OTHER]


@given(st.sets(st.integers(1, 200)))
def test_order_is_that_of_numbers(numbers: set[int]) -> None:
    """10 comes after 9, whatever is missing between."""
    names = [KEY if number == 1 else f"{KEY}.{number}" for number in sorted(numbers, key=str)]
    assert [generations.number(name) for name in generations.of(KEY, names)] == sorted(numbers)
    assert all(generations.key_of(name) == KEY for name in names)


@pytest.mark.parametrize("name", ["lost+found", f"{KEY}.0", f"{KEY}.02", f"{KEY}.x", f"{KEY}.", f"x{KEY}"])
def test_other_names_are_no_generations(name: str) -> None:
    """What is not named like one belongs to nobody."""
    assert generations.of(KEY, [name]) == []


def test_a_name_is_not_given_again_while_a_jail_came_from_it(tmp_path: Path) -> None:
    """A full copy lives on without its template, and still says truly which one that was."""
    (tmp_path / "copy").mkdir()
    records.write(str(tmp_path / "copy"), records.Record("directory", f"{KEY}.4"))
    assert generations.following(KEY, []) == f"{KEY}.5"
    assert generations.following(OTHER, []) == OTHER
    assert records.users(f"{KEY}.4") == ["copy"]
    assert records.dependents(f"{KEY}.4") == []
