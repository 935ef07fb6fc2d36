# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network: what a jail says it is, and whom it reaches."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from ansible_collections.cellblock.jails.tests.breakout.support import frames
from ansible_collections.cellblock.jails.tests.breakout.support.cells import Cell
from ansible_collections.cellblock.jails.tests.breakout.support.known import expect_stopped, not_stopped
from ansible_collections.cellblock.jails.tests.integration.support.calls import jail, module, pid_of

_BRIDGE, _DEVICE = "br-breakout", "eth0"
_GATEWAYS = ("10.83.0.1", "fd83::1")
_OWN = ("10.83.0.2", "fd83::2")
_NEIGHBOURS = ("10.83.0.3", "fd83::3")
_NOBODYS = ("10.83.0.77", "fd83::77")
_FOREIGN_MAC = "02:aa:aa:aa:aa:aa"


class Wired(NamedTuple):
    """A jail with a neighbour on the same bridge, and the MAC addresses of both."""

    cell: Cell
    neighbour: Cell
    own: str
    other: str


@pytest.fixture(scope="module")
def wired(cell: Cell, neighbour: Cell) -> Wired:
    """Two of them, with a gateway on the host."""
    for each, addresses in ((cell, _OWN), (neighbour, _NEIGHBOURS)):
        interface = {
            "name": _DEVICE,
            "bridge": _BRIDGE,
            "addresses": [f"{addresses[0]}/16", f"{addresses[1]}/64"],
            "gateway": _GATEWAYS[0],
            "gateway6": _GATEWAYS[1],
        }
        module("jail_net", name=each.name, interfaces=[interface])
    own, other = (_mac_of(each, _DEVICE) for each in (cell, neighbour))
    return Wired(cell, neighbour, own, other)


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
        for source in (_NOBODYS[version], _NEIGHBOURS[version], _GATEWAYS[version]):
            assert wired.cell.run("spoof", source, _GATEWAYS[version], port, how) != "ok"
        assert _source(end) is None
        assert wired.cell.run("spoof", _OWN[version], _GATEWAYS[version], port, how) == "ok"
        assert _source(end) == _OWN[version]
        if (version, how) == (1, "bind"):
            words = ("spoof", _NOBODYS[version], _GATEWAYS[version], port, how)
            _in_network_of(wired.cell, wired.cell.programs.attack, *words)
            assert _source(end) == _NOBODYS[version]


def _frames(wired: Wired) -> dict[str, bytes]:
    """What a jail with raw sockets must not be able to say, to its neighbour."""
    own, other = wired.own, wired.other
    return {
        "MAC": frames.datagram(other, _FOREIGN_MAC, _OWN[0], _NEIGHBOURS[0], (9, 9)),
        "IPv4": frames.datagram(other, own, _NOBODYS[0], _NEIGHBOURS[0], (9, 9)),
        "ARP": frames.arp_reply(other, own, own, _GATEWAYS[0]),
        "NDP": frames.neighbour_advertisement(own, _GATEWAYS[1], own),
        "router": frames.router_advertisement(own, "fe80::2"),
        "DHCP": frames.datagram(frames.EVERYBODY, own, _OWN[0], "255.255.255.255", (67, 68)),
        "VLAN": frames.tagged(other, own, 7),
    }


@pytest.mark.row(43, 44)
def test_no_frames_without_raw_sockets(wired: Wired) -> None:
    """A default jail has no way to send frames at all; with raw sockets it has, see below."""
    for frame in _frames(wired).values():
        assert wired.cell.run("frame", _DEVICE, frame.hex()) == "EAFNOSUPPORT"


@pytest.fixture(scope="module")
def with_raw_sockets(wired: Wired) -> Iterator[Wired]:
    """The jail with raw and packet sockets allowed."""
    wired.cell.restart(allow_raw_sockets=True, allow_socket_af=True)
    yield wired
    wired.cell.restart(allow_raw_sockets=False, allow_socket_af=False)


_NO_FILTER = "no filter at the host's end"


@pytest.mark.parametrize(
    "which",
    [
        pytest.param(which, marks=[pytest.mark.row(row), not_stopped(what, _NO_FILTER)])
        for row, which, what in (
            (43, "MAC", "a foreign MAC address"),
            (43, "IPv4", "a foreign IPv4 address"),
            (43, "ARP", "ARP for the gateway"),
            (43, "NDP", "a neighbour advertisement for the gateway"),
            (44, "router", "a router advertisement"),
            (44, "DHCP", "an answer of a DHCP server"),
            (44, "VLAN", "a VLAN tag"),
        )
    ],
)
def test_frames_of_a_jail_with_raw_sockets(with_raw_sockets: Wired, which: str) -> None:
    """They do not arrive at its neighbour. (What is its own does.)"""
    wired = with_raw_sockets
    honest = frames.datagram(wired.other, wired.own, _OWN[0], _NEIGHBOURS[0], (9, 9))
    with frames.listening(pid_of(wired.neighbour.name), _DEVICE) as ear:
        assert wired.cell.run("frame", _DEVICE, honest.hex()) == "ok"
        assert ear.heard() == [honest]
        assert wired.cell.run("frame", _DEVICE, _frames(wired)[which].hex()) == "ok"
        expect_stopped(not ear.heard(), which)


@pytest.fixture
def service() -> Iterator[Callable[[str], str]]:
    """Starts services of the host that listen on one address alone; gives their ports."""
    with contextlib.ExitStack() as stack:

        def start(address: str) -> str:
            end = stack.enter_context(socket.create_server((address, 0)))
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
@not_stopped("link-local metadata", "a jail with a gateway reaches all addresses of the host, and what it forwards to")
def test_link_local_metadata(wired: Wired, service: Callable[[str], str]) -> None:
    """The address at which clouds tell their machines' secrets answers the host and no jail."""
    address = "169.254.169.254"
    subprocess.run(["ip", "addr", "add", f"{address}/32", "dev", "lo"], check=True)
    try:
        port = service(address)
        done = subprocess.run([wired.cell.programs.attack, "reach", address, port], check=True, capture_output=True)
        assert done.stdout == b"ok\n"
        expect_stopped(wired.cell.run("reach", address, port) != "ok", address)
    finally:
        subprocess.run(["ip", "addr", "del", f"{address}/32", "dev", "lo"], check=True)


@pytest.mark.row(45)
@not_stopped("isolated neighbours", "nothing asks the bridge for it")
def test_isolated_neighbours(wired: Wired) -> None:
    """Jails that are to be alone on their bridge do not hear of each other."""
    shown = subprocess.run(["bridge", "-d", "-o", "link", "show"], check=True, capture_output=True, text=True).stdout
    ports = [line for line in shown.splitlines() if f"master {_BRIDGE}" in line]
    assert len(ports) == 2
    expect_stopped(all("isolated on" in port for port in ports), "the ports of the bridge")


@pytest.mark.row(46)
@pytest.mark.parametrize("version", [0, 1], ids=["IPv4", "IPv6"])
def test_addresses_are_given_by_the_host(wired: Wired, version: int) -> None:
    """The jail adds none to its interface, takes none away, makes no device; the host's root does, there."""
    length = (16, 64)[version]
    for words in (
        ("addr", "add", f"{_NOBODYS[version]}/{length}", "dev", _DEVICE),
        ("addr", "del", f"{_OWN[version]}/{length}", "dev", _DEVICE),
        ("link", "set", _DEVICE, "down"),
        ("link", "set", _DEVICE, "address", _FOREIGN_MAC),
        ("route", "del", "default"),
    ):
        done = jail("exec", wired.cell.name, "--", "ip", *words)
        assert done.returncode != 0, words
        assert b"permitted" in done.stderr, (words, done)
    for verb in ("add", "del"):
        _in_network_of(wired.cell, "ip", "addr", verb, f"{_NOBODYS[version]}/{length}", "dev", _DEVICE)
