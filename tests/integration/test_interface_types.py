# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a jail's network has of the host, by the modules: it is back when the jail has stopped, however it did."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import files, layout
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    inside,
    module,
    options_changed,
    refused,
)


def _ip(*words: str) -> str:
    return subprocess.check_output(["ip", *words], text=True)


@pytest.fixture
def card() -> Iterator[str]:
    """A device of the host, up, with a cable to another one."""
    _ip("link", "add", "jtcard", "mtu", "1480", "type", "veth", "peer", "name", "jtwire")
    _ip("link", "set", "jtcard", "up")
    _ip("link", "set", "jtwire", "up")
    yield "jtcard"
    subprocess.run(["ip", "link", "del", "jtwire"], check=False)


def _phys(parent: str) -> dict[str, Any]:
    return {"name": "eth0", "type": "phys", "parent": parent, "addresses": ["10.83.0.11/24"]}


def _routed(parent: str) -> dict[str, Any]:
    return {
        "name": "eth0",
        "type": "routed",
        "parent": parent,
        "addresses": ["10.83.0.11/32", "fd83::11/128"],
        "routes": [{"to": "10.84.0.0/16", "via": "169.254.1.1", "metric": 7}],
    }


def _is_back(card: str) -> bool:
    shown = _ip("link", "show", card)
    return "mtu 1480" in shown and "state UP" in shown and not (files.read_json(layout.BORROWED) or {}).get("devices")


def test_a_lent_device_is_back_after_each_kind_of_end(box: str, card: str) -> None:
    wanted = [_phys(card)]
    result = module("jail_net", name=box, interfaces=wanted)
    assert "passes none of the host's rules" in result["jails"][box]["degraded"][0]
    assert "10.83.0.11/24" in inside(box, "ip", "addr")
    assert card not in _ip("-o", "link")
    assert not module("jail_net", name=box, interfaces=wanted)["changed"]
    module("jail_net", name=box, interfaces=[])
    assert _is_back(card)
    module("jail_net", name=box, interfaces=wanted)
    module("jail_state", name=[box], state="stopped")
    assert _is_back(card)
    module("jail_state", name=[box], state="started")
    assert "10.83.0.11/24" in inside(box, "ip", "addr")
    module("jail_state", name=[box], state="restarted")
    assert card not in _ip("-o", "link")
    module("jail_state", name=[box], state="absent")
    assert _is_back(card)


def test_a_start_that_fails_gives_it_back(box: str, card: str) -> None:
    module("jail_state", name=[box], state="stopped")
    taken = {"name": "eth1", "type": "macvlan", "parent": card, "addresses": ["10.85.0.11/24"], "mtu": 1400}
    other = {"name": "eth1", "bridge": "jtwire2", "addresses": ["10.85.0.11/24"]}
    refused("jail_net", name=box, interfaces=[_phys(card), taken])
    module("jail_net", name=box, interfaces=[_phys(card), other])
    _ip("link", "add", "jtwire2", "type", "veth", "peer", "name", "jtwire3")
    try:
        assert "jtwire2 is no bridge" in refused("jail_state", name=[box], state="started")
        assert _is_back(card)
        module("jail_net", name=box, interfaces=[_phys(card)])
        module("jail_state", name=[box], command=["/nowhere"])
        refused("jail_state", name=[box], state="started")
        assert _is_back(card)
    finally:
        _ip("link", "del", "jtwire2")


def test_a_parent_that_is_not_there_is_refused_in_check_mode_too(box: str) -> None:
    for interface in (_phys("jtnone"), _routed("jtnone"), {**_phys("jtnone"), "type": "macvlan"}):
        for check in (True, False):
            said = refused("jail_net", name=box, check=check, interfaces=[interface])
            assert "interface eth0: the host has no device jtnone, which is its parent" in said


def test_the_host_answers_for_a_routed_jail_only_while_it_runs(box: str, card: str) -> None:
    module("jail_net", name=box, interfaces=[_routed(card)])
    assert "default via 169.254.1.1" in inside(box, "ip", "route")
    assert "10.84.0.0/16 via 169.254.1.1 dev eth0  metric 7" in inside(box, "ip", "route")
    assert "10.83.0.11" in _ip("neigh", "show", "proxy")
    assert "fd83::11" in _ip("-6", "neigh", "show", "proxy")
    assert "10.83.0.11" in _ip("route")
    result = module("jail_net", name=box, interfaces=[{**_routed(card), "routes": []}])
    assert options_changed(result, box) == [("interfaces", "live")]
    assert "10.84.0.0" not in inside(box, "ip", "route")
    module("jail_state", name=[box], state="stopped")
    for words in (("neigh", "show", "proxy"), ("-6", "neigh", "show", "proxy"), ("route",), ("-6", "route")):
        assert "83" not in _ip(*words)
    module("jail_state", name=[box], state="started")
    assert "10.83.0.11" in _ip("neigh", "show", "proxy")
