# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who listens at the host's ports: sock_diag(7) and proc(5); in the calling thread's network namespace."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

_NETLINK_SOCK_DIAG = 4  # linux/netlink.h
_SOCK_DIAG_BY_FAMILY = 20  # linux/sock_diag.h
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NLM_F_REQUEST, _NLM_F_DUMP = 1, 0x300
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_ATTRIBUTE = struct.Struct("=HH")  # struct rtattr
# linux/inet_diag.h: struct inet_diag_req_v2 up to the socket's identity, and that without its addresses.
_REQUEST = struct.Struct("=BBBBI")
_IDENTITY = struct.Struct("!HH16s16s")
_IDENTITY_SIZE = 48
_ANSWER = struct.Struct("=BBBB")
_ANSWER_END = struct.Struct("=IIIII")
_INET_DIAG_SKV6ONLY = 11

_LISTEN, _CLOSE = 10, 7  # net/tcp_states.h; a datagram socket without a peer is in the latter
_PROTOCOLS = {
    "tcp": (socket.IPPROTO_TCP, _LISTEN),
    "udp": (socket.IPPROTO_UDP, _CLOSE),
    "sctp": (socket.IPPROTO_SCTP, _LISTEN),
}


class Listener(NamedTuple):
    """A socket that others can reach.

    :param both: whether it is of IPv6 and hears IPv4 too.
    """

    address: str
    port: int
    both: bool
    inode: int


def listeners(protocol: str) -> list[Listener]:
    """Those of ``tcp``, ``udp`` or ``sctp``. None where the kernel has no such protocol.

    :raises OSError: when it does not tell.
    """
    number, state = _PROTOCOLS[protocol]
    found = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as end:
        for family in (socket.AF_INET, socket.AF_INET6):
            found += [each for each in _dump(end, family, number, state) if each.port]
    return found


def _dump(end: socket.socket, family: int, protocol: int, state: int) -> Iterator[Listener]:
    request = _REQUEST.pack(family, protocol, 0, 0, 1 << state) + bytes(_IDENTITY_SIZE)
    end.send(
        _HEADER.pack(_HEADER.size + len(request), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST | _NLM_F_DUMP, 1, 0) + request
    )
    while True:
        data = end.recv(1 << 18)
        while data:
            length, kind, _flags, _number, _port = _HEADER.unpack_from(data)
            if kind == _NLMSG_DONE:
                return
            if kind == _NLMSG_ERROR:
                code = -struct.unpack_from("=i", data, _HEADER.size)[0]
                if code in (errno.ENOENT, errno.EPROTONOSUPPORT):
                    return
                raise OSError(code, f"asking for the host's sockets: {os.strerror(code)}")
            yield _listener(data[_HEADER.size : length])
            data = data[(length + 3) & ~3 :]


def _listener(message: bytes) -> Listener:
    family, _state, _timer, _retransmissions = _ANSWER.unpack_from(message)
    port, _peer_port, source, _peer = _IDENTITY.unpack_from(message, _ANSWER.size)
    end = _ANSWER.size + _IDENTITY_SIZE
    *_counts, inode = _ANSWER_END.unpack_from(message, end)
    address = str(ipaddress.ip_address(source if family == socket.AF_INET6 else source[:4]))
    only = b""
    at = end + _ANSWER_END.size
    while at + _ATTRIBUTE.size <= len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, at)
        if kind == _INET_DIAG_SKV6ONLY:
            only = message[at + _ATTRIBUTE.size : at + length]
        at += max(_ATTRIBUTE.size, (length + 3) & ~3)
    return Listener(address, port, family == socket.AF_INET6 and not any(only), inode)


def owner(listener: Listener) -> str:
    """The process that has a socket, as far as ``/proc`` tells: ``nginx (pid 4711)``."""
    wanted = f"socket:[{listener.inode}]"
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # it has ended
            if any(os.readlink(f"/proc/{pid}/fd/{each}") == wanted for each in os.listdir(f"/proc/{pid}/fd")):
                return f"{_name_of(pid)} (pid {pid})"
    return "a process"


def _name_of(pid: str) -> str:
    with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
        return file.read().strip()
