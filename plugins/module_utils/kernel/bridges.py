# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bridges of the network namespace in which the calling thread is, by ioctl(2) (netdevice(7), linux/if_bridge.h).

Beside rtnetlink, for pyroute2 reads all devices to find those of one kind: here what is no bridge costs next to
nothing.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import socket
import struct

_SIOCGIFBR, _SIOCGIFFLAGS = 0x8940, 0x8913  # linux/sockios.h
_GET_BRIDGES = 1  # linux/if_bridge.h, BRCTL_GET_BRIDGES
_IFF_RUNNING = 0x40
_IFREQ = struct.Struct("16sh22x")  # struct ifreq with ifr_flags
_MANY = 4096


def idle() -> list[str]:
    """The names of those by which no packet can pass: they have no port that is up, or are down themselves.

    Where the kernel has no bridges there is none.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as any_socket:
        found = []
        for index in _indexes(any_socket):
            with contextlib.suppress(OSError):  # it has just gone
                name = socket.if_indextoname(index)
                answer = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, _IFREQ.pack(name.encode(), 0))
                if not _IFREQ.unpack(answer)[1] & _IFF_RUNNING:
                    found.append(name)
        return found


def _indexes(any_socket: socket.socket) -> list[int]:
    found = array.array("i", bytes(4 * _MANY))
    address, _length = found.buffer_info()
    try:
        count = fcntl.ioctl(any_socket, _SIOCGIFBR, array.array("L", [_GET_BRIDGES, address, _MANY]))
    except OSError:
        return []
    return found[:count].tolist()
