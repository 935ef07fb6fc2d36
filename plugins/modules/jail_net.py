#!/usr/bin/python
# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: jail_net
short_description: Give jails network interfaces, addresses and name servers
description:
  - Each interface is a veth pair between the jail and a bridge on the host. A bridge that is not there is made, and
    carries the gateway addresses of its jails; one that the administrator made is used as it is.
  - What differs in a running jail is changed at once, and nothing else is touched; of any other jail it is recorded
    for the next start.
  - An option that is left out is left as it is.
author:
  - cellblock.jails contributors (@cellblock)
version_added: 0.1.0
requirements:
  - pyroute2 (Debian package python3-pyroute2)
  - nft (Debian package nftables), for O(interfaces[].masquerade)
extends_documentation_fragment:
  - cellblock.jails.attributes
  - cellblock.jails.attributes.idempotent
options:
  name:
    description: The jail. Either this or O(jails) is needed.
    type: str
  interfaces: &interfaces
    description: All interfaces of the jail besides its loopback. An empty list takes them away.
    type: list
    elements: dict
    suboptions:
      name:
        description: The interface's name in the jail.
        type: str
        required: true
      bridge:
        description: The bridge on the host that it is a port of.
        type: str
        required: true
      addresses:
        description: IPv4 and IPv6 addresses with their prefix length, such as V(10.77.0.11/24).
        type: list
        elements: str
      gateway:
        description: The IPv4 gateway, in the prefix of one of the addresses. A bridge of ours carries it.
        type: str
      gateway6:
        description: The IPv6 gateway, likewise.
        type: str
      mac:
        description: The hardware address. Left out, one that follows from the names of jail and interface.
        type: str
      mtu:
        description: The largest packet in bytes. Left out, 1500.
        type: int
      masquerade:
        description: Whether what the jail sends beyond its bridge leaves the host with the host's address.
        type: bool
  dns: &dns
    description: Addresses of name servers for the jail's C(/etc/resolv.conf).
    type: list
    elements: str
  search: &search
    description: Domains in which the jail searches for names.
    type: list
    elements: str
  jails:
    description: Many jails in one run. An option beside it holds for each of them that does not say otherwise.
    type: list
    elements: dict
    suboptions:
      name:
        description: The jail.
        type: str
        required: true
      interfaces: *interfaces
      dns: *dns
      search: *search
"""

EXAMPLES = r"""
- name: An address on a bridge, and a way out
  cellblock.jails.jail_net:
    name: web1
    interfaces:
      - name: eth0
        bridge: br-jails
        addresses: [10.77.0.11/24, "fd77::11/64"]
        gateway: 10.77.0.1
        gateway6: "fd77::1"
        masquerade: true
    dns: [192.0.2.53]
"""

RETURN = r"""
jails:
  description: What was done, by jail.
  returned: always
  type: dict
  contains:
    changed:
      description: Whether this jail was changed.
      type: bool
      returned: always
    actions:
      description: Each difference that was found, and how it was removed.
      type: list
      elements: dict
      returned: always
      contains:
        option:
          description: The option that differed.
          type: str
          returned: always
        before:
          description: Its value before, from the kernel where the jail runs.
          type: raw
          returned: always
        after:
          description: Its value now.
          type: raw
          returned: always
        how:
          description:
            - V(live) in the running jail, V(record) for its next start, or V(create), V(remove), V(start), V(stop),
              V(restart).
          type: str
          returned: always
    restart_required:
      description: Options that hold from the next start of this jail only.
      type: list
      elements: str
      returned: always
    degraded:
      description: Protections that the options of this jail give up.
      type: list
      elements: str
      returned: always
    failed:
      description: That this jail could not be converged.
      type: bool
      returned: when it failed
    msg:
      description: Why.
      type: str
      returned: when it failed
  sample:
    web1:
      changed: true
      actions:
        - {option: dns, before: [], after: [192.0.2.53], how: live}
      restart_required: []
      degraded: []
"""

from ansible_collections.cellblock.jails.plugins.module_utils.jail import network
from ansible_collections.cellblock.jails.plugins.module_utils.module import run


def main() -> None:
    """Run the module."""
    run(network.FACET)


if __name__ == "__main__":
    main()
