# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words in which limits are written."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.jail import ceiling, counts, limits
from ansible_collections.cellblock.jails.plugins.module_utils.jail.limiting import processors
from ansible_collections.cellblock.jails.plugins.module_utils.kernel.cgroup.figures import PERIOD
from ansible_collections.cellblock.jails.plugins.module_utils.kernel.cgroup.tree import Tree


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
    assert processors.parse(text) == quota


@pytest.mark.parametrize(
    "text", ["0", "-1", "0.001", "half", "", "nan", "inf", "-inf", "1e400", "1e300", "50%%", "0%", "%"]
)
def test_what_is_no_number_of_cpus(text: str) -> None:
    """Everything else, and what the kernel would not take, is refused."""
    with pytest.raises(ValueError, match=r"(is not a number of CPUs|out of range)"):
        processors.parse(text)


@given(st.one_of(st.none(), st.integers(1000, 512 * PERIOD)))
def test_shown_cpus_are_the_cpus(quota: int | None) -> None:
    """What is shown can be written back and is the same, to the microsecond."""
    assert processors.parse(processors.show(quota)) == quota


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "", "4194305", "1_000", "²", "1e3"])
def test_what_is_no_number_of_tasks(text: str) -> None:
    """Only a number that the kernel can count to, or ``unlimited``."""
    with pytest.raises(ValueError, match=r"is not a number of tasks"):
        counts.parse(text)


@given(st.one_of(st.none(), st.integers(1, 4_194_304)))
def test_a_shown_count_is_the_count(count: int | None) -> None:
    """Likewise."""
    assert counts.parse(counts.show(count)) == count


@pytest.mark.parametrize(
    ("total", "jails"),
    [(512, 384), (1024, 768), (2048, 1792), (4096, 3840), (8192, 7782), (65536, 62259)],
)
def test_the_host_keeps_memory(total: int, jails: int) -> None:
    """A twentieth, 256 MiB at least, a quarter at most (all in MiB)."""
    assert ceiling.memory_of(total << 20) >> 20 == jails


@pytest.mark.parametrize(("total", "jails"), [(2000, 1500), (32768, 29492), (4194304, 3774874)])
def test_the_host_keeps_tasks(total: int, jails: int) -> None:
    """A tenth, 1024 at least, a quarter at most."""
    assert ceiling.tasks_of(total) == jails


@given(st.integers(1 << 20, 1 << 50))
def test_the_host_keeps_no_less_than_a_twentieth(total: int) -> None:
    """Whatever it has; and the jails get most of it."""
    assert total * 3 // 4 - (1 << 20) <= ceiling.memory_of(total) <= total * 19 // 20 + 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"memory_max": "much"}', "memory_max: .*'much' is not a size"),
        ('{"pids_max": 0}', "pids_max: .*0 is not a number of tasks"),
        ('{"cpus": 1}', "some of: memory_max, pids_max"),
        ("[]", "some of: memory_max, pids_max"),
        ("{", "is damaged"),
    ],
)
def test_a_ceiling_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, said: str) -> None:
    """The administrator's file is read strictly."""
    monkeypatch.setattr(layout, "CEILING", str(tmp_path / "ceiling.json"))
    (tmp_path / "ceiling.json").write_text(content, encoding="ascii")
    with pytest.raises(JailError, match=said):
        ceiling.hold()


def test_a_default_that_this_host_cannot_hold_names_the_way_without(tmp_path: Path) -> None:
    """A start on a kernel without the memory controller: which option, what to enable, and how to do without."""
    group = Tree(1, {"pids": str(tmp_path)}).group("jails", "x")
    with pytest.raises(
        JailError,
        match=r"^memory_max: .*'memory'.*cgroup_enable=.*memory_max: unlimited, or with accept_missing: .memory_max.$",
    ):
        limits.apply_to_new(group, {})
