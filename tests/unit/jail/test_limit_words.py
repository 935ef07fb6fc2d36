# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of guarantees, shares, lists of processors and single disks, and what cannot be beside each other."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cellblock.jails.plugins.module_utils import sizes
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.jail import ceiling, counts, limits
from ansible_collections.cellblock.jails.plugins.module_utils.jail.limiting import guarantees, latencies, processors
from ansible_collections.cellblock.jails.plugins.module_utils.jail.plan import LIVE, Request, Situation

_PAGE = os.sysconf("SC_PAGE_SIZE")


def _parsed(**given_words: Any) -> Mapping[str, Any]:
    return limits.FACET.parse(given_words, {})


@given(st.one_of(st.none(), st.integers(1, 1 << 30).map(lambda pages: pages * _PAGE)))
def test_shown_memory_is_the_memory(size: int | None) -> None:
    """Also where it is shown as a percentage."""
    assert sizes.parse_memory(sizes.show_memory(size)) == size


@given(st.integers(1, 100))
def test_a_percentage_of_memory_comes_back(share: int) -> None:
    """As a size of the host's, which is a percentage again where it is not a round size."""
    size = sizes.parse_memory(f"{share}%")
    assert size is not None
    assert abs(size - sizes.memory() * share / 100) <= _PAGE
    assert sizes.parse_memory(sizes.show_memory(size)) == size


@pytest.mark.parametrize("text", ["0%", "101%", "1000%", "-1%", "%", "5 0%", "0"])
def test_what_is_no_part_of_the_memory(text: str) -> None:
    """Refused."""
    with pytest.raises(ValueError, match=r"is not a size|no part of the host's memory|less than one page"):
        sizes.parse_memory(text)


def test_nothing_is_a_size_where_it_makes_sense() -> None:
    """Of guarantees, of swap and of huge pages; not of what a jail needs to run."""
    assert sizes.parse_memory_or_nothing("0") == sizes.parse_or_nothing("0M") == 0
    assert sizes.show(0) == sizes.show_memory(0) == "0"
    assert sizes.parse_memory_or_nothing("unlimited") is None


@given(st.one_of(st.none(), st.integers(1, 60_000_000)))
def test_a_shown_latency_is_the_latency(value: int | None) -> None:
    """By the largest unit that is exact."""
    assert latencies.parse(latencies.show(value)) == value


@pytest.mark.parametrize("text", ["", "5", "0ms", "-1ms", "61s", "1h", "ms", "1e3us", "0.1us"])
def test_what_is_no_latency(text: str) -> None:
    """Refused with the unit that is missing."""
    with pytest.raises(ValueError, match="is not a latency"):
        latencies.parse(text)


@pytest.mark.parametrize("text", ["0", "10001", "-1", "1.5", "", "unlimited", "idle", "²"])
def test_what_is_no_weight(text: str) -> None:
    """A weight is a number; nobody has an unlimited one."""
    with pytest.raises(ValueError, match="is not a weight; write 1 to 10000"):
        counts.parse_weight(10_000)(text)


@pytest.mark.parametrize("text", ["", "a", "1-0", "-1", "0-", "0,,1", "0;1", "all,0", "²", "0-99999999"])
def test_what_is_no_list_of_cpus(text: str) -> None:
    """Refused, and so is what this host does not have."""
    with pytest.raises(ValueError, match=r"is not a list of CPUs|this host has the CPUs"):
        processors.parse_list("cpus")(text)


def test_all_cpus_are_all() -> None:
    """However they are written; one of many is a list."""
    parse = processors.parse_list("cpus")
    with open("/sys/devices/system/cpu/online", encoding="ascii") as file:
        online = file.read().strip()
    assert parse("all") is None
    assert parse(online) is None
    if online != "0":
        assert parse("0") == parse("0,0") == parse("0-0") == "0"
        assert processors.show_list(parse("0")) == "0"


@given(st.sets(st.integers(0, 200), min_size=1))
def test_a_list_is_written_as_the_kernel_writes_it(numbers: set[int]) -> None:
    """Neighbours as a range."""
    text = processors._listed(numbers)
    assert processors._numbers(text) == numbers
    assert all(int(one) + 1 < int(other) for one, other in _gaps(text))


def _gaps(text: str) -> list[tuple[str, str]]:
    parts = [part.split("-") for part in text.split(",")]
    return [(one[-1], other[0]) for one, other in zip(parts, parts[1:])]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"cgroup.procs": "1"}, "is not a file of a controller"),
        ({"a/b.c": "1"}, "is not a file of a controller"),
        ({"memory.zswap.max\n": "1"}, "is not a file of a controller"),
        ({5: "1"}, "is not a file of a controller"),
        ({"memory.max": "1"}, "option of its own: memory_max"),
        ({"io.bfq.weight": "1"}, "option of its own: io_weight"),
        ({"cpuset.cpus": "0"}, "option of its own: cpuset_cpus"),
        ({"hugetlb.2MB.max": "0"}, "option of its own: hugepages"),
        ({"hugetlb.2MB.rsvd.max": "0"}, "option of its own: hugepages"),
        ({"memory.zswap.max": ""}, "is nothing that could be written"),
        ({"memory.zswap.max": True}, "is nothing that could be written"),
        ({"memory.zswap.max": "1\0"}, "is nothing that could be written"),
    ],
)
def test_files_that_are_refused(files: dict[Any, Any], said: str) -> None:
    """Those of processes, those that are none, those that an option has, and what is no text."""
    with pytest.raises(JailError, match=f"unified: .*{said}"):
        _parsed(unified=files)


def test_texts_of_files() -> None:
    """Numbers are texts; of lines the space between words is one."""
    assert _parsed(unified={"rdma.max": "mlx4_0  hca_handle=2\n ocrdma1 hca_handle=max\n", "misc.max": 5}) == {
        "unified": {"rdma.max": "mlx4_0 hca_handle=2\nocrdma1 hca_handle=max", "misc.max": "5"}
    }


def test_guarantees_beyond_what_there_is() -> None:
    """The sum counts of each jail the larger guarantee, but no more than it may have; the sentence has the figures."""
    there = ceiling.default_memory()
    half = sizes.whole_pages(there // 2)
    assert guarantees.excess({"a": {"memory_min": half}, "b": {"memory_low": half}, "c": {}}) == {}
    assert guarantees.excess({"a": {"memory_min": half, "memory_low": half}, "b": {"memory_low": half}}) == {}
    wrong = guarantees.excess({"a": {"memory_min": half}, "b": {"memory_low": half}, "c": {"memory_min": 1 << 20}})
    assert set(wrong) == {"a", "b", "c"}
    assert (
        f"{sizes.show(half * 2 + (1 << 20))} = {sizes.show(half)} (a) + {sizes.show(half)} (b) + 1M (c)" in wrong["a"]
    )
    small = {"memory_min": there * 2, "memory_max": 1 << 20}
    assert guarantees.excess({"a": {"memory_min": half}, "b": {"memory_low": half}, "c": small}) != {}
    assert guarantees.excess({"a": {"memory_min": half}, "c": small}) == {}


@pytest.mark.parametrize(
    ("before", "after", "order"),
    [
        ({"cpus": 100_000, "cpu_burst": 50_000}, {"cpus": 20_000, "cpu_burst": 10_000}, ["cpu_burst", "cpus"]),
        ({"cpus": 20_000, "cpu_burst": 10_000}, {"cpus": 100_000, "cpu_burst": 50_000}, ["cpus", "cpu_burst"]),
        ({"cpus": 20_000, "cpu_burst": 10_000}, {"cpus": 100_000, "cpu_burst": 0}, ["cpu_burst", "cpus"]),
    ],
)
def test_the_order_of_quota_and_burst(before: Mapping[str, int], after: Mapping[str, int], order: list[str]) -> None:
    """Never more to save up than the quota on the way."""
    situation = Situation(exists=True, running=True, recorded=before, live=before)
    found = limits.FACET.plan(limits.OPTIONS, Request("x", after), situation)
    assert [(action.option, action.how) for action in found.actions] == [(option, LIVE) for option in order]
