# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The net layer against the real kernel, as root: each test has network namespaces of its own for host and jails."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import namespaces, process
from ansible_collections.cellblock.jails.plugins.module_utils.net import firewall, forwarding, loopback, sysctl
from ansible_collections.cellblock.jails.plugins.module_utils.net.addresses import Interface, parse_interfaces
from ansible_collections.cellblock.jails.plugins.module_utils.net.netlink import Netlink
from ansible_collections.cellblock.jails.plugins.module_utils.net.network import Network

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

FULL = {
    "name": "eth0",
    "bridge": "br-jails",
    "addresses": ["10.77.0.11/24", "fd77::11/64"],
    "gateway": "10.77.0.1",
    "gateway6": "fd77::1",
    "masquerade": True,
}
PLAIN = {"name": "eth0", "bridge": "br-jails", "addresses": ["10.77.0.11/24"]}


class Jail(NamedTuple):
    """A process in a network namespace of its own."""

    pid: int
    name: str
    slot: int


def _empty_namespace() -> int:
    """The pid of a process in a new network namespace."""
    ready, tell = os.pipe()

    def child() -> None:
        process.die_with_parent()
        namespaces.unshare(namespaces.CLONE_NEWNET)
        os.write(tell, b".")
        signal.pause()

    pid = process.fork(child)
    os.read(ready, 1)
    os.close(ready)
    os.close(tell)
    return pid


def end(pid: int) -> None:
    """Kill a child."""
    os.kill(pid, signal.SIGKILL)
    process.wait(pid)


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A network namespace that plays the host: the test is in it, and the machine's own stays as it is."""
    monkeypatch.setattr(layout, "HOST_STATE", str(tmp_path / "host.json"))
    monkeypatch.setattr(layout, "LOCKS", str(tmp_path / "locks"))
    home = namespaces.open_namespace(os.getpid(), "net")
    try:
        namespaces.unshare(namespaces.CLONE_NEWNET)
        loopback.bring_up(os.getpid())
        yield
    finally:
        namespaces.setns(home, namespaces.CLONE_NEWNET)
        os.close(home)


@pytest.fixture
def start() -> Iterator[Callable[..., Jail]]:
    """Makes jails without a network; they end with the test."""
    pids = []

    def one(name: str = "web1", slot: int = 1) -> Jail:
        pids.append(_empty_namespace())
        return Jail(pids[-1], name, slot)

    yield one
    for pid in pids:
        end(pid)


@pytest.fixture
def jail(start: Callable[..., Jail]) -> Jail:
    """The jail ``web1``, without a network."""
    return start()


def run(command: str, where: int = 0) -> str:
    """What a command prints that somebody gives by hand, on the host or in the network namespace of a pid."""
    with namespaces.network_namespace(where or os.getpid()):
        return subprocess.check_output(shlex.split(command), text=True, stderr=subprocess.STDOUT)


def converge(jail: Jail, *values: dict[str, Any]) -> list[Interface]:
    """Give a jail these interfaces as one run of the module does, and see that it reads them back."""
    wanted = parse_interfaces(jail.name, values)
    with Network() as network:
        network.converge(jail.pid, jail.name, jail.slot, wanted)
    assert read(jail) == wanted
    return wanted


def read(jail: Jail) -> list[Interface]:
    """The live interfaces as a new run sees them."""
    with Network() as network:
        return network.read(jail.pid, jail.slot)


def release(removed: list[Interface], *kept: Interface) -> None:
    """Take away what only the removed interfaces needed."""
    with Network() as network:
        network.release(removed, lambda: kept)


def connect(address: str, server: int, client: int = 0) -> tuple[socket.socket, socket.socket]:
    """A TCP connection between two network namespaces: the client's end and the server's."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with namespaces.network_namespace(server or os.getpid()):
        listener = socket.create_server((address, 0), family=family)
    with namespaces.network_namespace(client or os.getpid()), listener:
        near = socket.create_connection(listener.getsockname()[:2], timeout=3)
        far, _peer = listener.accept()
    far.settimeout(3)
    return near, far


def assert_alive(connection: tuple[socket.socket, socket.socket]) -> None:
    """Both ends of a connection hear each other."""
    for one, other in (connection, connection[::-1]):
        one.sendall(b"ping")
        assert other.recv(4) == b"ping"


def assert_reachable(address: str, server: int, client: int = 0) -> tuple[str, ...]:
    """A connection can be made now; gives the address that the server sees."""
    near, far = connect(address, server, client)
    with near, far:
        assert_alive((near, far))
        return tuple(far.getpeername()[:1])


def everything(*pids: int) -> list[str]:
    """All that the kernel says about links, addresses, routes and the firewall, here and in the namespaces of pids."""
    asked = ("ip -d link", "ip addr", "ip -4 route show table all", "ip -6 route show table all", "nft list ruleset")
    return [run(command, where) for where in (0, *pids) for command in asked]


SHAPES: dict[str, list[dict[str, Any]]] = {
    "nothing": [],
    "bare": [{"name": "eth0", "bridge": "br-jails"}],
    "plain": [PLAIN],
    "full": [FULL],
    "many addresses": [
        {**FULL, "addresses": [f"10.77.0.{last}/24" for last in range(11, 31)] + ["10.78.0.1/31", "fd77::b/64"]}
    ],
    "odd": [
        {**PLAIN, "name": "lan_1.7-x", "mac": "0a:00:00:00:00:07", "mtu": 9000, "gateway": "10.77.0.254"},
    ],
    "link-local gateway": [{**FULL, "gateway6": "fe80::1"}],
    "another bridge": [{**FULL, "bridge": "br-other"}],
    "two": [FULL, {"name": "data", "bridge": "br-data", "addresses": ["192.0.2.9/28", "fd78::9/64"], "mtu": 1280}],
    "two on one bridge": [FULL, {**PLAIN, "name": "eth1", "addresses": ["10.77.0.12/24"]}],
    "the second leads out": [
        {**FULL, "gateway": None, "gateway6": None, "masquerade": False},
        {**FULL, "name": "eth1", "bridge": "br-data", "addresses": ["192.0.2.9/28", "fd78::9/64"]}
        | {"gateway": "192.0.2.1", "gateway6": "fd78::1"},
    ],
    "only the second is masked": [
        {**FULL, "masquerade": False},
        {"name": "eth1", "bridge": "br-data", "addresses": ["192.0.2.9/28"], "masquerade": True},
    ],
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_what_is_wanted_is_read_back_and_a_second_run_changes_nothing(jail: Jail, shape: list[dict[str, Any]]) -> None:
    assert read(jail) == []
    converge(jail, *shape)
    before = everything(jail.pid)
    assert "UP" in run("ip link show lo", jail.pid)
    converge(jail, *shape)
    assert _steady(everything(jail.pid)) == _steady(before)


def _steady(texts: list[str]) -> list[str]:
    # A link-local address comes of itself, a moment after the link is up; so do routes for it and the bridge's timers.
    mute = ("fe80", "ff00", "bridge", "forever", "ether")
    return [line for text in texts for line in text.splitlines() if not any(word in line for word in mute)]


@pytest.mark.parametrize("first", SHAPES.values(), ids=SHAPES.keys())
def test_every_shape_becomes_the_full_one_and_goes_away(jail: Jail, first: list[dict[str, Any]]) -> None:
    converge(jail, *first)
    converge(jail, FULL)
    converge(jail, *first)
    converge(jail)


def test_a_second_run_sends_no_message_that_changes_anything(jail: Jail) -> None:
    converge(jail, *SHAPES["two"])
    with _listener(0) as on_host, _listener(jail.pid) as in_jail:
        _until_quiet(on_host, in_jail)
        converge(jail, *SHAPES["two"])
        assert _pending(on_host) == _pending(in_jail) == 0


def _listener(pid: int) -> socket.socket:
    """A socket that hears of every change of links, addresses and routes (rtnetlink(7))."""
    link, addr4, route4, addr6, route6 = 1, 0x10, 0x40, 0x100, 0x400
    with namespaces.network_namespace(pid or os.getpid()):
        listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    listener.bind((0, link | addr4 | route4 | addr6 | route6))
    listener.setblocking(False)
    return listener


def _pending(listener: socket.socket) -> int:
    count = 0
    try:
        while listener.recv(1 << 16):
            count += 1
    except BlockingIOError:
        return count
    raise AssertionError("a netlink socket does not end")


def _until_quiet(*listeners: socket.socket) -> None:
    """Wait until link-local addresses are assigned: duplicate address detection takes one to two seconds."""
    deadline = time.monotonic() + 10
    quiet = time.monotonic()
    while time.monotonic() < deadline and time.monotonic() - quiet < 2.5:
        if sum(_pending(listener) for listener in listeners):
            quiet = time.monotonic()
        time.sleep(0.1)


def test_the_network_works_at_once(jail: Jail) -> None:
    with Network() as network, Netlink() as host:
        network.converge(jail.pid, jail.name, jail.slot, parse_interfaces(jail.name, [FULL]))
        outside = host.link("vj1n0")
        assert outside
        assert not host.is_idle_port(outside)
    assert_reachable("10.77.0.11", jail.pid)
    assert_reachable("fd77::11", jail.pid)
    assert_reachable("10.77.0.1", 0, jail.pid)
    assert_reachable("fd77::1", 0, jail.pid)
    assert_reachable("127.0.0.1", jail.pid, jail.pid)


def test_jails_of_one_bridge_reach_each_other(start: Callable[..., Jail]) -> None:
    web, db = start("web1", 1), start("db1", 2)
    with Network() as network:
        for jail, last in ((web, 11), (db, 12)):
            value = {**FULL, "addresses": [f"10.77.0.{last}/24", f"fd77::{last}/64"]}
            network.converge(jail.pid, jail.name, jail.slot, parse_interfaces(jail.name, [value]))
    assert assert_reachable("10.77.0.12", db.pid, web.pid) == ("10.77.0.11",)
    assert assert_reachable("fd77::11", web.pid, db.pid) == ("fd77::12",)


@pytest.fixture
def outside() -> Iterator[int]:
    """The pid of a machine beyond the host, at 192.0.2.2 and 2001:db8::2, that knows no route to the jails."""
    pid = _empty_namespace()
    run(f"ip link add uplink type veth peer name eth0 netns {pid}")
    run("ip addr add 192.0.2.1/24 dev uplink")
    run("ip addr add 2001:db8::1/64 dev uplink nodad")
    run("ip link set uplink up")
    run("ip addr add 192.0.2.2/24 dev eth0", pid)
    run("ip addr add 2001:db8::2/64 dev eth0 nodad", pid)
    run("ip link set eth0 up", pid)
    yield pid
    end(pid)


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


def test_traffic_between_bridges_keeps_its_addresses(start: Callable[..., Jail]) -> None:
    web, db = start("web1", 1), start("db1", 2)
    converge(web, FULL)
    other = {"addresses": ["10.78.0.12/24"], "gateway": "10.78.0.1", "gateway6": None}
    converge(db, {**FULL, "bridge": "br-db", **other})
    assert assert_reachable("10.78.0.12", db.pid, web.pid) == ("10.77.0.11",)


@pytest.mark.parametrize("address", ["10.77.0.12", "fd77::12"])
def test_connections_live_through_changes(jail: Jail, address: str) -> None:
    both = {**FULL, "addresses": ["10.77.0.11/24", "10.77.0.12/24", "fd77::11/64", "fd77::12/64"]}
    converge(jail, both)
    near, far = connect(address, jail.pid)
    with near, far:
        for changes in (
            {"addresses": ["10.77.0.12/24", "fd77::12/64"]},  # 10.77.0.12 is a secondary address of 10.77.0.11
            {"mtu": 1400},
            {"gateway": "10.77.0.254", "gateway6": "fd77::fe"},
            {"masquerade": False},
            {"addresses": ["10.77.0.12/16", "fd77::12/48"]},
            {"mac": "02:00:00:00:00:77"},
        ):
            converge(jail, {**both, **changes})
            assert_alive((near, far))
        converge(jail, both, {"name": "data", "bridge": "br-data", "addresses": ["10.78.0.1/24"]})
        assert_alive((near, far))


def test_an_address_that_stays_is_not_taken_away_for_a_moment(jail: Jail) -> None:
    both = {**PLAIN, "addresses": ["10.77.0.11/24", "10.77.0.12/24"], "gateway": "10.77.0.1"}
    converge(jail, both)
    with _listener(jail.pid) as listener:
        converge(jail, {**both, "addresses": ["10.77.0.12/24"]})
        removed = _messages(listener, 21)  # RTM_DELADDR
    assert len(removed) == 1
    assert socket.inet_aton("10.77.0.11") in removed[0]


def _messages(listener: socket.socket, kind: int) -> list[bytes]:
    found = []
    try:
        while True:
            message = listener.recv(1 << 16)
            if int.from_bytes(message[4:6], sys.byteorder) == kind:
                found.append(message)
    except BlockingIOError:
        return found


IN_JAIL = [
    "ip addr del 10.77.0.11/24 dev eth0",
    "ip addr del fd77::11/64 dev eth0",
    "ip addr add 10.77.0.99/24 dev eth0",
    "ip addr add fd77::99/64 dev eth0",
    "ip addr replace 10.77.0.11/32 dev eth0",
    "ip link set eth0 down",
    "ip link set eth0 mtu 1400",
    "ip link set eth0 mtu 1000",
    "ip link set eth0 address 02:00:00:00:00:99",
    "ip link del eth0",
    "ip route del default",
    "ip -6 route del default",
    "ip route replace default via 10.77.0.9",
    "ip -6 route append default via fd77::9 metric 1024",
    "ip -6 route add default via fd77::9 metric 7",
    "ip route replace default dev eth0",
]
ON_HOST = [
    "ip link set vj1n0 nomaster",
    "ip link set vj1n0 down",
    "ip link del vj1n0",
    "ip addr del 10.77.0.1/24 dev br-jails",
    "ip addr del fd77::1/64 dev br-jails",
    "ip link set br-jails down",
    "ip link del br-jails",
    "nft flush ruleset",
    "nft flush table inet jails",
    "nft delete element inet jails masquerade4 { 10.77.0.11 }",
    "nft delete element inet jails bridges { br-jails }",
    "sh -c 'echo 0 >/proc/sys/net/ipv4/ip_forward'",
    "sh -c 'echo 0 >/proc/sys/net/ipv6/conf/all/forwarding'",
]


@pytest.mark.parametrize(
    ("command", "on_host"), [*((each, False) for each in IN_JAIL), *((each, True) for each in ON_HOST)]
)
def test_what_somebody_did_by_hand_is_seen_and_put_right(jail: Jail, command: str, on_host: bool) -> None:
    wanted = converge(jail, FULL)
    run(command, 0 if on_host else jail.pid)
    assert read(jail) != wanted
    converge(jail, FULL)
    assert_reachable("10.77.0.11", jail.pid)
    assert_reachable("fd77::1", 0, jail.pid)


def test_an_interface_that_was_renamed_is_made_anew(jail: Jail) -> None:
    wanted = converge(jail, FULL)
    run("ip link set eth0 down", jail.pid)
    with namespaces.network_namespace(jail.pid):
        subprocess.run([b"ip", b"link", b"set", b"eth0", b"name", b"\xff\x01"], check=True)
    assert [interface["name"] for interface in read(jail)] == ["\ufffd\x01"]
    assert converge(jail, FULL) == wanted


def test_a_wrong_prefix_length_on_the_bridge_is_put_right(jail: Jail) -> None:
    wanted = converge(jail, FULL)
    run("ip addr del fd77::1/64 dev br-jails")
    run("ip addr add fd77::1/128 dev br-jails")
    assert read(jail) != wanted
    converge(jail, FULL)


def test_devices_that_the_jail_made_are_its_own(jail: Jail) -> None:
    converge(jail, FULL)
    run("ip tuntap add tun7 mode tun", jail.pid)
    run("ip link add here type veth peer name there", jail.pid)
    converge(jail, FULL)
    converge(jail)
    assert "tun7" in run("ip link", jail.pid)


def test_removing_everything_leaves_nothing(jail: Jail) -> None:
    before = everything(), _sysctls()
    first = converge(jail, *SHAPES["two"])
    converge(jail)
    release(first)
    assert (everything(), _sysctls()) == before
    assert loopback.is_alone(jail.pid)
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


def test_a_bridge_of_the_administrator_is_used_as_it_is(jail: Jail) -> None:
    run("ip link add br-lan type bridge")
    run("ip link add nic type veth peer name wire")
    run("ip link set wire up")
    run("ip link set nic master br-lan address 02:00:00:00:00:10 mtu 9000 up")
    run("ip link set br-lan up")
    run("ip addr add 10.77.0.5/24 dev br-lan")
    before = run("ip -o -4 addr show br-lan"), run("ip -o link show br-lan")
    on_lan = {**FULL, "bridge": "br-lan", "mac": "00:00:00:00:00:11"}
    wanted = converge(jail, on_lan)
    assert_reachable("10.77.0.11", jail.pid)
    assert "10.77.0.1/" not in run("ip addr show br-lan")
    assert (run("ip -o -4 addr show br-lan"), run("ip -o link show br-lan")) == before  # its MAC address and MTU too
    converge(jail)
    release(wanted)
    assert (run("ip -o -4 addr show br-lan"), run("ip -o link show br-lan")) == before


def test_a_device_that_is_no_bridge_is_refused(jail: Jail) -> None:
    run("ip tuntap add br-jails mode tap")
    with pytest.raises(JailError, match="br-jails is no bridge but tun"):
        converge(jail, PLAIN)


def test_a_name_that_the_jail_uses_itself_is_refused(jail: Jail) -> None:
    run("ip tuntap add eth0 mode tap", jail.pid)
    with pytest.raises(JailError, match="the jail has a device eth0 of its own"):
        converge(jail, PLAIN)


def test_what_the_kernel_refuses_is_said_with_what_was_tried(jail: Jail) -> None:
    run("ip link add slave type veth")
    run("sysctl -qw net.ipv6.conf.default.disable_ipv6=1", jail.pid)
    with pytest.raises(JailError, match=r"^interfaces: adding the address fd77::11/64 to eth0: Permission denied"):
        converge(jail, FULL)


def test_a_jail_that_starts_again_before_its_old_namespace_is_gone(start: Callable[..., Jail]) -> None:
    old, new = start(), start()
    converge(old, FULL)
    converge(new, FULL)
    assert_reachable("10.77.0.11", new.pid)
    assert read(old) == []


def test_a_bridge_that_was_left_half_made(jail: Jail) -> None:
    run("ip link add jails-new type bridge")
    converge(jail, FULL)
    assert "jails-new" not in run("ip link")


def test_an_interface_that_was_left_half_made(jail: Jail) -> None:
    wanted = converge(jail, FULL)
    run("ip link set vj1n0 down alias x")
    run("ip addr flush dev eth0", jail.pid)
    run("ip link set eth0 down", jail.pid)
    run("sysctl -qw net.ipv6.conf.eth0.accept_ra=1", jail.pid)
    assert converge(jail, FULL) == wanted
    assert "alias jail web1 eth0" in run("ip link show vj1n0")
    assert run("sysctl -n net.ipv6.conf.eth0.accept_ra", jail.pid) == "0\n"


@pytest.mark.row(44)
def test_no_advertisement_from_a_jail_reaches_the_host_and_none_the_jail(jail: Jail) -> None:
    converge(jail, FULL)
    assert sysctl.read("net/ipv6/conf/br-jails/accept_ra") == "0"
    assert sysctl.read("net/ipv6/conf/vj1n0/disable_ipv6") == "1"
    with namespaces.network_namespace(jail.pid):
        assert sysctl.read("net/ipv6/conf/eth0/accept_ra") == "0"


def test_addresses_that_jails_exchange_stay_reachable_and_masqueraded(start: Callable[..., Jail]) -> None:
    web, db = start("web1", 1), start("db1", 2)
    first: dict[str, Any] = {**PLAIN, "gateway": "10.77.0.1", "masquerade": True}
    second = {**first, "addresses": ["10.77.0.12/24"]}
    with Network() as network:
        for one, other in ((first, second), (second, first)):
            for jail, value in ((web, one), (db, other)):
                network.converge(jail.pid, jail.name, jail.slot, parse_interfaces(jail.name, [value]))
            for jail, value in ((web, one), (db, other)):
                assert network.read(jail.pid, jail.slot) == parse_interfaces(jail.name, [value])
                # The host still has the other jail's MAC address for it, were it not told.
                assert_reachable(value["addresses"][0].partition("/")[0], jail.pid)
    elements = firewall.read()
    assert elements
    assert elements.addresses == {"10.77.0.12": "web1", "10.77.0.11": "db1"}


def test_the_administrators_tables_stay(jail: Jail) -> None:
    run("nft add table inet mine")
    wanted = converge(jail, FULL)
    converge(jail)
    release(wanted)
    assert run("nft list tables") == "table inet mine\n"


def test_without_masquerading_nft_is_not_run(jail: Jail, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_ignored: object) -> None:
        raise AssertionError("nft is run")

    monkeypatch.setattr(firewall, "_nft", refuse)
    wanted = converge(jail, {**FULL, "masquerade": False})
    converge(jail)
    release(wanted)
    assert not os.path.exists(layout.HOST_STATE)


def test_a_missing_nft_is_named_with_its_package(jail: Jail, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_ignored, **_also: None)
    with pytest.raises(JailError, match="Debian's package is nftables"):
        converge(jail, FULL)


def test_a_missing_pyroute2_is_named_with_its_package_where_it_is_needed(
    jail: Jail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyroute2.iproute", None)
    converge(jail)
    assert "UP" in run("ip link show lo", jail.pid)
    with pytest.raises(JailError, match="Debian's package is python3-pyroute2"):
        converge(jail, PLAIN)


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


def test_processes_that_converge_at_once(start: Callable[..., Jail]) -> None:
    jails = [start(f"j{slot}", slot) for slot in range(1, 9)]
    values = [{**FULL, "addresses": [f"10.77.0.{jail.slot + 10}/24", f"fd77::{jail.slot + 10}/64"]} for jail in jails]

    def one(jail: Jail, value: dict[str, Any]) -> Callable[[], None]:
        def child() -> None:
            with Network() as network:
                network.converge(jail.pid, jail.name, jail.slot, parse_interfaces(jail.name, [value]))

        return child

    children = [process.fork(one(jail, value)) for jail, value in zip(jails, values)]
    assert [process.wait(child) for child in children] == [0] * len(jails)
    for jail, value in zip(jails, values):
        assert read(jail) == parse_interfaces(jail.name, [value])


def test_no_thread_and_no_inheritable_descriptor(jail: Jail) -> None:
    before = set(os.listdir("/proc/self/fd"))
    with Network() as network:
        network.converge(jail.pid, jail.name, jail.slot, parse_interfaces(jail.name, [FULL]))
        network.read(jail.pid, jail.slot)
        assert len(os.listdir("/proc/self/task")) == 1
        opened = [int(number) for number in set(os.listdir("/proc/self/fd")) - before if _is_open(number)]
        assert opened
        assert not any(os.get_inheritable(number) for number in opened)
    assert set(os.listdir("/proc/self/fd")) == before


def _is_open(number: str) -> bool:
    # The list has the descriptor by which it was read.
    return os.path.exists(f"/proc/self/fd/{number}")
