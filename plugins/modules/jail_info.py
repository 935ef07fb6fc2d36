#!/usr/bin/python
# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: jail_info
short_description: Tell what is known of jails
description:
  - Reports the jails of a host, with values from the kernel for those that run.
author:
  - cellblock.jails contributors (@cellblock)
version_added: 0.1.0
extends_documentation_fragment:
  - cellblock.jails.attributes
  - cellblock.jails.attributes.idempotent
options:
  name:
    description: The jails to report; all of the host if left out. One that is not there is left out of the result.
    type: list
    elements: str
  gather:
    description:
      - What to report. V(limits), V(net) and V(state) are the options of the modules of these names; V(rootfs) is
        the template and how it was made; V(snapshots) are those of M(cellblock.jails.jail_snapshot); V(usage) is what
        a running jail takes; V(disk) is what the jail's own files take as far as its file
        system counts it, with the limits; V(size) is the disk space that they take in any case, for which they are all
        visited where it is not counted.
      - V(traffic) is what has passed through the interfaces of a running jail.
      - V(isolation) attests what holds a running jail, from the kernel's live state of its processes and not from
        configuration.
      - V(templates) reports the templates of the host beside its jails.
      - V(ceiling) reports what all jails of the host may take together, and do take.
    type: list
    elements: str
    choices: [limits, net, rootfs, snapshots, state, usage, traffic, disk, size, isolation, templates, ceiling]
    default: [limits, net, rootfs, snapshots, state, usage, traffic, disk]
"""

EXAMPLES = r"""
- name: Ask for all jails
  cellblock.jails.jail_info:
  register: found

- name: Attest the isolation of all jails
  cellblock.jails.jail_info:
    gather: [isolation]
  register: attested
  failed_when: attested.jails.values() | map(attribute='isolation') | select | map(attribute='drift') | flatten

- name: Show the processes of each
  ansible.builtin.debug:
    msg: "{{ item.key }} has {{ item.value.usage.processes }} processes"
  loop: "{{ found.jails | dict2items | selectattr('value.pid') }}"

- name: Ask for the templates alone
  cellblock.jails.jail_info:
    name: []
    gather: [templates]
"""

RETURN = r"""
jails:
  description: What is known, by jail.
  returned: success
  type: dict
  contains:
    status:
      description: V(started), V(frozen) or V(stopped).
      type: str
      returned: always
    pid:
      description: The host's number of the jail's first process.
      type: int
      returned: always
    uptime:
      description: Seconds since its start.
      type: float
      returned: always
    first_id:
      description: The host's id of user 0 of the jail.
      type: int
      returned: always
    log:
      description: The file on the host with the last that its first process printed.
      type: str
      returned: always
    limits:
      description: The options of M(cellblock.jails.jail_limits).
      type: dict
      returned: when gathered
    net:
      description: The options of M(cellblock.jails.jail_net).
      type: dict
      returned: when gathered
    state:
      description: The options of M(cellblock.jails.jail_state).
      type: dict
      returned: when gathered
    rootfs:
      description: The options of M(cellblock.jails.jail_rootfs) that were given, and the C(template).
      type: dict
      returned: when gathered
    snapshots:
      description: The C(snapshot) (its label), C(created) (UTC), C(storage) and C(template) of each, oldest first.
      type: list
      elements: dict
      returned: when gathered
    usage:
      description: What a jail that runs takes and has taken, by the kernel's counters. Null is what this host does not
        count, and a limit that there is not.
      type: dict
      returned: when gathered
      contains:
        cpu_seconds:
          description: CPU time.
          type: float
          returned: always
        throttled_seconds:
          description: For how long its CPUs were held back by its quota, and C(throttled_periods) in how many periods.
          type: float
          returned: always
        memory:
          description: Bytes of memory, page cache included, C(memory_max) its limit, C(swap) bytes swapped out.
          type: int
          returned: always
        oom_kills:
          description: Processes that were killed because memory was short.
          type: int
          returned: always
        pids:
          description: Processes and threads, C(pids_max) their limit, C(processes) processes alone.
          type: int
          returned: always
        io:
          description:
            - C(read_bytes), C(written_bytes), C(reads) and C(writes) of all disks together. What goes through two, as
              with LVM or a loop device, counts for both.
          type: dict
          returned: always
        network:
          description: C(received_bytes), C(sent_bytes), C(received_packets), C(sent_packets) of all devices but the
            loopback, as the jail sees them.
          type: dict
          returned: always
        pressure:
          description:
            - For C(cpu), C(memory) and C(io) how long tasks waited for it. C(some) is when at least one did, C(full)
              when all did, each with C(percent) of the last ten seconds and C(seconds) in all.
            - Null with cgroup version 1, where the kernel knows the pressure of the whole host only.
          type: dict
          returned: always
    traffic:
      description: By interface, what a jail that runs has received and sent since the interface was made, as the jail
        sees it. What the host's filter drops has been sent. The interface C(lo) is what it sends to itself.
        Empty for a jail in the host's network.
      type: dict
      returned: when gathered
      contains:
        received_bytes:
          description: Bytes, with C(received_packets) packets of them.
          type: int
          returned: always
        received_errors:
          description: Packets that arrived damaged, and C(received_dropped) those that arrived whole and were dropped.
          type: int
          returned: always
        sent_bytes:
          description: Bytes, with C(sent_packets), C(sent_errors) and C(sent_dropped) likewise.
          type: int
          returned: always
    disk:
      description: C(bytes) and C(inodes) that the jail's own files take, where its file system counts them (a quota, an
        image), and C(bytes_max) and C(inodes_max), the limits that hold; null for what is not counted or not limited.
      type: dict
      returned: when gathered
    isolation:
      description: What holds a jail that runs.
      type: dict
      returned: when gathered
      contains:
        facts:
          description:
            - By name, such as C(namespaces.pid), C(capabilities.bounding), C(seccomp), C(mounts./proc) or
              C(device_nodes), C(live) from the kernel, C(expected) as the jail's start settled it, and whether it
              C(holds). It does where the jail has no more than was settled; its first process may hold itself tighter.
          type: dict
          returned: always
        drift:
          description: The names of the facts that do not hold.
          type: list
          elements: str
          returned: always
    size:
      description: Bytes on disk that are the jail's own.
      type: int
      returned: when gathered
  sample:
    web1:
      status: started
      pid: 4711
      uptime: 12.5
      first_id: 268435456
      log: /run/jails/.console-web1/log
      usage:
        cpu_seconds: 0.02
        throttled_seconds: 0.0
        throttled_periods: 0
        memory: 3145728
        memory_max: 268435456
        swap: 0
        oom_kills: 0
        pids: 3
        pids_max: 200
        processes: 3
        io: {read_bytes: 4096, written_bytes: 0, reads: 1, writes: 0}
        network: {received_bytes: 984, sent_bytes: 1088, received_packets: 12, sent_packets: 13}
        pressure: null
      traffic:
        eth0:
          received_bytes: 4096
          received_packets: 12
          received_errors: 0
          received_dropped: 0
          sent_bytes: 2048
          sent_packets: 10
          sent_errors: 0
          sent_dropped: 0
      disk: {bytes: 20971520, bytes_max: 2147483648, inodes: 311, inodes_max: null}
templates:
  description: The templates, by key.
  returned: when gathered
  type: dict
  contains:
    method:
      description: How it was built.
      type: str
      returned: always
    release:
      description: The suite or release that it is of.
      type: str
      returned: always
    trust_group:
      description: Whose jails share it.
      type: str
      returned: always
    recipe:
      description: All that it was built from.
      type: dict
      returned: always
    generation:
      description: Which one of the same recipe it is; the newest one is what a new jail is made of.
      type: int
      returned: always
    built:
      description: When it was built.
      type: str
      returned: always
    age:
      description: Seconds since then.
      type: int
      returned: always
    size:
      description: Bytes on disk.
      type: int
      returned: always
    jails:
      description: The jails that came from it.
      type: list
      elements: str
      returned: always
  sample:
    debootstrap-bookworm-0123456789abcdef.2:
      method: debootstrap
      release: bookworm
      trust_group: default
      recipe: {method: debootstrap, suite: bookworm, packages: [nginx-light]}
      generation: 2
      built: "2026-01-31T12:00:00+00:00"
      age: 3600
      size: 187269120
      jails: [web1, web2]
ceiling:
  description: What all jails of the host may take together, and do take, by the kernel's word.
  returned: when gathered
  type: dict
  contains:
    memory_max:
      description: Of memory, the C(max) and the bytes C(used).
      type: dict
      returned: always
    pids_max:
      description: Of processes and threads, the C(max) and the number C(used).
      type: dict
      returned: always
  sample:
    memory_max: {max: 23449M, used: 104857600}
    pids_max: {max: "29492", used: 12}
"""

from ansible_collections.cellblock.jails.plugins.module_utils.module import run_info


def main() -> None:
    """Run the module."""
    run_info()


if __name__ == "__main__":
    main()
