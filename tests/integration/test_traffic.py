# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jails with limits on their traffic, and what is told of it, by way of the modules."""

from __future__ import annotations

import os
import time
from typing import Any

from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    actions,
    module,
    options_changed,
    pid_of,
    refused,
)
from ansible_collections.cellblock.jails.tests.integration.support.throughput import (
    bits_per_second,
    datagrams,
    flowing,
)
from ansible_collections.cellblock.jails.tests.integration.support.wiring import connect

_ETH0: dict[str, Any] = {"name": "eth0", "bridge": "br-rates", "addresses": ["10.88.0.2/24"], "gateway": "10.88.0.1"}
_LIMITED = {**_ETH0, "rate_in": "10 mbit", "rate_out": "0.02Gbit", "packets_max": 10000}


def _traffic(name: str) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = module("jail_info", name=[name], gather=["traffic"])["jails"][name]["traffic"]
    return found


def test_rates_hold_in_a_jail_from_its_start_on_and_change_while_it_runs(box: str) -> None:
    """Each way by a TCP connection; without limits it is many times as fast. One that is open goes on."""
    module("jail_state", name=[box], state="stopped")
    module("jail_net", name=box, interfaces=[_LIMITED])
    module("jail_state", name=[box], state="started")
    assert not module("jail_net", name=box, interfaces=[_LIMITED])["changed"]
    (shown,) = module("jail_info", name=[box], gather=["net"])["jails"][box]["net"]["interfaces"]
    assert [shown[key] for key in ("rate_in", "rate_out", "packets_max")] == ["10Mbit", "20Mbit", 10000]
    pid = pid_of(box)
    for connection, limit in ((connect("10.88.0.2", pid, 0), 10e6), (connect("10.88.0.1", 0, pid), 20e6)):
        module("jail_net", name=box, interfaces=[_LIMITED])
        with flowing(*connection) as arrived:
            time.sleep(0.5)
            assert 0.3 * limit < bits_per_second(arrived, 1.5) < 1.3 * limit
            result = module("jail_net", name=box, interfaces=[_ETH0])
            assert options_changed(result, box) == [("interfaces", "live")]
            assert bits_per_second(arrived, 1.5) > 4 * limit
    assert pid_of(box) == pid


def test_what_is_no_rate_is_refused_by_name(box: str) -> None:
    for key, value in (("rate_in", "10Mbps"), ("rate_out", "7bit"), ("packets_max", -1)):
        message = refused("jail_net", name=box, interfaces=[{**_ETH0, key: value}])
        assert f"interface eth0: {key}" in message
    assert not actions(module("jail_net", name=box, interfaces=[], check=True), box)


def test_what_passes_is_counted_from_the_jails_side(box: str) -> None:
    module("jail_net", name=box, interfaces=[_ETH0])
    before = _traffic(box)
    assert set(before) == {"eth0", "lo"}
    assert datagrams(0, "10.88.0.2", pid_of(box), 500, 5000) > 400
    after = _traffic(box)["eth0"]
    assert 500 <= after["received_packets"] - before["eth0"]["received_packets"] < 600
    assert after["received_bytes"] - before["eth0"]["received_bytes"] >= 500 * 29  # a byte, and headers of UDP and IP
    assert after["sent_packets"] - before["eth0"]["sent_packets"] < 100
    assert datagrams(pid_of(box), "127.0.0.1", pid_of(box), 100, 5000) > 80
    now = _traffic(box)
    assert now["lo"]["sent_packets"] - before["lo"]["sent_packets"] >= 100
    assert now["lo"]["sent_packets"] == now["lo"]["received_packets"]
    with open(f"/proc/{os.getpid()}/net/dev", encoding="utf-8") as file:
        assert "eth0" not in file.read()  # it is not the host's
    module("jail_state", name=[box], state="stopped")
    assert module("jail_info", name=[box])["jails"][box]["traffic"] is None
