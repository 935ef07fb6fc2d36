# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The protection of jails' networks by way of the modules: seen, repaired, taken away, given up."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.jail import converge, live, network, store
from ansible_collections.cellblock.jails.plugins.module_utils.jail.facet import Facet, Values, read_live
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import namespaces, process
from ansible_collections.cellblock.jails.plugins.module_utils.net.addresses import parse_interfaces
from ansible_collections.cellblock.jails.tests.integration.support import sandbox
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    actions,
    module,
    options_changed,
    pid_of,
    refused,
)

_ETH0: dict[str, Any] = {"name": "eth0", "bridge": "br-guard", "addresses": ["10.85.0.2/24", "fd85::2/64"]}
_UNORDERED = network.FACET._replace(one_at_a_time=False)


def _tables() -> str:
    done = subprocess.run(["nft", "list", "ruleset"], check=True, capture_output=True, text=True)
    return done.stdout


@pytest.mark.parametrize("command", ["flush ruleset", "delete table netdev jails", "flush table inet jails"])
def test_what_was_flushed_is_seen_and_repaired(box: str, command: str) -> None:
    module("jail_net", name=box, interfaces=[_ETH0])
    before = _tables()
    subprocess.run(["nft", command], check=True)
    flushed = _tables()
    for check in (True, False):
        result = module("jail_net", name=box, interfaces=[_ETH0], check=check)
        assert options_changed(result, box) == [("interfaces", "live")]
        ((_option, found, wanted, _how),) = actions(result, box)
        assert {key for key in wanted[0] if wanted[0][key] != found[0][key]} <= {
            *("spoof_protection", "allow_router", "allow_metadata", "connections_max", "neighbours_max")
        }
        assert _tables() == flushed or not check
    assert _tables().count("drop") == before.count("drop")
    assert not module("jail_net", name=box, interfaces=[_ETH0])["changed"]


def test_a_jail_that_is_removed_leaves_no_table(box: str) -> None:
    module("jail_net", name=box, interfaces=[{**_ETH0, "isolate": True}])
    assert "jails" in _tables()
    module("jail_state", name=[box], state="absent")
    assert "jails" not in _tables()
    assert sandbox.devices() == []


def test_a_jail_whose_interfaces_are_taken_away_leaves_no_table(box: str) -> None:
    module("jail_net", name=box, interfaces=[_ETH0])
    module("jail_net", name=box, interfaces=[])
    assert "jails" not in _tables()


def test_what_is_given_up_is_named(box: str) -> None:
    assert module("jail_net", name=box, interfaces=[_ETH0])["jails"][box]["degraded"] == []
    open_to_all = {"spoof_protection": False, "allow_router": True, "allow_metadata": True}
    counts = {"connections_max": 0, "neighbours_max": 0}
    result = module("jail_net", name=box, interfaces=[{**_ETH0, **open_to_all, **counts}])
    said = result["jails"][box]["degraded"]
    assert len(said) == len(open_to_all) + len(counts)
    assert all(sentence.startswith("interfaces: eth0: ") for sentence in said)
    assert module("jail_state", name=[box])["jails"][box]["degraded"] == said


def test_a_jail_that_configures_its_network_is_not_counted_on(box: str) -> None:
    """What such a jail could undo is said, and is not read from what it could have written."""
    module("jail_net", name=box, interfaces=[_ETH0])
    result = module("jail_state", name=[box], state="restarted", capabilities={"add": ["NET_ADMIN"]})
    assert any("neighbours_max" in sentence for sentence in result["jails"][box]["degraded"])
    subprocess.run(["nsenter", "-t", str(pid_of(box)), "-n", "nft", "flush ruleset"], check=True)
    assert not module("jail_net", name=box, interfaces=[_ETH0])["changed"]


@pytest.mark.parametrize("key", ["connections_max", "neighbours_max"])
@pytest.mark.parametrize("number", [-1, 1_000_001])
def test_numbers_that_cannot_be(box: str, key: str, number: int) -> None:
    message = refused("jail_net", name=box, interfaces=[{**_ETH0, key: number}])
    assert f"interface eth0: {key} {number} is not in the range 0 (no limit) to 1000000" in message


def test_what_an_older_version_recorded_is_protected(box: str) -> None:
    module("jail_net", name=box, interfaces=[_ETH0])
    path = Path(layout.desired(box)) / "net.json"
    recorded = json.loads(path.read_text(encoding="utf-8"))
    old = ("name", "bridge", "addresses", "gateway", "gateway6", "mac", "mtu", "masquerade")
    recorded["interfaces"] = [{key: each[key] for key in old} for each in recorded["interfaces"]]
    path.write_text(json.dumps(recorded), encoding="utf-8")
    module("jail_state", name=[box], state="restarted")
    shown = module("jail_info", name=[box], gather=["net"])["jails"][box]["net"]["interfaces"][0]
    assert shown["spoof_protection"] is True
    assert shown["neighbours_max"] == 128
    module("jail_net", name=box, interfaces=[_ETH0])
    assert not module("jail_net", name=box, interfaces=[_ETH0])["changed"]


@pytest.mark.row(19)
def test_a_pid_that_was_used_again_is_not_met(box: str) -> None:
    """Another process has the number of a jail's first one: its network stays as it is."""
    running = live.expect(box)
    ready, tell = os.pipe()

    def other() -> None:
        process.die_with_parent()
        namespaces.unshare(namespaces.CLONE_NEWNET)
        os.write(tell, b".")
        time.sleep(100)

    pid = process.fork(other)
    os.read(ready, 1)
    met = running._replace(pid=pid)
    interfaces = parse_interfaces(box, [_ETH0])
    try:
        with pytest.raises(JailError, match="it has just ended"):
            network.wire(met, {"interfaces": interfaces})
        with pytest.raises(JailError, match="it has just ended"):
            read_live(network.FACET, met, ["interfaces"])
        shown = subprocess.run(["nsenter", "-t", str(pid), "-n", "ip", "-o", "link"], capture_output=True, check=True)
        assert shown.stdout.count(b"\n") == 1
        # The control: by its own number and time it is met.
        network.wire(running, {"interfaces": interfaces})
        assert read_live(network.FACET, running, ["interfaces"]) == {"interfaces": interfaces}
    finally:
        network.wire(running, {})
        os.kill(pid, 9)
        process.wait(pid)
        os.close(ready)
        os.close(tell)


@pytest.mark.parametrize(("facet", "given"), [(network.FACET, 1), (_UNORDERED, 2)], ids=["as it is", "control"])
def test_one_address_is_given_once_by_plays_at_once(
    names: Callable[[int], list[str]], facet: Facet, given: int
) -> None:
    """Also where both look for conflicts before either has recorded what it gives."""

    def slowly(desired: Mapping[str, Values]) -> Mapping[str, str]:
        found = network.FACET.conflicts(desired)
        time.sleep(0.5)
        return found

    slow = facet._replace(conflicts=slowly)
    both = names(2)

    def call(name: str) -> Callable[[], None]:
        def child() -> None:
            outcome = converge.converge(slow, [{"name": name, "interfaces": [_ETH0]}], False)[name]
            assert outcome.error is None or "both have the address 10.85.0.2" in outcome.error

        return child

    assert [process.wait(child) for child in [process.fork(call(name)) for name in both]] == [0, 0]
    assert sum("interfaces" in store.read(name, "net") for name in both) == given
