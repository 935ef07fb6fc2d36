# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options change in any order, come back to what they were, and are left out: what holds is what was said last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.cellblock.jails.plugins.module_utils.jail import limits, live, store
from ansible_collections.cellblock.jails.plugins.module_utils.jail.converge import converge
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import disks

_SEQUENCES = 12
"""Each on the jail as the one before has left it."""


def _values() -> dict[str, st.SearchStrategy[Any]]:
    """What each option can be on this host."""
    found: dict[str, st.SearchStrategy[Any]] = {
        "memory_max": st.sampled_from(["64M", "512M", "50%", "100000000"]),
        "swap_max": st.sampled_from(["0", "64M", "unlimited"]),
        "pids_max": st.sampled_from(["50", "4096", "unlimited"]),
        "cpus": st.sampled_from(["0.5", "2", "33%", "unlimited"]),
        "cpu_burst": st.sampled_from(["0", "0.1", "0.5"]),
        "cpu_weight": st.sampled_from(["1", "100", "777", "10000"]),
        "cpu_idle": st.booleans(),
        "rlimits": st.sampled_from([{}, {"fsize": "1G:unlimited"}, {"fsize": "2G:unlimited", "cpu": "9999:unlimited"}]),
        "nice": st.sampled_from([-3, 0, 5]),
        "scheduling": st.sampled_from(["other", "batch", "idle"]),
        "kernel_objects": st.sampled_from([{}, {"inotify_watches": 9}, {"inotify_watches": 8, "sem": "9 8 7 6"}]),
    }
    group = live.group_of("x")
    if not group.lacks("cpuset"):
        found["cpuset_cpus"] = st.sampled_from(["0", "all"])
        found["cpuset_mems"] = st.sampled_from(["0", "all"])
    whole = disks.below("/")
    if whole and not group.lacks(group.rates_controller):
        found["io_max"] = st.sampled_from(["50M", "60M", "unlimited"])
        found["io_operations_max"] = st.sampled_from(["5000", "unlimited"])
        some = {"rbps": "90M", "wbps": "80M", "riops": "7000", "wiops": "6000"}
        entry = st.fixed_dictionaries({"device": st.sampled_from([whole[0], "/"])}, optional=dict(_just(some)))
        found["io_devices"] = st.one_of(st.just([]), entry.map(lambda each: [each]))
    if group.version == 2:
        found["memory_high"] = st.sampled_from(["64M", "512M", "unlimited"])
        found["memory_min"] = st.sampled_from(["0", "8M", "16M"])
        found["memory_low"] = st.sampled_from(["0", "8M", "16M"])
        found["oom_group"] = st.booleans()
    return found


def _just(words: Mapping[str, str]) -> dict[str, st.SearchStrategy[str]]:
    return {key: st.just(word) for key, word in words.items()}


def test_whatever_was_said_last_holds(shared_box: str) -> None:
    """After each of any sequence of calls the kernel has what is recorded, for the options of this call and of earlier
    ones; the same call changes nothing, and so does one that leaves everything out."""
    desired: dict[str, Any] = {}

    @settings(
        max_examples=_SEQUENCES, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True
    )
    @given(st.lists(st.fixed_dictionaries({}, optional=_values()), min_size=1, max_size=6))
    def holds(calls: list[dict[str, Any]]) -> None:
        for call in calls:
            _said(shared_box, call, desired)

    holds()


def _said(name: str, call: dict[str, Any], desired: dict[str, Any]) -> None:
    """Make one call, and look."""
    outcome = converge(limits.FACET, [{"name": name, **call}], check=False)[name]
    if outcome.error is not None:
        # The one thing that these values can be wrong about; then nothing may have changed.
        assert "cpu_burst" in outcome.error
    else:
        desired.update(limits.FACET.parse(call, {}))
        assert not converge(limits.FACET, [{"name": name, **call}], check=False)[name].actions
    assert store.read(name, "limits") == desired
    running = live.expect(name)
    for option in limits.OPTIONS:
        if option.read is not None:
            assert option.read(running) == desired.get(option.name, option.default), (option.name, call, desired)
    assert not converge(limits.FACET, [{"name": name}], check=False)[name].actions
