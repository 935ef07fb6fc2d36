# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports of the host that lead into jails, knocked at from everywhere."""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.net import publish, sysctl
from ansible_collections.cellblock.jails.plugins.module_utils.net.addresses import Interface
from ansible_collections.cellblock.jails.tests.integration.support.networks import network_namespace
from ansible_collections.cellblock.jails.tests.integration.support.publishing import (
    knock,
    lead,
    published,
    release,
    serving,
    transferring,
)
from ansible_collections.cellblock.jails.tests.integration.support.wiring import (
    FULL,
    Jail,
    converge,
    everything,
    read,
    run,
)

_OWN = {**FULL, "masquerade": False}
_WEB = {"host_port": "8080", "jail_port": "80"}
_HOST = {4: "192.0.2.1", 6: "2001:db8::1"}
_GATEWAY = {4: "10.77.0.1", 6: "fd77::1"}
_LOOPBACK = {4: "127.0.0.1", 6: "::1"}

versions = pytest.mark.parametrize("version", [4, 6])
protocols = pytest.mark.parametrize("protocol", ["tcp", "udp"])
bridged = pytest.mark.parametrize("hooks", ["0", "1"], ids=["bridged", "bridged-by-hooks"])
"""Whether bridges hand packets to IP's hooks (br_netfilter)."""


def _hook(value: str) -> None:
    for name in ("bridge-nf-call-iptables", "bridge-nf-call-ip6tables"):
        if sysctl.read(f"net/bridge/{name}") is None and value != "0":
            pytest.skip("this kernel has no br_netfilter")
        sysctl.write_where_present(f"net/bridge/{name}", value)


def _neighbour(start: Callable[..., Jail], **changes: Any) -> Jail:
    db = start("db1", 2)
    converge(db, {**_OWN, "addresses": ["10.77.0.12/24", "fd77::12/64"], **changes})
    return db


@bridged
@versions
@protocols
def test_from_outside(jail: Jail, outside: int, protocol: str, version: int, hooks: str) -> None:
    _hook(hooks)
    own = converge(jail, _OWN)
    with serving(jail.pid, 80, protocol, version) as server:
        assert knock(server, _HOST[version], 8080, outside) is None
        lead(jail, own, {**_WEB, "protocol": protocol})
        # It sees who it is that knocks.
        assert knock(server, _HOST[version], 8080, outside) == {4: "192.0.2.2", 6: "2001:db8::2"}[version]
        lead(jail, own)
        assert knock(server, _HOST[version], 8080, outside) is None


@bridged
@versions
@protocols
def test_from_the_host_itself(jail: Jail, outside: int, protocol: str, version: int, hooks: str) -> None:
    assert outside
    _hook(hooks)
    own = converge(jail, _OWN)
    with serving(jail.pid, 80, protocol, version) as server:
        assert knock(server, _HOST[version], 8080) is None
        assert knock(server, _LOOPBACK[version], 8080) is None
        lead(jail, own, {**_WEB, "protocol": protocol})
        assert knock(server, _HOST[version], 8080) == _GATEWAY[version]
        assert knock(server, _GATEWAY[version], 8080) == _GATEWAY[version]
        if (version, hooks) == (6, "1"):
            # The limit that is documented.
            assert knock(server, "::1", 8080) is None
        else:
            assert knock(server, _LOOPBACK[version], 8080) == _GATEWAY[version]


@bridged
@versions
@protocols
@pytest.mark.parametrize("where", ["same bridge", "another bridge"])
def test_from_a_neighbour(
    jail: Jail, start: Callable[..., Jail], where: str, protocol: str, version: int, hooks: str
) -> None:
    _hook(hooks)
    own = converge(jail, _OWN)
    other = {"bridge": "br-db", "addresses": ["10.78.0.12/24", "fd78::12/64"]}
    other.update({"gateway": "10.78.0.1", "gateway6": "fd78::1"})
    db = _neighbour(start, **(other if where == "another bridge" else {}))
    with serving(jail.pid, 80, protocol, version) as server:
        assert knock(server, _GATEWAY[version], 8080, db.pid) is None
        lead(jail, own, {**_WEB, "protocol": protocol})
        seen = {4: "10.78.0.12", 6: "fd78::12"} if where == "another bridge" else _GATEWAY
        assert knock(server, _GATEWAY[version], 8080, db.pid) == seen[version]


@bridged
@versions
@protocols
def test_from_the_jail_itself(jail: Jail, outside: int, protocol: str, version: int, hooks: str) -> None:
    assert outside
    _hook(hooks)
    own = converge(jail, _OWN)
    with serving(jail.pid, 80, protocol, version) as server:
        assert knock(server, _GATEWAY[version], 8080, jail.pid) is None
        lead(jail, own, {**_WEB, "protocol": protocol})
        assert knock(server, _GATEWAY[version], 8080, jail.pid) == _GATEWAY[version]
        assert knock(server, _HOST[version], 8080, jail.pid) == _GATEWAY[version]


@versions
def test_isolated_neighbours_reach_what_is_published_and_nothing_else(
    jail: Jail, start: Callable[..., Jail], version: int
) -> None:
    _hook("0")
    own = converge(jail, {**_OWN, "isolate": True})
    db = _neighbour(start, isolate=True)
    with serving(jail.pid, 80, version=version) as server:
        lead(jail, own, _WEB)
        assert knock(server, _GATEWAY[version], 8080, db.pid) == _GATEWAY[version]
        assert knock(server, _GATEWAY[version], 8080, jail.pid) == _GATEWAY[version]
        assert knock(server, {4: "10.77.0.11", 6: "fd77::11"}[version], 80, db.pid) is None


@versions
def test_bridged_by_hooks_isolation_comes_first(jail: Jail, start: Callable[..., Jail], version: int) -> None:
    """The limit that is documented: there the bridge itself leads on, and keeps isolated ports apart."""
    _hook("1")
    own = converge(jail, {**_OWN, "isolate": True})
    db = _neighbour(start, isolate=True)
    lead(jail, own, _WEB)
    with serving(jail.pid, 80, version=version) as server:
        assert knock(server, _GATEWAY[version], 8080, db.pid) is None
        assert knock(server, _GATEWAY[version], 8080) == _GATEWAY[version]


@versions
def test_sctp(jail: Jail, outside: int, version: int) -> None:
    """By its first packet, for not every kernel has sockets of it."""
    own = converge(jail, _OWN)
    # Each of another association: one that is known goes on as it began.
    assert not _arrives(_sctp_init(5000, 8080), version, outside, jail)
    lead(jail, own, _WEB)  # of TCP
    assert not _arrives(_sctp_init(5001, 8080), version, outside, jail)
    lead(jail, own, {**_WEB, "protocol": "sctp"})
    assert _arrives(_sctp_init(5002, 8080), version, outside, jail)


def _sctp_init(source: int, port: int) -> bytes:
    """An association's first packet (RFC 9260, sections 3.1 and 3.3.2)."""
    chunk = struct.pack("!BBHIIHHI", 1, 0, 20, 0x1234, 65536, 1, 1, 1)
    head = struct.pack("!HHI", source, port, 0)
    return head + struct.pack("<I", _crc32c(head + bytes(4) + chunk)) + chunk


def _crc32c(data: bytes) -> int:
    """The checksum of SCTP (RFC 9260, appendix A)."""
    value = 0xFFFFFFFF
    for octet in data:
        value ^= octet
        for _bit in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def _arrives(packet: bytes, version: int, sender: int, jail: Jail) -> bool:
    """Whether it arrives in the jail, at port 80, from an address of the world to one of the host."""
    family = {4: socket.AF_INET, 6: socket.AF_INET6}[version]
    with network_namespace(jail.pid):
        ear = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons({4: 0x0800, 6: 0x86DD}[version]))
    with network_namespace(sender):
        mouth = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_SCTP)
    with ear, mouth:
        ear.settimeout(1)
        mouth.sendto(packet, (_HOST[version], 0))
        with contextlib.suppress(TimeoutError):
            while True:
                heard = ear.recv(1 << 16)
                if heard[-len(packet) + 12 :] == packet[12:]:
                    return heard[-len(packet) :][:4] == packet[:2] + struct.pack("!H", 80)
        return False


def test_a_filter_of_the_administrators_comes_first(jail: Jail, outside: int) -> None:
    """And what is documented opens it."""
    own = converge(jail, _OWN)
    run("ip route add 10.77.0.0/24 via 192.0.2.1", outside)
    run("nft add table inet mine")
    run("nft add chain inet mine forward '{ type filter hook forward priority filter; policy drop; }'")
    lead(jail, own, _WEB)
    with serving(jail.pid, 80) as server:
        assert knock(server, "192.0.2.1", 8080, outside) is None
        run("nft add rule inet mine forward ct state established,related accept")
        run("nft add rule inet mine forward ct status dnat accept")
        assert knock(server, "192.0.2.1", 8080, outside)
        assert knock(server, "10.77.0.11", 80, outside) is None


@versions
def test_a_range_leads_port_by_port(jail: Jail, outside: int, version: int) -> None:
    own = converge(jail, _OWN)
    lead(jail, own, {"host_port": "8000-8010", "jail_port": "90-100"})
    for port in (8000, 8004, 8010):
        with serving(jail.pid, port - 7910, version=version) as server:
            assert knock(server, _HOST[version], port, outside)
    with serving(jail.pid, 101, version=version) as server:
        assert knock(server, _HOST[version], 8011, outside) is None


@versions
def test_one_address_of_the_host(jail: Jail, outside: int, version: int) -> None:
    own = converge(jail, _OWN)
    with serving(jail.pid, 80, version=version) as server:
        lead(jail, own, {**_WEB, "host_address": _HOST[version]})
        assert knock(server, _HOST[version], 8080, outside)
        assert knock(server, _HOST[version], 8080)
        assert knock(server, _GATEWAY[version], 8080) is None
        assert knock(server, _LOOPBACK[version], 8080) is None
        assert sysctl.read("net/ipv4/conf/br-jails/route_localnet") == "0"


def test_two_jails_share_a_port_by_address(jail: Jail, start: Callable[..., Jail], outside: int) -> None:
    own = converge(jail, _OWN)
    run("ip addr add 192.0.2.9/24 dev uplink")
    db = start("db1", 2)
    other = converge(db, {**_OWN, "addresses": ["10.77.0.12/24", "fd77::12/64"]})
    lead(jail, own, {**_WEB, "host_address": "192.0.2.1"})
    lead(db, other, {**_WEB, "host_address": "192.0.2.9"})
    with serving(jail.pid, 80) as web, serving(db.pid, 80) as data:
        assert knock(web, "192.0.2.1", 8080, outside)
        assert knock(data, "192.0.2.9", 8080, outside)


def test_an_address_and_an_interface_of_the_jail_can_be_chosen(jail: Jail, outside: int) -> None:
    second = {"name": "eth1", "bridge": "br-data", "addresses": ["10.78.0.11/24"]}
    own = converge(jail, {**_OWN, "addresses": ["10.77.0.11/24", "10.77.0.13/24", "fd77::11/64"]}, second)
    run("ip addr add 10.78.0.1/24 dev br-data")  # the administrator's: no gateway of a jail
    entries = [
        {**_WEB, "jail_address": "10.77.0.13"},
        {"host_port": "8081", "jail_port": "80", "interface": "eth1"},
        {"host_port": "8082", "jail_port": "80", "host_address": "::"},
    ]
    lead(jail, own, *entries)
    elements = run("nft list map inet jails published4")
    assert 'tcp . 8080 comment "web1" : 10.77.0.13 . 80' in elements
    assert 'tcp . 8081 comment "web1" : 10.78.0.11 . 80' in elements
    assert "8082" not in elements
    with serving(jail.pid, 80) as server:
        assert knock(server, "192.0.2.1", 8080, outside)
        assert knock(server, "192.0.2.1", 8081)  # by an interface that has no gateway


@versions
def test_a_transfer_goes_on_while_all_else_changes(jail: Jail, outside: int, version: int) -> None:
    both = {**_OWN, "addresses": ["10.77.0.11/24", "10.77.0.12/24", "fd77::11/64", "fd77::12/64"]}
    own = converge(jail, both)
    more = {"host_port": "9000-9003", "protocol": "udp"}
    lead(jail, own, _WEB, more)
    with serving(jail.pid, 80, version=version) as server:
        near, far = _connection(server, _HOST[version], outside)
    with near, far, transferring(near, far):
        for others in ([], [{**more, "protocol": "tcp"}], [{"host_port": "7", "host_address": "192.0.2.1"}]):
            lead(jail, own, _WEB, *others)
        for changes in (
            {"addresses": ["10.77.0.11/24", "fd77::11/64"]},
            {"connections_max": 1, "neighbours_max": 1},
            {"masquerade": True},
            {"isolate": True},
            {"mtu": 1400},
        ):
            own = converge(jail, {**both, **changes})
            lead(jail, own, _WEB)
        # What is open goes on when its own forward goes; nothing new comes.
        lead(jail, own)
        with serving(jail.pid, 80, version=version) as server:
            assert knock(server, _HOST[version], 8080, outside) is None


def _connection(server: socket.socket, address: str, client: int) -> tuple[socket.socket, socket.socket]:
    """The two ends of a connection by a forward."""
    with network_namespace(client):
        near = socket.create_connection((address, 8080), timeout=3)
    far, _peer = server.accept()
    far.settimeout(3)
    return near, far


_BY_HAND = [
    "nft flush ruleset",
    "nft flush table inet jails",
    "nft flush chain inet jails published_in",
    "nft flush chain inet jails published_out",
    "nft flush chain inet jails published_back",
    "nft flush chain inet jails published_loopback",
    "nft insert rule inet jails published_in accept",
    "nft delete element inet jails published4 { tcp . 8080 }",
    "nft delete element inet jails published6 { tcp . 8080 }",
    "nft delete element inet jails published_at4 { 192.0.2.1 . udp . 53 }",
    "nft delete element inet jails published_near4 { 10.77.0.0/24 . 10.77.0.11 }",
    "nft delete element inet jails published_to6 { fd77::11 }",
    "nft delete element inet jails localnet { br-jails }",
    'nft add element inet jails published4 { tcp . 22 comment "web1" : 10.77.0.11 . 22 }',
    "sh -c 'echo 0 >/proc/sys/net/ipv4/ip_forward'",
    "sh -c 'echo 0 >/proc/sys/net/ipv4/conf/br-jails/route_localnet'",
    "ip -6 route del local ::1 dev br-jails table local",
    "bridge link set dev vj1n0 hairpin off",
]


@pytest.mark.parametrize("command", _BY_HAND)
def test_what_somebody_did_by_hand_is_seen_and_put_right(jail: Jail, outside: int, command: str) -> None:
    _hook("1")
    own = converge(jail, _OWN)
    entries = [_WEB, {"host_port": "53", "host_address": "192.0.2.1", "protocol": "udp"}]
    wanted = lead(jail, own, *entries)
    before = everything()
    run(command)
    assert published(jail, own, wanted) != wanted
    converge(jail, _OWN)
    lead(jail, own, *entries)
    assert _lasting(everything()) == _lasting(before)
    with serving(jail.pid, 80) as server:
        assert knock(server, "192.0.2.1", 8080, outside)
        assert knock(server, "127.0.0.1", 8080)


def _lasting(texts: list[str]) -> list[str]:
    """Lines in any order, without what comes of itself: link-local addresses, their routes, timers, those met."""
    mute = ("fe80", "ff00", "bridge", "forever", "ether", "expires", "elements", "timer")
    return sorted(line for text in texts for line in text.splitlines() if not any(word in line for word in mute))


def test_a_second_run_changes_nothing(jail: Jail) -> None:
    own = converge(jail, _OWN)
    lead(jail, own, _WEB, {"host_port": "9000-9100"})
    handles = run("nft -a list table inet jails")
    lead(jail, own, {"host_port": "9000-9100"}, _WEB)
    assert run("nft -a list table inet jails") == handles


def test_a_forward_more_leaves_the_rules_alone(jail: Jail, start: Callable[..., Jail]) -> None:
    own = converge(jail, _OWN)
    lead(jail, own, _WEB)
    db = start("db1", 2)
    other = converge(db, {**_OWN, "addresses": ["10.77.0.12/24", "fd77::12/64"]})
    rules = [line for line in run("nft -a list table inet jails").splitlines() if "handle" in line]
    lead(db, other, {"host_port": "5432"})
    lead(jail, own)
    assert [line for line in run("nft -a list table inet jails").splitlines() if "handle" in line] == rules


def test_nothing_stays_when_nobody_publishes(jail: Jail) -> None:
    run("ip link add br-jails type bridge")  # the administrator's: it stays
    run("ip addr add 10.77.0.1/24 dev br-jails")
    run("ip link set br-jails up")
    own = converge(jail, _OWN)
    before = everything(), _sysctls()
    wanted = lead(jail, own, _WEB, {"host_port": "53", "host_address": "192.0.2.1", "protocol": "udp"})
    assert _sysctls() == ["1", "1", "1"]
    reach = publish.reach(wanted, own)
    release(own, web1=reach)
    assert published(jail, own, wanted) == wanted
    lead(jail, own)
    release(own)
    after = everything(), _sysctls()
    assert (_lasting(after[0]), after[1]) == (_lasting(before[0]), before[1])
    assert read(jail) == own


def _sysctls() -> list[str | None]:
    names = ("ipv4/ip_forward", "ipv6/conf/all/forwarding", "ipv4/conf/br-jails/route_localnet")
    return [sysctl.read(f"net/{name}") for name in names]


def test_masquerading_and_forwards_need_forwarding_both(jail: Jail) -> None:
    own = converge(jail, {**_OWN, "masquerade": True})
    wanted = lead(jail, own, _WEB)
    release(own)
    assert _sysctls()[:2] == ["1", "1"]
    plain: list[Interface] = [{**each, "masquerade": False} for each in own]
    converge(jail, _OWN)
    lead(jail, plain, _WEB)
    release(plain, web1=publish.reach(wanted, plain))
    assert _sysctls()[:2] == ["1", "1"]
    release(plain)
    assert _sysctls()[:2] == ["0", "0"]


@bridged
def test_the_hosts_loopback_stays_its_own(jail: Jail, start: Callable[..., Jail], outside: int, hooks: str) -> None:
    """Others on the wire of a bridge by which 127/8 is routed do not reach what listens there (CVE-2020-8558)."""
    _hook(hooks)
    own = converge(jail, _OWN)
    lead(jail, own, _WEB, {"host_port": "8081", "jail_port": "80", "host_address": "127.0.0.1"})
    assert sysctl.read("net/ipv4/conf/br-jails/route_localnet") == "1"
    other = start("other", 3)  # a machine on the bridge, behind no filter of ours
    run(f"ip link add stranger type veth peer name eth0 netns {other.pid}")
    run("ip link set stranger master br-jails up")
    for command in (
        "ip addr add 10.77.0.99/24 dev eth0",
        "ip link set eth0 up",
        "ip route del local 127.0.0.0/8 table local dev lo",
        "ip route add 127.0.0.0/8 via 10.77.0.1",
        "sysctl -qw net.ipv4.conf.all.route_localnet=1",
        "sysctl -qw net.ipv4.conf.eth0.route_localnet=1",
    ):
        subprocess.run(["nsenter", "-t", str(other.pid), "-n", *command.split()], check=False, capture_output=True)
    run("ip route add 127.0.0.1/32 via 192.0.2.1", outside)
    with serving(0, 9999) as server, serving(jail.pid, 80) as web:
        for port, end in ((9999, server), (8080, web), (8081, web)):
            assert knock(end, "127.0.0.1", port, other.pid) is None
        assert knock(web, "127.0.0.1", 8081)
        # The control: without our filter the kernel takes it.
        run("nft flush chain inet jails published_loopback")
        assert knock(server, "127.0.0.1", 9999, other.pid) == "10.77.0.99"
        assert knock(web, "127.0.0.1", 8081, other.pid) is None
