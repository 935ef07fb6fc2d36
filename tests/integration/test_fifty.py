# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fifty jails from one template, in four module runs."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable
from typing import Any

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import space, storage
from ansible_collections.cellblock.jails.tests.integration.support.calls import inside, module

_COUNT = 50
_MIB = 1 << 20


def test_fifty_jails(names: Callable[[int], list[str]]) -> None:
    """Four runs make fifty jails, which all run with addresses of their own, serve pages, and take less than a MiB of
    disk each; four more runs change nothing, one removes all."""
    jails = names(_COUNT)
    address = {each: f"10.90.0.{10 + number}" for number, each in enumerate(jails)}
    page = "mkdir -p /srv/www; hostname > /srv/www/index.html; exec httpd -f -p 80 -h /srv/www"
    runs: list[tuple[str, dict[str, Any]]] = [
        ("jail_rootfs", {"jails": [{"name": each, "method": "skeleton", "binaries": ["busybox"]} for each in jails]}),
        (
            "jail_limits",
            {"jails": [{"name": each, "memory_max": "32M", "cpus": "0.5", "pids_max": "20"} for each in jails]},
        ),
        (
            "jail_net",
            {
                "jails": [
                    {
                        "name": each,
                        "interfaces": [
                            {
                                "name": "eth0",
                                "bridge": "br-fifty",
                                "addresses": [f"{address[each]}/24"],
                                "gateway": "10.90.0.1",
                            }
                        ],
                    }
                    for each in jails
                ]
            },
        ),
        ("jail_state", {"name": jails, "command": ["sh", "-c", page], "state": "started"}),
    ]
    module("jail_rootfs", name=jails[0], method="skeleton", binaries=["busybox"])
    before = space.bytes_below(layout.LIB)
    for which, options in runs:
        began = time.monotonic()
        result = module(which, **options)
        print(f"{which}: {time.monotonic() - began:.2f} s for {_COUNT} jails")
        assert all(
            jail["changed"] for name, jail in result["jails"].items() if (which, name) != ("jail_rootfs", jails[0])
        )
    each_takes = (space.bytes_below(layout.LIB) - before) / (_COUNT - 1)
    print(f"{each_takes / 1024:.0f} KiB of disk for each further jail, its page included")
    assert each_takes < _MIB
    for each in (jails[0], jails[24], jails[49]):
        assert _fetch(f"http://{address[each]}/") == f"{each}\n"
    found = module("jail_info")["jails"]
    assert len({found[each]["pid"] for each in jails}) == _COUNT
    assert len({found[each]["first_id"] for each in jails}) == _COUNT
    stored = [storage.describe(each) for each in jails]
    assert len({each.template for each in stored if each}) == 1
    for which, options in runs:
        began = time.monotonic()
        assert not module(which, **options)["changed"]
        print(f"{which} again: {time.monotonic() - began:.2f} s")
    assert inside(jails[7], "hostname") == f"{jails[7]}\n"
    began = time.monotonic()
    module("jail_state", name=jails, state="absent")
    print(f"absent: {time.monotonic() - began:.2f} s")


def _fetch(url: str) -> str:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _try in range(100):
        try:
            with direct.open(url, timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"{url} does not answer")
