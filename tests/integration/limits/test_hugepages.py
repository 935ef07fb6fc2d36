# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a jail gets of huge pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.jail import live
from ansible_collections.cellblock.jails.plugins.module_utils.kernel.cgroup import hugepages
from ansible_collections.cellblock.jails.tests.integration.support.calls import actions, inside, module

_SIZE = 2 << 20
_FREE = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages")


def test_no_more_of_them_than_the_limit(name: str, probe: str) -> None:
    """Mapping more is refused with an error; as much as the limit is not, and without the limit more is not either."""
    lacks = live.group_of(name).lacks("hugetlb")
    if lacks:
        pytest.skip(lacks)
    if not _FREE.exists() or int(_FREE.read_text(encoding="ascii")) < 4:
        pytest.skip("this host keeps no four huge pages of 2 MiB (sysctl vm.nr_hugepages)")
    module("jail_rootfs", name=name, method="skeleton", binaries=["busybox", probe])
    module("jail_state", name=[name], command=["sleep", "100000"], state="started")
    assert inside(name, probe, "hugepages", str(3 * _SIZE)) == "ok\n"
    result = module("jail_limits", name=name, hugepages={"2M": "5M"})
    assert actions(result, name) == [("hugepages", {}, {"2M": "4M"}, "live")]  # whole pages
    assert not module("jail_limits", name=name, hugepages={"2M": "4M"})["changed"]
    assert inside(name, probe, "hugepages", str(3 * _SIZE)) == "ENOMEM\n"
    assert inside(name, probe, "hugepages", str(2 * _SIZE)) == "ok\n"
    module("jail_limits", name=name, hugepages={"2M": "0"})
    assert inside(name, probe, "hugepages", str(_SIZE)) == "ENOMEM\n"
    module("jail_limits", name=name, hugepages={})
    assert hugepages.limits(live.group_of(name)) == {}
    assert inside(name, probe, "hugepages", str(3 * _SIZE)) == "ok\n"
