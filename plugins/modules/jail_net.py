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
  - What comes out of a jail is filtered at the host's end of each interface, before the jail's first instruction. The
    rules stand in tables of nftables named C(jails), which nobody else should change; no other is touched.
  - What differs in a running jail is changed at once, and nothing else is touched; of any other jail it is recorded
    for the next start.
  - An option that is left out is left as it is.
author:
  - cellblock.jails contributors (@cellblock)
version_added: 0.1.0
requirements:
  - pyroute2 (Debian package python3-pyroute2)
  - libnftables (Debian package nftables)
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
      spoof_protection:
        description:
          - Whether the jail can send from its own MAC address and its own addresses only, also where it may make any
            frame (C(allow_raw_sockets) of M(cellblock.jails.jail_state)). ARP and neighbour discovery can tell only of
            these, and there are no VLAN tags. On unless said otherwise; V(false) lets all of that pass.
          - It stands at the host's end of the interface, where no rule of somebody else comes before it.
        type: bool
      allow_router:
        description:
          - Whether the jail may be a router or a DHCP server to its neighbours, that is, send router advertisements,
            redirects and answers of DHCP. Off unless said otherwise.
        type: bool
      allow_metadata:
        description:
          - Whether the jail reaches link-local IPv4 addresses and those at which clouds tell the host about itself and
            its credentials, such as V(169.254.169.254) and V(fd00:ec2::254). Off unless said otherwise.
        type: bool
      isolate:
        description:
          - Whether the interface hears nothing from other isolated interfaces, and they nothing from it, by the bridge
            or by way of the host. Off unless said otherwise.
        type: bool
      connections_max:
        description:
          - How many connections that the interface's addresses have opened the host tracks at once; more cannot be
            opened. V(0) is without a limit. Left out, V(8192).
          - Where nothing else on the host tracks connections, this does; V(0) for all interfaces avoids it.
        type: int
      neighbours_max:
        description:
          - How many addresses of its network the jail can look for within ten seconds, of IPv4 and IPv6 each; beyond
            that it gets an error. The kernel has one table of neighbours for all. V(0) is without a limit. Left out,
            V(128).
          - Through the host it can look for no more than 128 in ten seconds, unless this is V(0).
          - A jail with the capability C(NET_ADMIN) can undo it.
        type: int
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

- name: Tenants that do not see each other, behind a router that is a jail too
  cellblock.jails.jail_net:
    jails:
      - name: tenant1
        interfaces: [{name: eth0, bridge: br-lan, addresses: [10.78.0.11/24], gateway: 10.78.0.1, isolate: true}]
      - name: tenant2
        interfaces: [{name: eth0, bridge: br-lan, addresses: [10.78.0.12/24], gateway: 10.78.0.1, isolate: true}]
      - name: router
        interfaces: [{name: eth0, bridge: br-lan, addresses: [10.78.0.2/24], allow_router: true}]
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
