# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports of the host that lead into jails, as the kernel has them: the filter's part, forwarding, the host's loopback,
and the bridge's port of the jail, kept together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from . import doorways, forwarding, localnet, publish, sysctl
from .addresses import Interface
from .doorways import There
from .netlink import Link, Netlink
from .publish import Forward, Reach

_BRIDGED = ("net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables")


class Forwards:
    """The filter's part, read once and from then on known by our own changes. The caller of what changes something
    holds the lock ``host``."""

    def __init__(self) -> None:
        self._read: There | None = None

    def _there(self) -> There:
        if self._read is None:
            self._read = doorways.read()
        return self._read

    def describe(
        self,
        host: Netlink,
        jail: str,
        ends: Mapping[str, Link],
        forwards: Sequence[Forward],
        interfaces: Sequence[Interface],
    ) -> list[Forward]:
        """The forwards of a jail that work, and whatever else leads to it.

        :param ends: the host's ends of its interfaces, by the names of these.
        :param forwards: those that should be there.
        :param interfaces: those that the jail should have.
        """
        there = self._there()
        found = publish.describe(there.doors(jail), forwards, interfaces)
        return [
            each
            for each in found
            if each not in forwards or self._holds(host, jail, ends, publish.reach([each], interfaces))
        ]

    def _holds(self, host: Netlink, jail: str, ends: Mapping[str, Link], reach: Reach) -> bool:
        there = self._there()
        return (
            there.is_whole()
            and there.holds(doorways.elements(jail, reach))
            and forwarding.is_recorded(forwarding.PUBLISHING)
            and all(map(forwarding.is_on, reach.versions()))
            and all(localnet.is_open(host, version, each) for version, by in reach.loopback.items() for each in by)
            and (not _is_bridged() or all(end.hairpin for name, end in ends.items() if name in reach.ports))
        )

    def converge(self, host: Netlink, jail: str, ends: Mapping[str, Link], reach: Reach) -> None:
        """Have there what these forwards of a jail need, and nothing else of it. What stands is not touched."""
        if reach.doors:
            forwarding.ensure(reach.versions(), forwarding.PUBLISHING)
        self._give(jail, reach)
        for version, bridges in reach.loopback.items():
            localnet.ensure(host, version, bridges)
        for end, on in _differing_ports(ends, reach.ports):
            host.reflect(end, on)

    def withdraw(self, jail: str) -> None:
        """Have nothing lead to a jail any more."""
        if is_in_use():
            self._give(jail, publish.NOTHING)

    def _give(self, jail: str, reach: Reach) -> None:
        # Read under the lock: another run may have changed it since.
        self._read = None
        doorways.give(self._there(), jail, reach)

    def release(self, host: Callable[[], Netlink], published: Callable[[], Mapping[str, Reach]]) -> None:
        """Have nothing there but what jails on record may need.

        :param host: opens the socket, where it is needed.
        :param published: reads what they publish, by jail, of all that publish anything; where it is needed.
        """
        if not is_in_use():
            return
        kept = published()
        by = {
            version: {each for reach in kept.values() for each in reach.loopback.get(version, ())} for version in (4, 6)
        }
        if localnet.is_recorded():
            # First, for the filter keeps others out.
            localnet.close(host(), by)
        self._read = None
        if kept:
            doorways.take_all_but(self._there(), kept, by[4])
        else:
            doorways.remove(self._there())
            forwarding.restore(forwarding.PUBLISHING)


def is_in_use() -> bool:
    """Whether any port has been published since this boot, and not all of that has been taken away."""
    return forwarding.is_recorded(forwarding.PUBLISHING) or localnet.is_recorded()


def _differing_ports(ends: Mapping[str, Link], reached: frozenset[str]) -> list[tuple[Link, bool]]:
    """Ports of bridges that should send back what comes by them, or should not, and do otherwise.

    Where a bridge hands packets to IP's hooks, one to the host that leads to a jail goes on within the bridge: from the
    jail itself back by the port that it came by.
    """
    wanted = [(end, name in reached and _is_bridged()) for name, end in ends.items() if end.master]
    return [(end, on) for end, on in wanted if end.hairpin != on]


def _is_bridged() -> bool:
    """Whether bridges hand packets to IP's hooks (br_netfilter)."""
    return any(sysctl.read(name) not in (None, "0") for name in _BRIDGED)
