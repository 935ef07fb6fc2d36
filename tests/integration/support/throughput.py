# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast something goes, by sending it."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator

from .networks import network_namespace

_CHUNK = bytes(1 << 16)
_SO_RCVBUFFORCE = 33  # asm-generic/socket.h


@contextlib.contextmanager
def flowing(near: socket.socket, far: socket.socket) -> Iterator[list[int]]:
    """Send from the first end of a connection to the second as fast as it goes; gives a list whose only element is the
    number of bytes that have arrived. The connection is closed at the end."""
    arrived = [0]

    def send() -> None:
        with contextlib.suppress(OSError):
            while True:
                near.sendall(_CHUNK)

    def receive() -> None:
        with contextlib.suppress(OSError):
            while data := far.recv(1 << 16):
                arrived[0] += len(data)

    near.settimeout(None)
    far.settimeout(None)
    threads = [threading.Thread(target=each, daemon=True) for each in (send, receive)]
    for each in threads:
        each.start()
    try:
        yield arrived
    finally:
        for end in (near, far):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        for each in threads:
            each.join(10)


def bits_per_second(arrived: list[int], seconds: float) -> float:
    """How fast a flow is, over so many seconds from now."""
    before, began = arrived[0], time.monotonic()
    time.sleep(seconds)
    return (arrived[0] - before) * 8 / (time.monotonic() - began)


def datagrams(sender: int, address: str, receiver: int, number: int, per_second: int) -> int:
    """How many of so many small datagrams, sent so fast, arrive at an address in the network namespace of a pid."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with network_namespace(receiver or os.getpid()):
        ear = socket.socket(family, socket.SOCK_DGRAM)
    with network_namespace(sender or os.getpid()):
        mouth = socket.socket(family, socket.SOCK_DGRAM)
    with ear, mouth:
        ear.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 1 << 23)
        ear.bind((address, 0))
        mouth.connect(ear.getsockname()[:2])
        began = time.monotonic()
        for each in range(number):
            mouth.send(b"x")
            time.sleep(max(0.0, began + each / per_second - time.monotonic()))
        ear.setblocking(False)
        arrived = 0
        with contextlib.suppress(BlockingIOError):
            while ear.recv(16):
                arrived += 1
        return arrived
