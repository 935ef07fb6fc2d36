# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages between the launcher and the processes that become a jail: one JSON object each, with descriptors."""

from __future__ import annotations

import json
import os
import select
import socket
from collections.abc import Sequence
from typing import Any

_SIZE = 65536
_DESCRIPTORS = 64


class Channel:
    """One end of a pair of sockets that keep message borders (unix(7), SOCK_SEQPACKET); closed by an exec."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    def fileno(self) -> int:
        """The descriptor."""
        return self._socket.fileno()

    def send(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Send one message; descriptors arrive as new ones of the receiver."""
        socket.send_fds(self._socket, [json.dumps(message).encode()], list(descriptors))

    def receive(self) -> tuple[dict[str, Any], list[int]]:
        """The next message and its descriptors; ``EOFError`` when the other end is closed, be it without having read
        what we sent."""
        try:
            data, descriptors, _flags, _address = socket.recv_fds(self._socket, _SIZE, _DESCRIPTORS)
        except ConnectionResetError:
            raise EOFError from None
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        if not data:
            raise EOFError
        return json.loads(data), list(descriptors)

    def has_something(self) -> bool:
        """Whether :meth:`receive` has something to say at once: a message, or that the other end is closed."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def close(self) -> None:
        """Close this end."""
        self._socket.close()


def pair() -> tuple[Channel, Channel]:
    """Two connected ends."""
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Channel(left), Channel(right)
