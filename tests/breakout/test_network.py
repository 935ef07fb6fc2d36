# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network: what a jail says it is, and whom it reaches."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.net import sysctl
from ansible_collections.cellblock.jails.plugins.module_utils.net.addresses import stable_mac
from ansible_collections.cellblock.jails.plugins.module_utils.net.ingress import link_local
from ansible_collections.cellblock.jails.tests.breakout.support.cells import Cell
from ansible_collections.cellblock.jails.tests.integration.support import frames
from ansible_collections.cellblock.jails.tests.integration.support.calls import jail, module, pid_of
from ansible_collections.cellblock.jails.tests.integration.support.lies import FOREIGN, LIES, NOBODYS, Lie, Station

_BRIDGE, _DEVICE = "br-breakout", "eth0"
_GATEWAYS = ("10.77.0.1", "fd77::1")
_OWN = ("10.77.0.2", "fd77::2")
_NEIGHBOURS = ("10.77.0.3", "fd77::3")


class Wired(NamedTuple):
    """A jail with a neighbour on the same bridge, and the addresses of both."""

    cell: Cell
    neighbour: Cell
    own: Station
    other: Station


@pytest.fixture(scope="module")
def wired(cell: Cell, neighbour: Cell) -> Wired:
    """Two of them, with a gateway on the host."""
    # Where IP's hooks see what a bridge carries, fragments are put together on the way.
    sysctl.write_where_present("net/bridge/bridge-nf-call-ip6tables", "0")
    _give(neighbour, _NEIGHBOURS)
    _give(cell, _OWN)
    stations = []
    for each, addresses in ((cell, _OWN), (neighbour, _NEIGHBOURS)):
        mac = _mac_of(each, _DEVICE)
        stations.append(Station(mac, *addresses, link_local(mac)))
    return Wired(cell, neighbour, *stations)


def _give(cell: Cell, addresses: tuple[str, str], **more: Any) -> None:
    """An interface, with other options than usual if need be."""
    interface = {
        "name": _DEVICE,
        "bridge": _BRIDGE,
        "addresses": [f"{addresses[0]}/16", f"{addresses[1]}/64"],
        "gateway": _GATEWAYS[0],
        "gateway6": _GATEWAYS[1],
    }
    module("jail_net", name=cell.name, interfaces=[{**interface, **more}])


@contextlib.contextmanager
def _opened(wired: Wired, **switches: Any) -> Iterator[None]:
    """Without a protection, for a ``with`` block: the controls."""
    _give(wired.cell, _OWN, **switches)
    try:
        yield
    finally:
        _give(wired.cell, _OWN)


def _mac_of(cell: Cell, device: str) -> str:
    shown = _in_network_of(cell, "ip", "-o", "link", "show", device)
    return shown.split("link/ether ")[1].split()[0]


def _in_network_of(cell: Cell, *command: str) -> str:
    """What a command of the host says in a jail's network namespace, with all capabilities there."""
    done = subprocess.run(
        ["nsenter", "-t", str(pid_of(cell.name)), "-n", *command], check=True, capture_output=True, text=True
    )
    return done.stdout


@contextlib.contextmanager
def _receiver(family: socket.AddressFamily) -> Iterator[socket.socket]:
    """A socket of the host that waits for a datagram."""
    with socket.socket(family, socket.SOCK_DGRAM) as end:
        end.bind(("", 0))
        end.settimeout(0.3)
        yield end


def _source(end: socket.socket) -> str | None:
    """Who sent the datagram that arrived."""
    try:
        return str(end.recvfrom(100)[1][0])
    except TimeoutError:
        return None


@pytest.mark.row(43)
@pytest.mark.parametrize("version", [0, 1], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("how", ["bind", "packet"])
def test_source_addresses_by_ordinary_sockets(wired: Wired, version: int, how: str) -> None:
    """Sockets that everybody may have send from the jail's own address alone. Without the filter a bind is enough to
    send from any IPv6 address."""
    family = (socket.AF_INET, socket.AF_INET6)[version]
    with _receiver(family) as end:
        port = str(end.getsockname()[1])
        for source in (NOBODYS[version], _NEIGHBOURS[version], _GATEWAYS[version]):
            assert wired.cell.run("spoof", source, _GATEWAYS[version], port, how) != "ok"
        assert _source(end) is None
        assert wired.cell.run("spoof", _OWN[version], _GATEWAYS[version], port, how) == "ok"
        assert _source(end) == _OWN[version]
        if (version, how) == (1, "bind"):
            words = ("spoof", NOBODYS[version], _GATEWAYS[version], port, how)
            _in_network_of(wired.cell, wired.cell.programs.attack, *words)
            assert _source(end) is None
            with _opened(wired, spoof_protection=False):
                _in_network_of(wired.cell, wired.cell.programs.attack, *words)
                assert _source(end) == NOBODYS[version]


@pytest.mark.row(43, 44)
def test_no_frames_without_raw_sockets(wired: Wired) -> None:
    """A default jail has no way to send frames at all; with raw sockets it has, see below."""
    for frame in LIES[0].frames(wired.own, wired.other):
        assert wired.cell.run("frame", _DEVICE, frame.hex()) == "EAFNOSUPPORT"


@pytest.fixture(scope="module")
def with_raw_sockets(wired: Wired) -> Iterator[Wired]:
    """The jail with raw and packet sockets allowed."""
    wired.cell.restart(allow_raw_sockets=True, allow_socket_af=True)
    yield wired
    wired.cell.restart(allow_raw_sockets=False, allow_socket_af=False)


def _heard(wired: Wired, sent: list[bytes]) -> list[bytes]:
    """What the neighbour hears of the frames that the jail sends."""
    with frames.listening(pid_of(wired.neighbour.name), _DEVICE) as ear:
        for frame in sent:
            assert wired.cell.run("frame", _DEVICE, frame.hex()) == "ok"
        return ear.heard(*sent)


@pytest.mark.parametrize("lie", [pytest.param(lie, marks=pytest.mark.row(lie.row), id=lie.name) for lie in LIES])
def test_frames_of_a_jail_with_raw_sockets(with_raw_sockets: Wired, lie: Lie) -> None:
    """They do not arrive at its neighbour; but for that protection they do."""
    wired = with_raw_sockets
    said = lie.frames(wired.own, wired.other)
    assert said[-1] not in _heard(wired, said)
    with _opened(wired, **dict([lie.switch])):
        assert _heard(wired, said) == said


@pytest.mark.row(43, 44)
def test_honest_frames_of_a_jail_with_raw_sockets(with_raw_sockets: Wired) -> None:
    """What is its own arrives."""
    own, other = with_raw_sockets.own, with_raw_sockets.other
    for source, target in ((own.ipv4, other.ipv4), (own.ipv6, other.ipv6)):
        honest = [frames.datagram(other.mac, own.mac, source, target, (9, 9))]
        assert _heard(with_raw_sockets, honest) == honest


@pytest.mark.row(43)
def test_the_filter_stands_before_the_first_instruction(with_raw_sockets: Wired) -> None:
    """A jail that lies from its first instruction on is not heard at its start, and then its honest neighbour is."""
    wired = with_raw_sockets
    (lie,) = LIES[0].frames(wired.own, wired.other)
    honest = frames.datagram(wired.other.mac, wired.own.mac, wired.own.ipv4, wired.other.ipv4, (9, 9))
    attack = wired.cell.programs.attack
    says = " & ".join(f"{attack} frame {_DEVICE} {frame.hex()}" for frame in (lie, honest))
    with frames.listening(pid_of(wired.neighbour.name), _DEVICE) as ear:
        wired.cell.restart(command=["sh", "-c", f"while :; do {says}; wait; done"])
        try:
            assert ear.heard(lie, honest, seconds=2) == [honest]
        finally:
            wired.cell.restart(command=["sleep", "100000"])


@pytest.mark.row(43)
def test_no_rule_of_the_administrators_lets_them_by(with_raw_sockets: Wired) -> None:
    """Whatever is accepted elsewhere and before: theirs are other tables (CVE-2025-52890)."""
    wired = with_raw_sockets
    hooks = {
        "bridge": "hook prerouting priority -1000",
        "netdev": f"hook ingress device {_host_end(wired)} priority -1000",
    }
    said = [frame for lie in LIES if lie.switch == ("spoof_protection", False) for frame in lie.frames(*wired[2:])[-1:]]
    for family, hook in hooks.items():
        table = f"table {family} theirs {{ chain early {{ type filter {hook}; policy accept; accept; }}; }}"
        subprocess.run(["nft", table], check=True)
        try:
            assert _heard(wired, said) == []
        finally:
            subprocess.run(["nft", f"delete table {family} theirs"], check=True)


def _host_end(wired: Wired) -> str:
    shown = subprocess.run(["ip", "-o", "link"], check=True, capture_output=True, text=True).stdout
    line = next(line for line in shown.splitlines() if f"alias jail {wired.cell.name} {_DEVICE}" in line)
    return line.split(": ")[1].partition("@")[0]


@pytest.fixture
def service() -> Iterator[Callable[[str], str]]:
    """Starts services of the host that listen on one address alone; gives their ports."""
    with contextlib.ExitStack() as stack:

        def start(address: str) -> str:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            end = stack.enter_context(socket.create_server((address, 0), family=family))
            return str(end.getsockname()[1])

        yield start


@pytest.mark.row(45)
@pytest.mark.parametrize("device", [(), (_DEVICE,)], ids=["by-route", "by-device"])
def test_services_on_the_hosts_loopback(wired: Wired, service: Callable[[str], str], device: tuple[str, ...]) -> None:
    """127.0.0.1 is the jail's own, and by its interface it leads nowhere; the host's own processes reach it."""
    port = service("127.0.0.1")
    assert wired.cell.run("reach", "127.0.0.1", port, *device) != "ok"
    done = subprocess.run([wired.cell.programs.attack, "reach", "127.0.0.1", port], check=True, capture_output=True)
    assert done.stdout == b"ok\n"


@pytest.mark.row(45)
@pytest.mark.parametrize("address", ["169.254.169.254", "fd00:ec2::254"])
def test_link_local_metadata(wired: Wired, service: Callable[[str], str], address: str) -> None:
    """The address at which clouds tell their machines' secrets answers the host and no jail."""
    # Without "nodad" an IPv6 address is usable a moment later only.
    length, *at_once = (128, "nodad") if ":" in address else (32,)
    subprocess.run(["ip", "addr", "add", f"{address}/{length}", "dev", "lo", *at_once], check=True)
    try:
        port = service(address)
        done = subprocess.run([wired.cell.programs.attack, "reach", address, port], check=True, capture_output=True)
        assert done.stdout == b"ok\n"
        assert wired.cell.run("reach", address, port) != "ok"
        with _opened(wired, allow_metadata=True):
            assert wired.cell.run("reach", address, port) == "ok"
    finally:
        subprocess.run(["ip", "addr", "del", f"{address}/{length}", "dev", "lo"], check=True)


@pytest.mark.row(45)
def test_the_hosts_loopback_where_it_is_routed(with_raw_sockets: Wired, service: Callable[[str], str]) -> None:
    """A host may let packets to 127/8 in by a device (route_localnet, for ports that it publishes): a jail's are none
    of those. (The control is a device without our filter.)"""
    wired = with_raw_sockets
    port = int(service("127.0.0.1"))
    frame = frames.connection(stable_mac("", _BRIDGE), wired.own.mac, (wired.own.ipv4, "127.0.0.1"), (4321, port))
    routed = f"net/ipv4/conf/{_BRIDGE}/route_localnet"
    sysctl.write(routed, "1")
    try:
        for command, answered in (("list tables", False), (f"delete chain netdev jails {_host_end(wired)}", True)):
            subprocess.run(["nft", command], check=True, stdout=subprocess.DEVNULL)
            with frames.listening(pid_of(wired.cell.name), _DEVICE) as ear:
                assert wired.cell.run("frame", _DEVICE, frame.hex()) == "ok"
                assert ear.hears_from("127.0.0.1", port) == answered
    finally:
        sysctl.write(routed, "0")
        _give(wired.cell, _OWN)


@pytest.mark.row(45)
@pytest.mark.parametrize("version", [0, 1], ids=["IPv4", "IPv6"])
def test_isolated_neighbours(wired: Wired, version: int) -> None:
    """Jails that are to be alone on their bridge do not hear of each other, and both of the host."""
    port = "9"
    try:
        for isolate, refused in ((False, ("ECONNREFUSED",)), (True, ("EHOSTUNREACH", "ETIMEDOUT", "EINPROGRESS"))):
            _give(wired.neighbour, _NEIGHBOURS, isolate=isolate)
            _give(wired.cell, _OWN, isolate=isolate)
            assert wired.cell.run("reach", _NEIGHBOURS[version], port) in refused
            assert wired.cell.run("reach", _GATEWAYS[version], port) == "ECONNREFUSED"
    finally:
        _give(wired.neighbour, _NEIGHBOURS)
        _give(wired.cell, _OWN)


@pytest.mark.row(46)
@pytest.mark.parametrize("version", [0, 1], ids=["IPv4", "IPv6"])
def test_addresses_are_given_by_the_host(wired: Wired, version: int) -> None:
    """The jail adds none to its interface, takes none away, makes no device; the host's root does, there."""
    length = (16, 64)[version]
    for words in (
        ("addr", "add", f"{NOBODYS[version]}/{length}", "dev", _DEVICE),
        ("addr", "del", f"{_OWN[version]}/{length}", "dev", _DEVICE),
        ("link", "set", _DEVICE, "down"),
        ("link", "set", _DEVICE, "address", FOREIGN),
        ("route", "del", "default"),
    ):
        done = jail("exec", wired.cell.name, "--", "ip", *words)
        assert done.returncode != 0, words
        assert b"permitted" in done.stderr, (words, done)
    for verb in ("add", "del"):
        _in_network_of(wired.cell, "ip", "addr", verb, f"{NOBODYS[version]}/{length}", "dev", _DEVICE)
