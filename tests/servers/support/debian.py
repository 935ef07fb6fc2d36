# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jails of Debian with a network."""

from __future__ import annotations

from typing import NamedTuple

from ansible_collections.cellblock.jails.tests.integration.support.calls import module

BRIDGE, GATEWAY = "br-servers", "10.92.0.1"
OPTIONS = {"method": "debootstrap", "suite": "bookworm", "packages": ["systemd-sysv", "dbus", "procps", "iproute2"]}


class Debian(NamedTuple):
    """A stopped jail of Debian whose apt knows what there is.

    :param name: of the jail, to be cloned.
    :param forwarder: address and port that its clones reach the mirror by.
    """

    name: str
    forwarder: str


def wire(name: str, number: int) -> None:
    """Give a jail an address on the bridge."""
    interface = {"name": "eth0", "bridge": BRIDGE, "addresses": [f"10.92.0.{number}/24"], "gateway": GATEWAY}
    module("jail_net", jails=[{"name": name, "interfaces": [interface]}])
