# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an interface of a jail is made of in the kernel, and what each type of interface has to know about itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Protocol

from .addresses import Interface
from .netlink import Link, Netlink
from .routes import Route


class Site(NamedTuple):
    """A jail that is being worked on.

    :param host: a socket in the host's network namespace.
    :param jail: one in the jail's.
    :param namespace: a descriptor of that.
    :param name: the jail's; empty where it is only read.
    :param slot: a small number that no other jail has.
    """

    host: Netlink
    jail: Netlink
    namespace: int
    name: str
    slot: int
    bridges: Mapping[str, Link] = MappingProxyType({})
    """Those that its interfaces are to be on."""


class Attached(NamedTuple):
    """One interface of a jail as the kernel has it."""

    type: str
    inside: Link
    outside: Link | None = None
    """The host's end of a pair."""
    above: Link | None = None
    """The bridge that it is a port of, or the device that the interface belongs to."""
    parent: str | None = None
    """The name of the host's device that it belongs to or is."""
    own_mac: str = ""
    """The MAC address that it has where none is asked for; empty where that is its parent's."""
    addresses: frozenset[str] = frozenset()
    """With prefix length, without the link-local ones, which the kernel gives."""
    link_local: frozenset[str] = frozenset()
    """Those."""
    routes: tuple[Route, ...] = ()
    """By this interface, those of gateways too."""


class Kind(Protocol):
    """One type of interface. All that types have in common, addresses and routes inside, is none of its business."""

    def check(self, site: Site, interface: Interface, /) -> None:
        """See before anything is changed that there can be such an interface.

        :raises JailError: when there cannot.
        """

    def fits(self, there: Attached, interface: Interface, /) -> bool:
        """Whether what is there can become this; else it is removed and made anew."""

    def make(self, site: Site, interface: Interface, taken: Sequence[Attached], /) -> Attached:
        """Make it, down.

        :param taken: the jail's other interfaces.
        """

    def adjust(self, site: Site, there: Attached, interface: Interface, /) -> bool:
        """Make it as wanted on the host's side, and up there: whether its neighbours know it otherwise now."""

    def show(self, site: Site, there: Attached, interface: Interface, /) -> Interface:
        """What is there, as far as it works; ``interface`` is how it looks inside."""

    def remove(self, site: Site, there: Attached, /) -> None:
        """Take it away."""

    def is_ready(self, site: Site, there: Attached, /) -> bool:
        """Whether packets pass, or nothing is to be waited for."""
