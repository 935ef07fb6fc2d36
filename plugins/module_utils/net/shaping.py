# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast an interface of a jail is: a token bucket (tc-tbf(8)) at the end of the pair that sends.

What goes to the jail waits in the queue of the host's end; what comes from it waits in that of the jail's own device,
which only ``NET_ADMIN`` changes. A sender that has to wait there is held up by the kernel and loses nothing. The host's
end could only drop what is too much: a TCP connection got through as much then, but sent more than every tenth segment
again at 300 Mbit/s and every fifth at 20, where it sent none again with the queue. A jail that takes its queue away
meets such a limit (:mod:`ingress`), which never drops what has been through the queue.
"""

from __future__ import annotations

from .. import rates
from .netlink import Link, Netlink, Queue

_BURST_SECONDS, _WAIT_SECONDS, _LONG_WAIT_SECONDS = 0.01, 0.05, 0.25
_HEADER = 18  # of Ethernet, with a VLAN tag
_FIRST_FLIGHT = 10
_HELD_UP = 256 << 10


def queue(rate: str | None, mtu: int) -> Queue | None:
    """The queue that makes an interface with this MTU so fast; ``None`` for no limit.

    What may pass at once is what the rate comes to in ten milliseconds: less would be lost whenever a busy host is late
    by so much, and from 53 Mbit/s on it is a whole TCP segment of 64 KiB, which is not cut for the queue then. It is
    two packets at least, one to send while the tokens of the next gather.

    Beyond that, what takes fifty milliseconds may wait, as long as is usual on long ways and short enough to talk by.
    Where that is less than 256 KiB, that much may, if it does not take a quarter of a second: a TCP connection on this
    host has two segments of 64 KiB on the way before the kernel holds it up. At least it is the first ten packets of a
    connection (RFC 6928), which come all at once.
    """
    found = None if rate is None else rates.parse(rate)
    if found is None:
        return None
    packet = mtu + _HEADER
    burst = max(int(_BURST_SECONDS * 1e6), -(-2 * packet * 1_000_000 // found))
    waiting = max(int(found * _WAIT_SECONDS), min(int(found * _LONG_WAIT_SECONDS), _HELD_UP), _FIRST_FLIGHT * packet)
    return Queue(found, burst, found * burst // 1_000_000 + waiting)


def shown(there: Queue | None, mtu: int) -> str | None:
    """How fast a queue makes an interface; ``None`` when it is not the one for that."""
    rate = rates.show(there.rate if there else None)
    return rate if queue(rate, mtu) == there else None


def read(socket: Netlink, link: Link, mtu: int) -> str | None:
    """How fast a device sends, likewise. A queue of another kind is somebody else's and no limit of ours."""
    return shown(socket.queue(link), mtu)


def converge(socket: Netlink, link: Link, rate: str | None, mtu: int) -> None:
    """Have a device send so fast. What waits in a queue that gets another rate goes on waiting."""
    wanted, there = queue(rate, mtu), socket.queue(link)
    if wanted and wanted != there:
        socket.set_queue(link, wanted)
    elif there and not wanted:
        socket.delete_queue(link)
