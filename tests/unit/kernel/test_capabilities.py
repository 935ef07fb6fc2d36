# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capabilities: names, masks, and what a process has after it has given the rest up."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cellblock.jails.plugins.module_utils.jail import policy
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import capabilities, process


@given(st.sets(st.sampled_from(capabilities.NAMES)))
def test_a_mask_holds_exactly_its_names(names: set[str]) -> None:
    """There and back."""
    mask = capabilities.to_mask(names)
    assert set(capabilities.to_names(mask)) == names
    assert mask.bit_count() == len(names) if hasattr(mask, "bit_count") else bin(mask).count("1") == len(names)


@pytest.mark.parametrize(
    ("name", "number"), [("CHOWN", 0), ("NET_ADMIN", 12), ("SYS_ADMIN", 21), ("MKNOD", 27), ("CHECKPOINT_RESTORE", 40)]
)
def test_numbers_are_the_kernels(name: str, number: int) -> None:
    """Of linux/capability.h."""
    assert capabilities.to_mask([name]) == 1 << number


def test_names_twice_and_names_that_are_none() -> None:
    """Twice is once; what does not exist is named; a bit newer than the table shows by its number."""
    assert capabilities.to_mask(["KILL", "KILL"]) == 1 << 5
    with pytest.raises(KeyError, match="FLY"):
        capabilities.to_mask(["FLY"])
    assert capabilities.to_names(1 << 50 | 1) == ["CHOWN", "CAP_50"]


def test_the_policy_keeps_no_capability_that_rules_the_host() -> None:
    """None of those with which root is root outside its namespaces."""
    never = {
        "SYS_ADMIN",
        "SYS_MODULE",
        "SYS_RAWIO",
        "SYS_PTRACE",
        "SYS_BOOT",
        "SYS_TIME",
        "MKNOD",
        "NET_ADMIN",
        "NET_RAW",
        "DAC_READ_SEARCH",
        "LINUX_IMMUTABLE",
        "SYSLOG",
        "BPF",
        "PERFMON",
        "SYS_RESOURCE",
    }
    assert not never & set(policy.CAPABILITIES)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has capabilities to give up")
def test_what_is_given_up_is_gone() -> None:
    """After limiting and setting, each set of the process is what was kept, also after an exec as root."""
    keep = capabilities.to_mask(["CHOWN", "SETPCAP"])
    reading, writing = os.pipe()

    def child() -> None:
        capabilities.limit_bounding_set(keep, capabilities.last_capability())
        capabilities.set_all(keep)
        os.dup2(writing, 1)
        os.execv("/bin/grep", ["grep", "^Cap", "/proc/self/status"])

    pid = process.fork(child)
    os.close(writing)
    with os.fdopen(reading) as file:
        found = dict(line.split(":\t") for line in file.read().splitlines())
    assert process.wait(pid) == 0
    assert {key: int(value, 16) for key, value in found.items()} == {
        "CapInh": 0, "CapPrm": keep, "CapEff": keep, "CapBnd": keep, "CapAmb": 0
    }  # fmt: skip
