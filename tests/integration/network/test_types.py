# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interfaces that are no port of a bridge: each type in each direction, and nothing of it left."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import files, layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.net import sysctl
from ansible_collections.cellblock.jails.plugins.module_utils.net.addresses import parse_interfaces
from ansible_collections.cellblock.jails.plugins.module_utils.net.netlink import Netlink
from ansible_collections.cellblock.jails.plugins.module_utils.net.network import Network
from ansible_collections.cellblock.jails.tests.integration.support.networks import network_namespace, network_of
from ansible_collections.cellblock.jails.tests.integration.support.wiring import (
    FULL,
    PLAIN,
    Jail,
    assert_alive,
    assert_reachable,
    connect,
    converge,
    empty_namespace,
    end,
    everything,
    listener,
    pending,
    read,
    release,
    run,
    wire,
)

ROUTED: dict[str, Any] = {"name": "eth0", "type": "routed", "addresses": ["10.79.0.11/32", "fd79::11/128"]}
ANSWERED: dict[str, Any] = {
    "name": "eth0",
    "type": "routed",
    "parent": "uplink",
    "addresses": ["192.0.2.11/32", "2001:db8::11/128"],
}
ON_UPLINK: dict[str, Any] = {
    "name": "eth0",
    "type": "macvlan",
    "parent": "uplink",
    "addresses": ["192.0.2.11/24", "2001:db8::11/64"],
    "gateway": "192.0.2.2",
    "gateway6": "2001:db8::2",
}


@pytest.fixture(autouse=True)
def borrowed(host: None, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record of the test's own."""
    monkeypatch.setattr(layout, "BORROWED", str(tmp_path / "borrowed.json"))


@pytest.fixture
def card() -> Iterator[int]:
    """The pid of a machine at 192.0.2.2 and 2001:db8::2, to which the host's device ``card`` leads."""
    pid = empty_namespace()
    run(f"ip link add card address 02:00:00:00:00:ca mtu 1480 type veth peer name eth0 netns {pid}")
    run("ip addr add 192.0.2.2/24 dev eth0", pid)
    run("ip addr add 2001:db8::2/64 dev eth0 nodad", pid)
    run("ip link set eth0 up", pid)
    run("ip link set card up")
    yield pid
    end(pid)


def test_a_routed_jail_and_the_host_reach_each_other(jail: Jail) -> None:
    wanted = converge(jail, ROUTED)
    assert (wanted[0]["gateway"], wanted[0]["gateway6"]) == ("169.254.1.1", "fe80::1")
    for address in ("10.79.0.11", "fd79::11"):
        assert_reachable(address, jail.pid)
    run("ip addr add 192.0.2.1/32 dev lo")
    assert assert_reachable("192.0.2.1", 0, jail.pid) == ("10.79.0.11",)
    assert_reachable("169.254.1.1", 0, jail.pid)


def test_routed_jails_and_one_on_a_bridge_reach_each_other(start: Callable[..., Jail]) -> None:
    one, two, three = start("web1", 1), start("web2", 2), start("db1", 3)
    converge(one, {**ROUTED, "masquerade": True})
    converge(two, {**ROUTED, "addresses": ["10.79.0.12/32", "fd79::12/128"], "gateway": "10.79.0.254"})
    converge(three, FULL)
    assert assert_reachable("10.79.0.12", two.pid, one.pid) == ("10.79.0.11",)
    assert assert_reachable("fd79::11", one.pid, two.pid) == ("fd79::12",)
    assert assert_reachable("10.77.0.11", three.pid, two.pid) == ("10.79.0.12",)
    assert assert_reachable("10.79.0.11", one.pid, three.pid) == ("10.77.0.11",)


def test_isolated_routed_jails_do_not(start: Callable[..., Jail]) -> None:
    one, two = start("web1", 1), start("web2", 2)
    converge(one, {**ROUTED, "isolate": True})
    converge(two, {**ROUTED, "isolate": True, "addresses": ["10.79.0.12/32"]})
    with pytest.raises(OSError, match="timed out"):
        connect("10.79.0.12", two.pid, one.pid)
    converge(one, ROUTED)
    assert_reachable("10.79.0.12", two.pid, one.pid)


def test_the_uplinks_neighbours_reach_a_routed_jail_for_which_the_host_answers(jail: Jail, outside: int) -> None:
    for address in ("192.0.2.11", "2001:db8::11"):
        converge(jail, {**ANSWERED, "parent": None})
        run("ip neigh flush all", outside)
        run("ip -6 neigh flush all", outside)
        with pytest.raises(OSError, match=r"timed out|No route"):
            connect(address, jail.pid, outside)
        run("ip neigh flush all", outside)
        run("ip -6 neigh flush all", outside)
        converge(jail, ANSWERED)
        assert_reachable(address, jail.pid, outside)
        assert_reachable("192.0.2.2", outside, jail.pid)
        assert assert_reachable("2001:db8::2", outside, jail.pid) == ("2001:db8::11",)


@pytest.mark.parametrize(
    "command",
    [
        "ip addr del 169.254.1.1/32 dev vj1n0",
        "ip addr flush dev vj1n0",
        "ip route del 192.0.2.11/32 dev vj1n0",
        "ip -6 route del 2001:db8::11/128 dev vj1n0",
        "ip neigh del proxy 192.0.2.11 dev uplink",
        "ip -6 neigh del proxy 2001:db8::11 dev uplink",
        "sysctl -qw net.ipv6.conf.uplink.proxy_ndp=0",
        "ip link set vj1n0 down",
        "ip link set vj1n0 alias x",
        "ip link del vj1n0",
        "nft flush ruleset",
    ],
)
def test_what_somebody_did_to_a_routed_one_is_put_right(jail: Jail, outside: int, command: str) -> None:
    wanted = converge(jail, ANSWERED)
    run(command)
    assert read(jail) != wanted
    converge(jail, ANSWERED)
    assert_reachable("192.0.2.11", jail.pid, outside)
    assert_reachable("2001:db8::11", jail.pid, outside)


@pytest.mark.parametrize("shape", [ROUTED, ANSWERED, {**ROUTED, "masquerade": True}, ON_UPLINK], ids=str)
def test_nothing_of_it_is_left(jail: Jail, outside: int, shape: dict[str, Any]) -> None:
    converge(jail)  # loopback
    before = _without_timers(everything(jail.pid)), sysctl.read("net/ipv6/conf/uplink/proxy_ndp")
    wanted = converge(jail, shape)
    converge(jail)
    release(wanted)
    assert (_without_timers(everything(jail.pid)), sysctl.read("net/ipv6/conf/uplink/proxy_ndp")) == before
    assert run("ip neigh show proxy") == ""
    assert run("ip -6 neigh show proxy") == ""
    assert not outside or sysctl.read("net/ipv4/ip_forward") == "0"


def _without_timers(texts: list[str]) -> list[str]:
    mute = ("valid_lft", "fe80", "ff00", "promiscuity")
    return [line for text in texts for line in text.splitlines() if not any(word in line for word in mute)]


@pytest.mark.parametrize("shape", [ROUTED, ANSWERED, ON_UPLINK, {**PLAIN, "routes": [{"to": "10.9.0.0/16"}]}], ids=str)
def test_a_second_run_sends_nothing(jail: Jail, outside: int, shape: dict[str, Any]) -> None:
    assert outside
    converge(jail, shape)
    run("sleep 2.5")  # link-local addresses are assigned by then
    with listener(0) as on_host, listener(jail.pid) as in_jail:
        converge(jail, shape)
        assert pending(on_host) == pending(in_jail) == 0


def test_an_interface_becomes_another_type_and_goes_back(jail: Jail, outside: int) -> None:
    assert outside
    for shape in (FULL, ROUTED, ON_UPLINK, ANSWERED, FULL):
        converge(jail, shape)


def test_a_macvlan_jail_and_the_uplinks_neighbours_reach_each_other(start: Callable[..., Jail], outside: int) -> None:
    one, two = start("web1", 1), start("web2", 2)
    converge(one, ON_UPLINK)
    converge(two, {**ON_UPLINK, "addresses": ["192.0.2.12/24", "2001:db8::12/64"], "mtu": 1400})
    for address in ("192.0.2.11", "2001:db8::11"):
        assert_reachable(address, one.pid, outside)
        assert_reachable(address, one.pid, two.pid)
    assert assert_reachable("192.0.2.2", outside, one.pid) == ("192.0.2.11",)
    assert assert_reachable("2001:db8::2", outside, two.pid) == ("2001:db8::12",)
    with pytest.raises(OSError, match=r"timed out|No route"):
        connect("192.0.2.1", 0, one.pid)  # the host itself


def test_a_macvlan_interface_moves_to_another_parent(jail: Jail, outside: int, card: int) -> None:
    converge(jail, ON_UPLINK)
    converge(jail, {**ON_UPLINK, "parent": "card", "mtu": 1480})
    assert_reachable("192.0.2.11", jail.pid, card)
    assert outside


def test_ipvlan(jail: Jail, outside: int) -> None:
    shape = {**ON_UPLINK, "type": "ipvlan"}
    try:
        run("ip link add probe type ipvlan link uplink")
        run("ip link del probe")
    except subprocess.CalledProcessError:
        with Network() as network, pytest.raises(JailError, match="CONFIG_IPVLAN") as caught:
            wire(network, jail, parse_interfaces(jail.name, [shape]))
        pytest.skip(f"this kernel cannot: {caught.value}")
    converge(jail, shape)
    assert_reachable("192.0.2.11", jail.pid, outside)
    assert assert_reachable("2001:db8::2", outside, jail.pid) == ("2001:db8::11",)


PHYS: dict[str, Any] = {**ON_UPLINK, "type": "phys", "parent": "card"}


def test_a_device_of_the_host_is_lent_and_given_back(jail: Jail, card: int) -> None:
    before = run("ip -d link show card").split("\n")[1]
    converge(jail, {**PHYS, "mac": "02:00:00:00:00:77"})
    assert "card" not in run("ip -o link")
    for address in ("192.0.2.11", "2001:db8::11"):
        assert_reachable(address, jail.pid, card)
    assert assert_reachable("192.0.2.2", card, jail.pid) == ("192.0.2.11",)
    converge(jail, PHYS)
    assert "02:00:00:00:00:ca" in run("ip link show eth0", jail.pid)
    converge(jail)
    after = run("ip -d link show card")
    assert "state UP" in after
    assert "mtu 1480" in after
    assert after.split("\n")[1].split()[:2] == before.split()[:2]
    assert files.read_json(layout.BORROWED) == {"devices": {}}


def test_a_device_that_was_down_is_given_back_down(jail: Jail, card: int) -> None:
    assert card
    run("ip link set card down")
    converge(jail, PHYS)
    with Network() as network, network_of(jail.pid) as namespace:
        network.give_back(jail.slot, namespace)
    assert "state DOWN" in run("ip link show card")
    assert read(jail) == []


def test_a_device_that_the_kernel_has_put_back_gets_its_name_and_state(jail: Jail, card: int) -> None:
    """As it does with hardware, but not with what tests can make; so its part is played."""
    converge(jail, PHYS)
    with network_of(os.getpid()) as home, network_namespace(jail.pid), Netlink() as netlink:
        device = netlink.link("eth0")
        assert device
        netlink.set_link(device, {"state": "down"})
        netlink.set_link(device, {"net_ns_fd": home, "ifname": "dev0"})
    with Network() as network:
        network.give_back(jail.slot, None)
    shown = run("ip link show card")
    assert "state UP" in shown
    assert card
    assert files.read_json(layout.BORROWED) == {"devices": {}}


def test_a_device_that_a_killed_run_has_put_down_is_up_in_the_end(jail: Jail, card: int) -> None:
    assert card
    converge(jail, PHYS)
    with network_of(os.getpid()) as home, network_namespace(jail.pid), Netlink() as netlink:
        device = netlink.link("eth0")
        assert device
        netlink.set_link(device, {"net_ns_fd": home, "ifname": "card"})
    assert "state DOWN" in run("ip link show card")
    assert read(jail) == []
    converge(jail, PHYS)
    converge(jail)
    assert "state UP" in run("ip link show card")


def test_a_device_that_is_gone_is_forgotten(jail: Jail, card: int) -> None:
    assert card
    converge(jail, PHYS)
    run("ip link del eth0", jail.pid)
    assert read(jail) == []
    with Network() as network:
        network.give_back(jail.slot, None)
    assert files.read_json(layout.BORROWED) == {"devices": {}}


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        ({**ANSWERED, "parent": "nic9"}, "the host has no device nic9"),
        ({**ON_UPLINK, "parent": "nic9"}, "the host has no device nic9"),
        ({**ON_UPLINK, "mtu": 9000}, "mtu 9000 is more than the 1500 of its parent uplink"),
        ({**PHYS, "parent": "nic9"}, "cannot be the device nic9: the host has no device of that name"),
        ({**PHYS, "parent": "uplink"}, "cannot be the device uplink: the host has the address 192.0.2.1/24 there"),
        ({**PHYS, "parent": "port"}, "cannot be the device port: it is a port of br-lan"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_touched(
    jail: Jail, outside: int, shape: dict[str, Any], sentence: str
) -> None:
    assert outside
    run("ip link add br-lan type bridge")
    run("ip link add port type veth peer name wire")
    run("ip link set port master br-lan")
    converge(jail)  # loopback
    before = everything(jail.pid)
    with Network() as network, pytest.raises(JailError, match=sentence):
        wire(network, jail, parse_interfaces(jail.name, [PLAIN, {**shape, "name": "eth1"}]))
    assert everything(jail.pid) == before


@pytest.mark.parametrize(
    "shape",
    [
        {**PLAIN, "routes": [{"to": "10.9.0.0/16"}, {"to": "10.8.0.0/16", "via": "10.77.0.7", "metric": 5}]},
        {**PLAIN, "routes": [{"to": "0.0.0.0/0", "via": "10.77.0.7", "metric": 9, "table": 1000}]},
        {**FULL, "routes": [{"to": "0.0.0.0/0", "via": "10.77.0.7", "metric": 9}]},
        {**FULL, "routes": [{"to": "fd09::/64", "via": "fd77::7"}, {"to": "fd08::/64", "via": "fe80::7", "metric": 3}]},
        {**FULL, "routes": [{"to": "::/0", "via": "fd77::7", "metric": 9, "table": 300}, {"to": "fd07::/64"}]},
        {**ROUTED, "routes": [{"to": "10.9.0.0/16", "via": "169.254.1.1"}, {"to": "fd09::/64", "via": "fe80::1"}]},
        {**ROUTED, "routes": [{"to": "0.0.0.0/0", "via": "169.254.1.1", "metric": 7}], "gateway": "169.254.1.1"},
    ],
    ids=str,
)
def test_routes_come_and_go(jail: Jail, shape: dict[str, Any]) -> None:
    bare = {key: value for key, value in shape.items() if key != "routes"}
    converge(jail, bare)
    before = run("ip route show table all", jail.pid), run("ip -6 route show table all", jail.pid)
    wanted = converge(jail, shape)
    for route in wanted[0]["routes"]:
        word = "-6" if ":" in route["to"] else "-4"
        run(f"ip {word} route del {route['to']} table {route['table']} metric {route['metric']}", jail.pid)
        assert read(jail) != wanted
        converge(jail, shape)
    converge(jail, bare)
    assert (run("ip route show table all", jail.pid), run("ip -6 route show table all", jail.pid)) == before


@pytest.mark.parametrize(
    "command", ["ip route add 10.5.0.0/16 dev eth0", "ip -6 route add fd05::/64 via fd77::9 table 9"]
)
def test_a_route_that_nobody_asked_for_is_taken_away(jail: Jail, command: str) -> None:
    wanted = converge(jail, FULL)
    run(command, jail.pid)
    assert read(jail) != wanted
    converge(jail, FULL)


def test_a_transfer_goes_on_while_the_other_address_and_routes_change(jail: Jail) -> None:
    own = ["10.77.0.11/24", "fd77::11/64"]
    converge(jail, {**FULL, "addresses": own})
    sent = 64 << 20
    near, far = connect("10.77.0.11", jail.pid)
    with near, far:
        far.setblocking(True)
        reader = subprocess.Popen(
            ["sh", "-c", "cksum | tee /dev/stderr >/dev/null"], stdin=far.fileno(), stderr=subprocess.PIPE, text=True
        )
        far.close()
        chunk = os.urandom(1 << 20)
        near.settimeout(20)
        for number in range(sent >> 20):
            near.sendall(chunk)
            if number % 8 == 0:
                last = 12 + number // 8
                converge(
                    jail,
                    {
                        **FULL,
                        "addresses": [*own, f"10.77.0.{last}/24", f"fd77::{last}/64"],
                        "routes": [{"to": f"10.{last}.0.0/16", "via": "10.77.0.9"}],
                        "gateway": f"10.77.0.{200 + number // 8}",
                    },
                )
        near.close()
        printed = reader.communicate(timeout=30)[1]
    assert int(printed.split()[1]) == sent


def test_records_of_borrowed_things_are_read_as_json(jail: Jail, card: int) -> None:
    assert card
    converge(jail, PHYS)
    with open(layout.BORROWED, encoding="ascii") as file:
        entry = json.load(file)["devices"]["1"]["eth0"]
    assert (entry["parent"], entry["mtu"], entry["up"]) == ("card", 1480, True)
    near, far = connect("192.0.2.2", card, jail.pid)
    with near, far:
        assert_alive((near, far))
    converge(jail)


def test_an_address_that_a_jail_gave_itself_is_not_withdrawn_from_another(start: Callable[..., Jail]) -> None:
    """The host answers at the parent for the addresses that it leads there, whatever stands inside."""
    one, other = start("one", 1), start("other", 2)
    run("ip link add uplink type veth peer name cable")
    run("ip link set uplink up")
    wish = {"name": "eth0", "type": "routed", "parent": "uplink"}
    converge(one, {**wish, "addresses": ["192.0.2.10/32"]})
    converge(other, {**wish, "addresses": ["192.0.2.11/32"]})
    before = run("ip neigh show proxy")
    assert "192.0.2.11" in before
    run("ip addr add 192.0.2.11/32 dev eth0", one.pid)
    converge(one, {**wish, "addresses": ["192.0.2.10/32"]})
    assert sorted(run("ip neigh show proxy").splitlines()) == sorted(before.splitlines())
    assert "192.0.2.11" not in run("ip addr show dev eth0", one.pid)
