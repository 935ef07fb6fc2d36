# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a jail gets of the CPUs."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.jail import live
from ansible_collections.cellblock.jails.plugins.module_utils.kernel.cgroup.group import read
from ansible_collections.cellblock.jails.tests.integration.support.boxes import make_boxes
from ansible_collections.cellblock.jails.tests.integration.support.calls import inside, module, pid_of, shell
from ansible_collections.cellblock.jails.tests.integration.support.loads import busy, cpu_times

_SECONDS = 2.0
_DUTY = "while :; do i=0; while [ $i -lt {} ]; do i=$((i+1)); done; sleep 0.4; done"


@pytest.fixture
def rivals(names: Callable[[int], list[str]]) -> list[str]:
    """Two jails that have one CPU between them."""
    if not live.group_of("x").lacks("cpuset"):
        two = names(2)
        make_boxes(two)
        module("jail_limits", jails=[{"name": each, "cpuset_cpus": _last_cpu()} for each in two])
        return two
    pytest.skip("this host has no cpuset to make two jails compete with")


def _last_cpu() -> str:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("this host has one CPU, which is all CPUs")
    return str(max(os.sched_getaffinity(0)))


def test_weights_share_a_cpu(rivals: list[str]) -> None:
    """Two busy jails on one CPU have the same of it; with eight times the weight one has far more, and back again."""
    with busy(rivals):
        one, other = cpu_times(rivals, _SECONDS)
        assert 0.4 < one / other < 2.5
        module("jail_limits", name=rivals[0], cpu_weight="800")
        one, other = cpu_times(rivals, _SECONDS)
        assert one / other > 4
        module("jail_limits", name=rivals[0], cpu_weight="100")
        one, other = cpu_times(rivals, _SECONDS)
        assert 0.4 < one / other < 2.5


def test_an_idle_jail_has_what_nobody_wants(rivals: list[str]) -> None:
    """Beside a busy neighbour next to nothing; alone what it likes. Its weight comes back when it is idle no more."""
    with busy(rivals[:1]):
        module("jail_limits", name=rivals[0], cpu_weight="300", cpu_idle=True)
        assert not module("jail_limits", name=rivals[0], cpu_weight="300", cpu_idle=True)["changed"]
        (alone,) = cpu_times(rivals[:1], _SECONDS)
        assert alone > _SECONDS / 5
        with busy(rivals[1:]):
            one, other = cpu_times(rivals, _SECONDS)
            assert other > one * 8
            module("jail_limits", name=rivals[0], cpu_idle=False)
            one, other = cpu_times(rivals, _SECONDS)
            assert one > other
    assert live.group_of(rivals[0]).get("cpu_weight") == 300


def test_a_quota_is_of_the_jail_and_not_of_its_neighbour(rivals: list[str]) -> None:
    """Of two busy jails the one with a quota keeps to it, and the other has the rest."""
    module("jail_limits", name=rivals[0], cpus="10%" if os.cpu_count() == 2 else "0.2")
    with busy(rivals):
        one, other = cpu_times(rivals, _SECONDS)
    assert one < 0.3 * _SECONDS
    assert other > one * 1.5


def test_what_was_saved_up_is_taken_at_once(box: str) -> None:
    """A jail that works a little more than its quota in one period, and then sleeps, is stopped each time; where it may
    save up it is not."""
    loops = _loops_for(box, 0.028)
    with busy([box], _DUTY.format(loops)):
        module("jail_limits", name=box, cpus="0.2", cpu_burst="0")
        held = _throttled(box, 6.0)
        module("jail_limits", name=box, cpu_burst="0.2")
        let = _throttled(box, 6.0)
    assert held >= 4
    assert let < held / 2
    module("jail_limits", name=box, cpus="0.1", cpu_burst="0.1")  # both at once, downward and upward
    assert (live.group_of(box).get("cpu_quota"), live.group_of(box).get("cpu_burst")) == (10_000, 10_000)
    module("jail_limits", name=box, cpus="1", cpu_burst="0.5")
    assert (live.group_of(box).get("cpu_quota"), live.group_of(box).get("cpu_burst")) == (100_000, 50_000)


def _loops_for(name: str, seconds: float) -> int:
    """How often a shell in a jail counts in so much CPU time."""
    loops, group = 500_000, live.group_of(name)
    shell(name, "true")
    before = group.get("cpu_used") or 0
    shell(name, f"i=0; while [ $i -lt {loops} ]; do i=$((i+1)); done")
    return int(loops * seconds / (((group.get("cpu_used") or 0) - before) / 1e6))


def _throttled(name: str, seconds: float) -> int:
    path = os.path.join(live.group_of(name).directory("cpu"), "cpu.stat")
    before = _number(read(path), "nr_throttled")
    cpu_times([name], seconds)
    return _number(read(path), "nr_throttled") - before


def _number(text: str, key: str) -> int:
    return int(dict(line.split() for line in text.splitlines())[key])


def test_a_cpuset_is_where_it_runs(box: str) -> None:
    """What runs already, what enters later, and what a start begins, all of it runs on that CPU and sees no other; and
    on all again when it may."""
    if live.group_of(box).lacks("cpuset"):
        pytest.skip("this host has no cpuset")
    every, last = _seen(box), _last_cpu()
    with busy([box]):
        pid = live.group_of(box).processes()[-1]
        result = module("jail_limits", name=box, cpuset_cpus=last, cpuset_mems="all")
        assert result["jails"][box]["actions"] == [
            {"option": "cpuset_cpus", "before": "all", "after": last, "how": "live"}
        ]
        assert os.sched_getaffinity(pid) == {int(last)}
        assert {_runs_on(pid) for _time in range(50)} == {int(last)}
        assert os.sched_getaffinity(pid_of(box)) == {int(last)}
    assert _seen(box) == last
    assert not module("jail_limits", name=box, cpuset_cpus=last)["changed"]
    module("jail_state", name=[box], state="restarted")
    assert _seen(box) == last
    module("jail_limits", name=box, cpuset_cpus="all")
    assert _seen(box) == every
    assert os.sched_getaffinity(pid_of(box)) == os.sched_getaffinity(0)


def _seen(name: str) -> str:
    return inside(name, "sed", "-n", "s/^Cpus_allowed_list:.//p", "/proc/self/status").strip()


def _runs_on(pid: int) -> int:
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return int(file.read().rsplit(")", 1)[1].split()[36])
