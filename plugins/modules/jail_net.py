#!/usr/bin/python
# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: jail_net
short_description: Give jails network interfaces, addresses and name servers
description:
  - Each interface is a veth pair between the jail and a bridge on the host, unless its O(interfaces[].type) says
    otherwise. A bridge that is not there is made, and carries the gateway addresses of its jails; one that the
    administrator made is used as it is.
  - What comes out of a jail is filtered at the host's end of each interface, before the jail's first instruction; where
    there is no such end, where it leaves the jail's own device. The rules stand in tables of nftables named C(jails),
    which nobody else should change; no other is touched.
  - What differs in a running jail is changed at once, and nothing else is touched; of any other jail it is recorded
    for the next start.
  - An option that is left out is left as it is.
notes:
  - What flushes the host's whole ruleset, as C(systemctl reload nftables) does on Debian, takes our tables with it. Run
    this module at once then. Until it has, nothing that jails send is filtered, and where ports are published for all
    addresses of the host, its bridges let their neighbours to what listens at V(127.0.0.1).
  - A published port that nobody reaches from elsewhere is often kept back by a filter of the administrator's own, which
    this module does not overrule. One that drops what is forwarded has to let such connections pass, in nftables
    C(ct state established,related accept) and C(ct status dnat accept) in its chain for the hook C(forward), in
    iptables C(-m conntrack --ctstate DNAT -j ACCEPT) in C(FORWARD). What is published is not seen by chains for the
    hook C(input).
  - It also needs an address of the host in the jail's network, such as a C(gateway) that a bridge of ours carries, and
    for clients from elsewhere a gateway that leads their answers back through the host.
  - For the host's own IPv4 loopback the jail's bridge gets C(route_localnet); packets of 127/8 that others send there
    are dropped. For its IPv6 loopback the bridge gets a local route for V(::1).
  - Where the host's bridges hand packets to the hooks of IP (C(net.bridge.bridge-nf-call-iptables) and
    C(net.bridge.bridge-nf-call-ip6tables), which Docker turns on), published ports are not reached at V(::1), nor
    between isolated interfaces of one bridge, nor by an isolated jail itself.
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
  network: &network
    description:
      - Whose network the jail is in. With V(private) it has one of its own, with its loopback, O(interfaces) and
        O(publish). With V(host) it is in the host's. Left out, V(private).
      - V(host) gives up what keeps the jail and the host apart there, and is named under C(degraded) in every result.
        The jail reaches what listens on the host's loopback, other jails at all their addresses, the metadata of a
        cloud, and abstract unix sockets of the host's programs, of which some obey whoever reaches them
        (CVE-2020-15257). It can listen on ports of the host that nobody has, and sees the host's addresses, routes and
        connections. No filter, rate or number of connections of this module holds it.
      - It cannot change the host's network, nor read what others send. Unless its user namespace is the host's too
        (O(cellblock.jails.jail_state#module:userns)), it cannot take ports below 1024 either, for the kernel asks for
        a capability in the user namespace that the network belongs to. C(net.ipv4.ip_unprivileged_port_start) of the
        host decides where they end.
      - V(host) is refused together with O(interfaces) and O(publish), with
        O(cellblock.jails.jail_state#module:sysctls), and, unless the user namespace is the host's too, with
        O(cellblock.jails.jail_state#module:allow_raw_sockets) and the capabilities C(NET_ADMIN) and C(NET_RAW), which
        would be without effect.
      - Changing it needs a restart. Until then O(interfaces) and O(publish) wait too, if the jail is in the host's.
    type: str
    choices: [private, host]
  interfaces: &interfaces
    description: All interfaces of the jail besides its loopback. An empty list takes them away.
    type: list
    elements: dict
    suboptions:
      name:
        description: The interface's name in the jail.
        type: str
        required: true
      type:
        description:
          - V(veth), a port of O(interfaces[].bridge). This is what an interface is unless said otherwise.
          - V(routed), a wire to the host and nobody else. The host routes each address to the jail, and is its gateway.
            It forwards packets for as long as there is such an interface.
          - V(macvlan), a device with a MAC address of its own on O(interfaces[].parent), as if it were plugged into the
            same network. The host itself and the jail do not reach each other by it.
          - V(ipvlan), likewise with the parent's MAC address, where a network allows one for each port. It needs a
            kernel with C(CONFIG_IPVLAN), and has no link-local IPv6 address.
          - V(phys), the device O(interfaces[].parent) itself, moved into the jail while it runs and given back with its
            name, MAC address, MTU and state when the jail stops. A device that the host has addresses on, or that is a
            port of a bridge, is refused. Of a jail that ends by itself the kernel gives back hardware only, which gets
            its name and state again when the jail is next started, stopped or removed.
          - What V(macvlan), V(ipvlan) and V(phys) send does not pass the host, which therefore can neither masquerade,
            isolate nor count it; the other protections stand in the jail's network, where a jail with the capability
            C(NET_ADMIN) can undo them.
          - An interface that changes its type is made anew.
        type: str
        choices: [veth, routed, macvlan, ipvlan, phys]
      bridge:
        description: The bridge on the host that it is a port of. Needed with type V(veth), and for no other.
        type: str
      parent:
        description:
          - The device of the host that the interface belongs to, or is. Needed with type V(macvlan), V(ipvlan) and
            V(phys). A device that is moved into one jail is for no other.
          - With type V(routed), the device at whose neighbours' questions for the jail's addresses the host answers
            (proxy ARP and NDP). Left out, it answers nowhere.
        type: str
      addresses:
        description:
          - IPv4 and IPv6 addresses with their prefix length, such as V(10.77.0.11/24). With type V(routed) each is for
            itself alone, such as V(10.77.0.11/32) and V(fd77::11/128).
        type: list
        elements: str
      gateway:
        description:
          - The IPv4 gateway, in the prefix of one of the addresses. A bridge of ours carries it.
          - With type V(routed) what the host is called at its end, any address that nobody else has. Left out,
            V(169.254.1.1), unless the jail has another way out.
        type: str
      gateway6:
        description: The IPv6 gateway, likewise; with type V(routed) V(fe80::1) where left out.
        type: str
      routes:
        description: Routes by this interface besides those of its gateways and addresses; all others are taken away.
        type: list
        elements: dict
        suboptions:
          to:
            description: The network that is reached, such as V(10.9.0.0/16), or V(0.0.0.0/0) and V(::/0) for all.
            type: str
            required: true
          via:
            description:
              - The neighbour that leads there, in the prefix of one of the addresses, or link-local. Left out, the
                network's hosts are neighbours themselves.
            type: str
          metric:
            description:
              - Of several routes to one network the one with the least is taken. Left out, V(0) of IPv4 and V(1024) of
                IPv6, which are those of gateways too.
            type: int
          table:
            description:
              - The number of the routing table. Left out, V(254), the main one. Another one is asked only by rules,
                which a jail with the capability C(NET_ADMIN) can make.
            type: int
      mac:
        description:
          - The hardware address. Left out, one that follows from the names of jail and interface; with type V(phys) the
            device's own. With type V(ipvlan) it is the parent's.
        type: str
      mtu:
        description: The largest packet in bytes. Left out, 1500.
        type: int
      masquerade:
        description:
          - Whether what the jail sends beyond its bridge leaves the host with the host's address. For type V(veth) and
            V(routed).
        type: bool
      spoof_protection:
        description:
          - Whether the jail can send from its own MAC address and its own addresses only, also where it may make any
            frame (C(allow_raw_sockets) of M(cellblock.jails.jail_state)). ARP and neighbour discovery can tell only of
            these, and there are no VLAN tags. On unless said otherwise; V(false) lets all of that pass.
          - It stands at the host's end of the interface, where no rule of somebody else comes before it; with type
            V(macvlan), V(ipvlan) and V(phys) at the interface itself.
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
            or by way of the host. Off unless said otherwise. For type V(veth) and V(routed).
        type: bool
      connections_max:
        description:
          - How many connections that the interface's addresses have opened the host tracks at once; more cannot be
            opened. V(0) is without a limit. Left out, V(8192).
          - Where nothing else on the host tracks connections, this does, as do masquerading, isolation and O(publish);
            V(0) for all interfaces, without those, avoids it.
          - For type V(veth) and V(routed); others have the value V(0).
        type: int
      neighbours_max:
        description:
          - How many addresses of its network the jail can look for within ten seconds, of IPv4 and IPv6 each; beyond
            that it gets an error. The kernel has one table of neighbours for all. V(0) is without a limit. Left out,
            V(128).
          - Through the host it can look for no more than 128 in ten seconds, unless this is V(0).
          - A jail with the capability C(NET_ADMIN) can undo it.
        type: int
      rate_in:
        description:
          - How fast the jail receives, in bits per second as C(tc) writes them, such as V(10Mbit), V(512Kbit),
            V(1.5Gbit), or V(unlimited). Left out, V(unlimited). What comes faster waits on the host, for fifty
            milliseconds or at a slow rate a quarter of a second, and is lost beyond that.
          - Not for types whose packets do not pass the host.
        type: str
      rate_out:
        description:
          - How fast the jail sends, likewise. What is sent faster waits in the jail, where the senders are held up
            before anything is lost. A jail with the capability C(NET_ADMIN) can take away the place where it waits; the
            host drops what is too much then.
        type: str
      packets_max:
        description:
          - How many packets in a second the jail may send; the host drops what is more, before anything else is done
            with it. A tenth of the number may come at once. V(0), without a limit, if left out.
          - What the jail sends in one piece, to be cut into packets by the host or its hardware, counts once.
        type: int
  publish: &publish
    description:
      - All ports of the host that lead into the jail, while it runs. An empty list takes them away.
      - They lead to interfaces on bridges.
      - They are reached from elsewhere, from the host by each of its addresses and its loopback, from other jails
        (isolated ones too) and from the jail itself. The jail sees the address of who calls it; the host's own if that
        is the host, the jail itself, or in a network of the jail's.
      - The host forwards packets for as long as a jail is published, also for IPv4 and IPv6 each.
      - When one is changed or removed, nothing new comes by it. What is connected by it goes on, as does what is
        connected by others; of UDP, for as long as the host remembers it (C(nf_conntrack_udp_timeout)).
      - Refused where a jail on record, or a process of the host that listens, has the same port of the same address.
    type: list
    elements: dict
    suboptions:
      host_address:
        description:
          - The one address of the host that is meant. It need not be there yet. C(0.0.0.0) is all of IPv4, C(::) all of
            IPv6. Left out, all of the host's addresses, of each version of IP of which the jail has an address.
          - Of the host's loopback, such as V(127.0.0.1), nobody else can reach it.
        type: str
      host_port:
        description: The port at the host, or a range such as V(8000-8010).
        type: str
        required: true
      jail_port:
        description: The port in the jail, or a range of the same length. Left out, the same.
        type: str
      jail_address:
        description:
          - The address of the jail that it leads to. Left out, the first one of the interface with the gateway, or of
            the first interface, of each version of IP.
        type: str
      interface:
        description: The interface of the jail whose first address it leads to, in place of O(publish[].jail_address).
        type: str
      protocol:
        description: The protocol. Left out, V(tcp).
        type: str
        choices: [tcp, udp, sctp]
  dns: &dns
    description: Addresses of name servers for the jail's C(/etc/resolv.conf).
    type: list
    elements: str
  search: &search
    description: Domains in which the jail searches for names.
    type: list
    elements: str
  resolv_conf: &resolv_conf
    description:
      - Whether the jail's C(/etc/resolv.conf) is ours. With V(manage) it is from the first O(dns) or O(search) on,
        written at each start and held to them while the jail runs. With V(leave) it is the jail's own, as it is then,
        and neither of the two can be given. Left out, V(manage).
    type: str
    choices: [manage, leave]
  names: &names
    description:
      - Whether the jail knows the other jails of this host by name, from lines between two comments at the end of its
        C(/etc/hosts). All other lines of the file stay as they are. Off unless said otherwise, for the names of its
        neighbours are nothing that every guest should learn.
      - Those jails are named that it can reach, at addresses in the networks of its own interfaces or else by gateways
        on both sides, and not those that O(interfaces[].isolate) keeps from it.
      - In running jails the lines are brought up to date by every run of this module and of
        M(cellblock.jails.jail_import), and when a jail is removed. There is a warning for each that cannot be told.
    type: bool
  jails:
    description: Many jails in one run. An option beside it holds for each of them that does not say otherwise.
    type: list
    elements: dict
    suboptions:
      name:
        description: The jail.
        type: str
        required: true
      network: *network
      interfaces: *interfaces
      publish: *publish
      dns: *dns
      search: *search
      resolv_conf: *resolv_conf
      names: *names
"""

EXAMPLES = r"""
- name: No network of its own, for a program that watches the host's
  cellblock.jails.jail_net:
    name: monitor
    network: host

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

- name: A web server and a name server that all the world reaches, and a console for the host alone
  cellblock.jails.jail_net:
    name: web1
    publish:
      - {host_port: 443}
      - {host_port: 80, jail_port: 8080}
      - {host_port: 53, protocol: udp, host_address: 192.0.2.10}
      - {host_port: 9000-9003, host_address: 127.0.0.1}

- name: An address of the host's own network, without a bridge, and a network of its own behind a router
  cellblock.jails.jail_net:
    name: dns1
    interfaces:
      - name: eth0
        type: routed
        parent: eno1
        addresses: [192.0.2.53/32, "2001:db8::53/128"]
      - name: lab
        type: macvlan
        parent: eno2
        addresses: [10.80.0.53/24]
        routes: [{to: 10.81.0.0/16, via: 10.80.0.1}]

- name: A guest that gets ten megabits each way, and cannot flood anybody with small packets
  cellblock.jails.jail_net:
    name: guest1
    interfaces:
      - {name: eth0, bridge: br-jails, addresses: [10.77.0.12/24], rate_in: 10Mbit, rate_out: 10Mbit, packets_max: 5000}

- name: A web server that knows its database by name
  cellblock.jails.jail_net:
    names: true
    jails:
      - {name: web1, interfaces: [{name: eth0, bridge: br-jails, addresses: [10.77.0.11/24]}]}
      - {name: db1, interfaces: [{name: eth0, bridge: br-jails, addresses: [10.77.0.12/24]}]}

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
