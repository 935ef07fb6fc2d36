# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which jails' addresses go out under the host's: the firewall's table and the host's forwarding, kept together."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from . import firewall, forwarding
from .addresses import Interface, hosts


class Masquerade:
    """What is masqueraded, read once with nft(8) and from then on known by our own changes.

    While nothing is, there is no record of forwarding, and nft is neither needed nor run. The caller of what changes
    something holds the lock ``host``.
    """

    def __init__(self) -> None:
        self._is_read = False
        self._table: firewall.Elements | None = None

    def _elements(self) -> firewall.Elements:
        if not self._is_read and forwarding.is_recorded():
            self._table = firewall.read()
            self._is_read = True
        return self._table or firewall.EMPTY

    def covers(self, interface: Interface) -> bool:
        """Whether all addresses of an interface are masqueraded, and forwarded."""
        own = hosts(interface)
        elements = self._elements()
        return (
            bool(own)
            and interface["bridge"] in elements.bridges
            and elements.addresses.keys() >= set(own)
            and all(map(forwarding.is_on, _versions(own)))
        )

    def converge(self, jail: str, wanted: Iterable[Interface]) -> None:
        """Masquerade, of this jail, those of the interfaces that ask for it and nothing else."""
        masked = [interface for interface in wanted if interface["masquerade"]]
        own = {host for interface in masked for host in hosts(interface)}
        if own:
            firewall.program()  # before anything is changed for it
            forwarding.ensure(_versions(own))
        have = self._elements()
        missing = {host: jail for host in own if have.addresses.get(host) != jail}
        bridges = frozenset(interface["bridge"] or "" for interface in masked) - have.bridges
        # Also an address that another jail had until now: that one's name goes with it.
        surplus = {host: by for host, by in have.addresses.items() if (by == jail) != (host in own)}
        self._change(firewall.Elements(missing, bridges), firewall.Elements(surplus, frozenset()))

    def release(self, kept: Iterable[Interface]) -> None:
        """Masquerade nothing but these interfaces; when none of them asks for it, remove the table and put forwarding
        back."""
        masked = [interface for interface in kept if interface["masquerade"]]
        if masked:
            self._keep_only(masked)
        elif forwarding.is_recorded():
            firewall.remove_table()
            forwarding.restore()
            self._is_read, self._table = False, None

    def _keep_only(self, masked: Sequence[Interface]) -> None:
        have = self._elements()
        own = {host for interface in masked for host in hosts(interface)}
        surplus = {host: by for host, by in have.addresses.items() if host not in own}
        unused = have.bridges - {interface["bridge"] for interface in masked}
        self._change(firewall.EMPTY, firewall.Elements(surplus, unused))

    def _change(self, add: firewall.Elements, remove: firewall.Elements) -> None:
        if any((*add, *remove)):
            firewall.ensure(self._table, add, remove)
            have = self._table or firewall.EMPTY
            stay = {host: by for host, by in have.addresses.items() if host not in remove.addresses}
            self._table = firewall.Elements({**stay, **add.addresses}, have.bridges - remove.bridges | add.bridges)


def _versions(addresses: Iterable[str]) -> set[int]:
    return {ipaddress.ip_address(address).version for address in addresses}
