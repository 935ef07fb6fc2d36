# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jails for the tests of the net layer: processes in network namespaces, and how to look at them."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
from typing import Any, NamedTuple

from ansible_collections.cellblock.jails.plugins.module_utils.kernel import namespaces, process
from ansible_collections.cellblock.jails.plugins.module_utils.net.addresses import Interface, parse_interfaces
from ansible_collections.cellblock.jails.plugins.module_utils.net.network import Network

from .networks import network_namespace, network_of

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


def empty_namespace() -> int:
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


def run(command: str, where: int = 0) -> str:
    """What a command prints that somebody gives by hand, on the host or in the network namespace of a pid."""
    with network_namespace(where or os.getpid()):
        return subprocess.check_output(shlex.split(command), text=True, stderr=subprocess.STDOUT)


def converge(jail: Jail, *values: dict[str, Any]) -> list[Interface]:
    """Give a jail these interfaces as one run of the module does, and see that it reads them back."""
    wanted = parse_interfaces(jail.name, values)
    with Network() as network:
        wire(network, jail, wanted)
    assert read(jail) == wanted
    return wanted


def read(jail: Jail) -> list[Interface]:
    """The live interfaces as a new run sees them."""
    with Network() as network:
        return look(network, jail)


def wire(network: Network, jail: Jail, wanted: list[Interface]) -> None:
    """Give a jail these interfaces in a run that goes on."""
    with network_of(jail.pid) as namespace:
        network.converge(namespace, jail.name, jail.slot, wanted)


def look(network: Network, jail: Jail) -> list[Interface]:
    """The live interfaces as a run that goes on sees them."""
    with network_of(jail.pid) as namespace:
        return network.read(namespace, jail.slot)


def release(removed: list[Interface], *kept: Interface) -> None:
    """Take away what only the removed interfaces, of the jail ``web1``, needed, where others keep theirs."""
    with Network() as network:
        network.release("web1", removed, list, lambda: kept)


def connect(address: str, server: int, client: int = 0) -> tuple[socket.socket, socket.socket]:
    """A TCP connection between two network namespaces: the client's end and the server's."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with network_namespace(server or os.getpid()):
        listener = socket.create_server((address, 0), family=family)
    with network_namespace(client or os.getpid()), listener:
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


def listener(pid: int) -> socket.socket:
    """A socket that hears of every change of links, addresses and routes (rtnetlink(7))."""
    link, addr4, route4, addr6, route6 = 1, 0x10, 0x40, 0x100, 0x400
    with network_namespace(pid or os.getpid()):
        listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    listener.bind((0, link | addr4 | route4 | addr6 | route6))
    listener.setblocking(False)
    return listener


def pending(listener: socket.socket) -> int:
    count = 0
    try:
        while listener.recv(1 << 16):
            count += 1
    except BlockingIOError:
        return count
    raise AssertionError("a netlink socket does not end")
