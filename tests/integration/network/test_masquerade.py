# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Out under the host's address, and back to what the host was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import nftables
from ansible_collections.cellblock.jails.plugins.module_utils.net import firewall, forwarding, loopback, sysctl
from ansible_collections.cellblock.jails.plugins.module_utils.net.addresses import parse_interfaces
from ansible_collections.cellblock.jails.plugins.module_utils.net.network import Network
from ansible_collections.cellblock.jails.tests.integration.support.networks import network_of
from ansible_collections.cellblock.jails.tests.integration.support.wiring import (
    FULL,
    PLAIN,
    SHAPES,
    Jail,
    assert_alive,
    assert_reachable,
    connect,
    converge,
    everything,
    look,
    read,
    release,
    run,
    wire,
)


def test_a_masqueraded_jail_reaches_the_world_as_the_host(jail: Jail, outside: int) -> None:
    wanted = converge(jail, FULL)
    assert assert_reachable("192.0.2.2", outside, jail.pid) == ("192.0.2.1",)
    assert assert_reachable("2001:db8::2", outside, jail.pid) == ("2001:db8::1",)
    connection = connect("192.0.2.2", outside, jail.pid)
    assert converge(jail, {**FULL, "masquerade": False}) != wanted
    with connection[0], connection[1]:
        assert_alive(connection)
    with pytest.raises(OSError, match="timed out"):
        connect("192.0.2.2", outside, jail.pid)


def test_an_isolated_jail_is_masqueraded_too(jail: Jail, outside: int) -> None:
    converge(jail, {**FULL, "isolate": True})
    assert assert_reachable("192.0.2.2", outside, jail.pid) == ("192.0.2.1",)
    assert assert_reachable("2001:db8::2", outside, jail.pid) == ("2001:db8::1",)


def test_traffic_between_bridges_keeps_its_addresses(start: Callable[..., Jail]) -> None:
    web, db = start("web1", 1), start("db1", 2)
    converge(web, FULL)
    other = {"addresses": ["10.78.0.12/24"], "gateway": "10.78.0.1", "gateway6": None}
    converge(db, {**FULL, "bridge": "br-db", **other})
    assert assert_reachable("10.78.0.12", db.pid, web.pid) == ("10.77.0.11",)


def test_removing_everything_leaves_nothing(jail: Jail) -> None:
    before = everything(), _sysctls()
    first = converge(jail, *SHAPES["two"])
    converge(jail)
    release(first)
    assert (everything(), _sysctls()) == before
    with network_of(jail.pid) as namespace:
        assert loopback.is_alone(namespace)
    assert json.loads(Path(layout.HOST_STATE).read_text(encoding="ascii")) == {}


def _sysctls() -> list[str | None]:
    return [sysctl.read(f"net/{name}") for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding")]


def test_release_keeps_what_other_jails_need(start: Callable[..., Jail]) -> None:
    web, db = start("web1", 1), start("db1", 2)
    gone = converge(web, {**FULL, "gateway": "10.77.0.254"}, {**PLAIN, "name": "x", "bridge": "br-x", "addresses": []})
    stays = converge(db, {**FULL, "addresses": ["10.77.0.12/24", "fd77::12/64"]})
    converge(web)
    release(gone, *stays)
    assert read(db) == stays
    assert "10.77.0.254" not in run("ip addr show br-jails")
    assert "br-x" not in run("ip link")
    assert "10.77.0.11" not in run("nft list table inet jails")
    assert _sysctls() == ["1", "1"]


def test_addresses_that_jails_exchange_stay_reachable_and_masqueraded(start: Callable[..., Jail]) -> None:
    web, db = start("web1", 1), start("db1", 2)
    first: dict[str, Any] = {**PLAIN, "gateway": "10.77.0.1", "masquerade": True}
    second = {**first, "addresses": ["10.77.0.12/24"]}
    with Network() as network:
        for one, other in ((first, second), (second, first)):
            for jail, value in ((web, one), (db, other)):
                wire(network, jail, parse_interfaces(jail.name, [value]))
            for jail, value in ((web, one), (db, other)):
                assert look(network, jail) == parse_interfaces(jail.name, [value])
                # The host still has the other jail's MAC address for it, were it not told.
                assert_reachable(value["addresses"][0].partition("/")[0], jail.pid)
    elements = firewall.read([], {"masquerade4": ["10.77.0.11", "10.77.0.12"]}).sets["masquerade4"]
    assert {address: entry.jail for address, entry in elements.items()} == {"10.77.0.12": "web1", "10.77.0.11": "db1"}


def test_a_jail_that_is_removed_takes_its_filter_along(start: Callable[..., Jail]) -> None:
    web, db = start("web1", 1), start("db1", 2)
    gone = converge(web, {**FULL, "isolate": True})
    stays = converge(db, {**FULL, "addresses": ["10.77.0.12/24", "fd77::12/64"], "isolate": True})
    before = run("nft list chain netdev jails vj2n0")
    with Network() as network:
        network.release("web1", gone, list, lambda: stays, [web.slot])
    tables = run("nft list table inet jails") + run("nft list table netdev jails")
    assert "vj1n0" not in tables
    assert "10.77.0.11" not in tables
    assert read(db) == stays
    assert run("nft list chain netdev jails vj2n0") == before


def test_the_administrators_tables_stay(jail: Jail) -> None:
    run("nft add table inet mine")
    wanted = converge(jail, FULL)
    before = run("nft list table netdev jails") + run("nft list table inet jails")
    run("nft flush table inet mine")
    assert run("nft list table netdev jails") + run("nft list table inet jails") == before
    assert read(jail) == wanted
    converge(jail)
    release(wanted)
    assert run("nft list tables") == "table inet mine\n"


def test_without_interfaces_nftables_is_not_used(jail: Jail, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_ignored: object) -> None:
        raise AssertionError("nftables is used")

    monkeypatch.setattr(nftables, "run", refuse)
    converge(jail)


def test_a_missing_library_is_named_with_its_package(jail: Jail, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nftables, "_LIBRARY", "libnothing.so.1")
    nftables.load.cache_clear()
    try:
        with pytest.raises(JailError, match="Debian's package is nftables"):
            converge(jail, PLAIN)
        converge(jail)
    finally:
        nftables.load.cache_clear()


def test_router_advertisements_stay_accepted_where_they_were(jail: Jail, outside: int) -> None:
    run("ip tuntap add quiet mode tap")
    sysctl.write("net/ipv6/conf/quiet/accept_ra", "0")
    wanted = converge(jail, FULL)
    assert sysctl.read("net/ipv6/conf/uplink/accept_ra") == "2"
    assert sysctl.read("net/ipv6/conf/quiet/accept_ra") == "0"
    assert sysctl.read("net/ipv6/conf/br-jails/accept_ra") == "0"
    release(wanted)
    assert sysctl.read("net/ipv6/conf/uplink/accept_ra") == "1"


def test_ipv6_is_not_forwarded_for_ipv4_alone(jail: Jail) -> None:
    converge(jail, {**PLAIN, "masquerade": True})
    assert _sysctls() == ["1", "0"]


def test_forwarding_that_was_on_stays_on(jail: Jail) -> None:
    sysctl.write("net/ipv4/ip_forward", "1")
    wanted = converge(jail, FULL)
    release(wanted)
    assert _sysctls() == ["1", "0"]


def test_the_record_of_another_boot_does_not_count(jail: Jail) -> None:
    other = {"boot": "another", "before": {"net/ipv4/ip_forward": "0"}}
    Path(layout.HOST_STATE).write_text(json.dumps({"forwarding": other, "theirs": 1}), encoding="ascii")
    sysctl.write("net/ipv4/ip_forward", "1")
    assert not forwarding.is_recorded()
    wanted = converge(jail, {**PLAIN, "masquerade": True})
    release(wanted)
    assert _sysctls() == ["1", "0"]
    assert json.loads(Path(layout.HOST_STATE).read_text(encoding="ascii")) == {"theirs": 1}
