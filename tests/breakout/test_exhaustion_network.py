# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking what the kernel keeps of connections and neighbours, which is one for all."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.net.addresses import USUAL
from ansible_collections.cellblock.jails.tests.breakout.support.cells import Cell
from ansible_collections.cellblock.jails.tests.integration.support.calls import module

_FLOW_SECONDS = 20  # nf_conntrack_udp_timeout is 30


@pytest.fixture
def routed(cell: Cell) -> Iterator[Callable[..., None]]:
    """Masquerades the jail, with other options if need be; there is a network beyond the host."""

    def give(**more: Any) -> None:
        interface = {"name": "eth0", "bridge": "br-breakout", "addresses": ["10.83.0.2/24"], "gateway": "10.83.0.1"}
        module("jail_net", name=cell.name, interfaces=[{**interface, "masquerade": True, **more}])

    give()
    subprocess.run(["ip", "link", "add", "beyond", "type", "veth", "peer", "name", "farther"], check=True)
    for device in ("beyond", "farther"):
        subprocess.run(["ip", "link", "set", device, "up"], check=True)
    subprocess.run(["ip", "route", "add", "198.18.0.0/15", "dev", "beyond"], check=True)
    yield give
    subprocess.run(["ip", "link", "del", "beyond"], check=True)
    module("jail_net", name=cell.name, interfaces=[])


@pytest.mark.row(50)
def test_connection_tracking(cell: Cell, routed: Callable[..., None]) -> None:
    """A jail's flows that the host tracks are so many and no more (of which this host, which is a network namespace
    here, has its own count)."""
    count = Path("/proc/sys/net/netfilter/nf_conntrack_count")
    most, others = USUAL["connections_max"], 100
    wanted = most + 2000
    if int(Path("/proc/sys/net/netfilter/nf_conntrack_max").read_text(encoding="ascii")) < wanted:
        pytest.skip("this host tracks fewer flows than a jail may have")
    for limit in (most, 0):
        routed(connections_max=limit)
        before = time.monotonic()
        with cell.taking("flows", wanted, str(0xC6120001 + (limit == 0))) as taken:
            assert taken.end == "all"
            if time.monotonic() - before > _FLOW_SECONDS:
                pytest.skip("this host was so slow that the first flows had been forgotten before the last came")
            tracked = int(count.read_text(encoding="ascii"))
            assert most - others < tracked < most + others if limit else tracked >= wanted


def _on_wide_network(cell: Cell, number: int, **more: Any) -> None:
    interface = {"name": "eth0", "bridge": "br-breakout", "addresses": [f"10.83.0.{number + 2}/16"]}
    module("jail_net", name=cell.name, interfaces=[{**interface, **more}])


@pytest.fixture
def wide(cell: Cell, server: Cell) -> Iterator[None]:
    """Two jails on a network with room for many neighbours."""
    for number, each in enumerate((cell, server)):
        _on_wide_network(each, number)
    yield
    for each in (cell, server):
        module("jail_net", name=each.name, interfaces=[])


def _is_blocked(cell: Cell, server: Cell, first: int) -> bool:
    """Whether another jail gets to no new neighbour while a jail looks for many. Those that do not answer have their
    places for three seconds: on a slow host it takes more than one time."""
    for number in range(5):
        attack = cell.taking("neighbours", 5000, str(first))
        with attack, server.taking("neighbours", 1, str(0x0A53F100 + number)) as taken:
            if taken == (0, "ENOBUFS"):
                return True
    return False


@pytest.mark.row(58)
def test_table_of_neighbours(cell: Cell, server: Cell, wide: None) -> None:
    """When a jail has asked for many neighbours that are not there, another still gets to one it has not yet met; but
    where no number is set it does not."""
    with cell.taking("neighbours", 5000, str(0x0A530100)) as attack:
        assert attack.end == "EPERM"
        assert attack.number >= USUAL["neighbours_max"]
        with server.taking("neighbours", 1, str(0x0A53F001)) as taken:
            assert taken.end == "all"
    _on_wide_network(cell, 0, neighbours_max=0)
    if not _is_blocked(cell, server, 0x0A530100):
        pytest.skip("this host was so slow that places were free again before all were taken: there was no control")


@pytest.mark.row(58)
def test_table_of_neighbours_by_way_of_the_host(cell: Cell, server: Cell, routed: Callable[..., None]) -> None:
    """It is the host that asks for the neighbours of what it forwards, and it asks for so many of a jail's."""
    _on_wide_network(server, 1)
    try:
        with cell.taking("neighbours", 5000, str(0xC6120100)) as attack:
            assert attack.end == "all"  # nobody tells it of what the host has dropped
            with server.taking("neighbours", 1, str(0x0A53F001)) as taken:
                assert taken.end == "all"
        routed(neighbours_max=0)
        if not _is_blocked(cell, server, 0xC6120100):
            pytest.skip("this host was so slow that places were free again before all were taken: there was no control")
    finally:
        module("jail_net", name=server.name, interfaces=[])
