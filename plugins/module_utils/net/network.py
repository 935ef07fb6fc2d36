# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network of jails: interfaces, bridges, masquerading and forwarding, put together."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Callable, Iterable, Iterator, Sequence

from .. import files
from ..errors import JailError
from . import bridges, firewall, forwarding, links, loopback
from .addresses import Interface, gateways, hosts
from .netlink import Link, Netlink

_LOCK = "host"


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        said = error.strerror or str(error)
        raise JailError(f"{error.filename}: {said}" if error.filename else said, option="interfaces") from error


class Network:
    """The host's side of the network for one run over any number of jails; a context manager.

    The host is the caller's network namespace. What is masqueraded is read once and remembered; all else is read from
    the kernel at each call. Every method raises :class:`JailError` and takes the lock ``host`` where it changes what
    jails share, so the caller must not hold that.
    """

    def __init__(self) -> None:
        self._socket: Netlink | None = None
        self._masqueraded: firewall.Elements | None = None
        self._masqueraded_is_read = False

    def __enter__(self) -> Network:
        return self

    def __exit__(self, *_ignored: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the netlink socket; a later call opens another."""
        if self._socket:
            self._socket.close()
            self._socket = None

    @property
    def _host(self) -> Netlink:
        if not self._socket:
            self._socket = Netlink()
        return self._socket

    def _elements(self) -> firewall.Elements | None:
        # Without masquerading there is no record, and nft is not needed.
        if not self._masqueraded_is_read and forwarding.is_recorded():
            self._masqueraded = firewall.read()
            self._masqueraded_is_read = True
        return self._masqueraded

    def read(self, pid: int, slot: int) -> list[Interface]:
        """The live interfaces of the jail with this ``slot`` in the network namespace of ``pid``, in canonical form.

        Right after :meth:`converge` this equals what was wanted. What somebody changed by hand shows.
        """
        with _explained():
            if loopback.is_alone(pid):
                return []
            found = links.read(self._host, pid, slot)
            for interface in found:
                interface["masquerade"] = self._is_masqueraded(interface)
            return found

    def _is_masqueraded(self, interface: Interface) -> bool:
        elements = self._elements() or firewall.EMPTY
        own = hosts(interface)
        return (
            bool(own)
            and interface["bridge"] in elements.bridges
            and elements.addresses.keys() >= set(own)
            and all(forwarding.is_on(version) for version in _versions(own))
        )

    def converge(self, pid: int, name: str, slot: int, wanted: Sequence[Interface]) -> None:
        """Make the network of the jail ``name`` exactly ``wanted``; bring up ``lo``.

        Nothing that is as it should be is touched, so connections live on. Have ``wanted`` recorded before: a
        :meth:`release` in another process goes by the records.

        :param pid: a process in the jail's network namespace, as the caller's pid namespace numbers it.
        :param slot: a small number that no other jail has.
        :param wanted: what :func:`.addresses.parse_interfaces` gave.
        """
        with _explained():
            loopback.bring_up(pid)
            host = None if not wanted and loopback.is_alone(pid) else self._host
            with files.locked(_LOCK):
                self._converge_masquerade(name, wanted)
                masters = _converge_bridges(host, wanted) if host else {}
            if host:
                links.converge(host, pid, name, slot, wanted, masters=masters)

    def _converge_masquerade(self, jail: str, wanted: Sequence[Interface]) -> None:
        masked = [interface for interface in wanted if interface["masquerade"]]
        own = {host for interface in masked for host in hosts(interface)}
        if own:
            forwarding.ensure(_versions(own))
        have = self._elements() or firewall.EMPTY
        add = firewall.Elements(
            {host: jail for host in own if have.addresses.get(host) != jail},
            frozenset(interface["bridge"] or "" for interface in masked) - have.bridges,
        )
        # Also an address that another jail had until now: its name goes with it.
        surplus = {host: by for host, by in have.addresses.items() if (by == jail) != (host in own)}
        self._change_elements(add, firewall.Elements(surplus, frozenset()))

    def _change_elements(self, add: firewall.Elements, remove: firewall.Elements) -> None:
        if not any((*add, *remove)):
            return
        firewall.ensure(self._masqueraded, add, remove)
        have = self._masqueraded or firewall.EMPTY
        stay = {host: by for host, by in have.addresses.items() if host not in remove.addresses}
        self._masqueraded = firewall.Elements({**stay, **add.addresses}, (have.bridges - remove.bridges) | add.bridges)

    def release(self, removed: Iterable[Interface], recorded: Callable[[], Iterable[Interface]]) -> None:
        """Take away what only the interfaces in ``removed`` needed: bridges of ours and their addresses, masquerading,
        and when no jail is masqueraded any more, the table and forwarding.

        :param recorded: gives the interfaces of all jails that are on record. It is called under the lock, so that a
            jail that another process starts meanwhile is either among them or makes anew what it needs.
        """
        with _explained(), files.locked(_LOCK):
            kept = list(recorded())
            self._release_masquerade([interface for interface in kept if interface["masquerade"]])
            bridges.release(self._host, removed, kept)

    def _release_masquerade(self, kept: Sequence[Interface]) -> None:
        if kept:
            have = self._elements() or firewall.EMPTY
            own = {host for interface in kept for host in hosts(interface)}
            surplus = {host: by for host, by in have.addresses.items() if host not in own}
            unused = have.bridges - {interface["bridge"] for interface in kept}
            self._change_elements(firewall.EMPTY, firewall.Elements(surplus, unused))
        elif forwarding.is_recorded():
            firewall.remove_table()
            forwarding.restore()
            self._masqueraded = None
            self._masqueraded_is_read = False


def _converge_bridges(host: Netlink, wanted: Sequence[Interface]) -> dict[str | None, Link]:
    carried: dict[str | None, set[str]] = {}
    for interface in wanted:
        carried.setdefault(interface["bridge"], set()).update(gateways(interface))
    return {name: bridges.ensure(host, name or "", addresses) for name, addresses in carried.items()}


def _versions(addresses: Iterable[str]) -> set[int]:
    return {ipaddress.ip_address(address).version for address in addresses}
