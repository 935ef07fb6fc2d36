# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The loopback device, by netdevice(7) and the standard library: a jail without a network need not load pyroute2."""

from __future__ import annotations

import fcntl
import socket
import struct

from ..kernel import namespaces

_SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8913, 0x8914
_IFF_UP = 1
_IFREQ = struct.Struct("16sh22x")  # struct ifreq with ifr_flags


def bring_up(namespace: int) -> None:
    """Bring up ``lo`` in the network namespace of this descriptor; 127.0.0.1 and ::1 come with it."""
    with namespaces.inside(namespace, "net"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, _IFREQ.pack(b"lo", 0))
        flags = _IFREQ.unpack(answer)[1]
        if not flags & _IFF_UP:
            fcntl.ioctl(any_socket, _SIOCSIFFLAGS, _IFREQ.pack(b"lo", flags | _IFF_UP))


def is_alone(namespace: int) -> bool:
    """Whether the network namespace of this descriptor has no other device than ``lo``."""
    with namespaces.inside(namespace, "net"):
        return [name for _index, name in socket.if_nameindex()] == ["lo"]
