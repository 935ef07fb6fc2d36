# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports of the host that lead into jails: how the tests of the net layer open them, and knock."""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from ansible_collections.cellblock.jails.plugins.module_utils.kernel import process
from ansible_collections.cellblock.jails.plugins.module_utils.net import publish
from ansible_collections.cellblock.jails.plugins.module_utils.net.addresses import Interface
from ansible_collections.cellblock.jails.plugins.module_utils.net.network import Network
from ansible_collections.cellblock.jails.plugins.module_utils.net.publish import Forward

from .networks import network_namespace, network_of
from .wiring import Jail

KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
_SECONDS = 1.5
_SILENCE = 5.0
_PIECE, _TIMES = struct.Struct("!Q"), 512


def lead(jail: Jail, interfaces: Sequence[Interface], *entries: dict[str, Any]) -> list[Forward]:
    """Have ports lead into a jail as one run of the module does, and see that it reads them back."""
    wanted = publish.parse(entries)
    with Network() as network, network_of(jail.pid) as namespace:
        network.publish(namespace, jail.name, jail.slot, publish.reach(wanted, interfaces))
    assert published(jail, interfaces, wanted) == wanted
    return wanted


def published(jail: Jail, interfaces: Sequence[Interface], wanted: Sequence[Forward]) -> list[Forward]:
    """What leads into a jail as a new run sees it."""
    with Network() as network, network_of(jail.pid) as namespace:
        return network.read_published(namespace, jail.name, jail.slot, wanted, interfaces)


def release(own: Sequence[Interface], **reaches: publish.Reach) -> None:
    """Take away what nobody has use for any more, where the jail ``web1`` keeps its interfaces; reaches by jail."""
    with Network() as network:
        network.release_published(lambda: reaches)
        network.release("web1", [], lambda: own, list)


@contextlib.contextmanager
def serving(pid: int, port: int, protocol: str = "tcp", version: int = 4) -> Iterator[socket.socket]:
    """A socket that hears at all addresses of the network namespace of a process, for a ``with`` block."""
    family = {4: socket.AF_INET, 6: socket.AF_INET6}[version]
    with network_namespace(pid or os.getpid()):
        end = socket.socket(family, KINDS[protocol])
        if version == 6:
            end.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        end.bind(("", port))
    with end:
        end.settimeout(_SECONDS)
        if protocol == "tcp":
            end.listen(8)
        yield end


@contextlib.contextmanager
def transferring(near: socket.socket, far: socket.socket) -> Iterator[None]:
    """Have a connection carry data all the time, from end to end, for a ``with`` block; all of it has to arrive, and
    never may there be silence for long."""
    hears, tell = os.pipe()

    def send() -> None:
        os.close(tell)
        near.settimeout(_SILENCE)
        for number in itertools.count():
            near.sendall(_PIECE.pack(number) * _TIMES)
            if select.select([hears], [], [], 0.002)[0]:
                break
        near.shutdown(socket.SHUT_WR)

    def receive() -> None:
        os.close(tell)
        far.settimeout(_SILENCE)
        with far.makefile("rb") as stream:
            for number in itertools.count():
                piece = stream.read(_PIECE.size * _TIMES)
                if not piece and number > 0:
                    return
                assert piece == _PIECE.pack(number) * _TIMES, number

    children = [process.fork(send), process.fork(receive)]
    try:
        yield
    finally:
        os.close(tell)
        ended = [process.wait(child) for child in children]
        os.close(hears)
    assert ended == [0, 0]


def knock(server: socket.socket, address: str, port: int, client: int = 0) -> str | None:
    """Ask at an address and hear the answer from there: the address that the server sees; ``None`` when it does not
    come to that."""
    with network_namespace(client or os.getpid()):
        near = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, server.type)
    with near:
        near.settimeout(_SECONDS)
        try:
            near.connect((address, port))
            near.send(b"ping")
            return _answer(server, near)
        except (TimeoutError, ConnectionRefusedError):
            return None


def _answer(server: socket.socket, near: socket.socket) -> str:
    if server.type == socket.SOCK_DGRAM:
        heard, peer = server.recvfrom(8)
        server.sendto(heard, peer)
    else:
        far, peer = server.accept()
        with far:
            far.settimeout(_SECONDS)
            far.sendall(far.recv(8))
    assert near.recv(8) == b"ping"
    return str(peer[0])
