#!/usr/bin/python
# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: jail_limits
short_description: Limit what jails may use
description:
  - Sets the cgroup limits of jails, by cgroup version 2 or 1, whichever the host has.
  - A limit of a running jail changes at once; of any other it is recorded and holds from the first instruction of
    the next start.
  - An option that is left out is left as it is.
  - Some limits are there on one version of cgroup only, or with some kernels. An option that this host cannot give is
    an error that names what is missing, or is listed under RV(jails.degraded) where O(accept_missing) allows that.
  - All jails of a host together have a limit of their own, whatever each of them has. Of memory the host keeps a
    twentieth and 256 MiB at least, of processes and threads a tenth and 1024 at least, but no more than a quarter of
    either. The file C(/etc/jails.d/ceiling.json) on the host, one JSON object with C(memory_max), C(pids_max) or both,
    says otherwise, in the words of the options here; it holds from the next start of any jail on.
author:
  - cellblock.jails contributors (@cellblock)
version_added: 0.1.0
extends_documentation_fragment:
  - cellblock.jails.attributes
  - cellblock.jails.attributes.idempotent
options:
  name:
    description: The jail. Either this or O(jails) is needed.
    type: str
  memory_max: &memory_max
    description:
      - The memory that the jail may use, such as V(256M), V(1.5G), V(50%) of the host's, a number of bytes, or
        V(unlimited). Units are powers of 1024.
      - When it is lowered in a running jail below what that holds, memory is taken back first.
        RV(jails.reclaimed) says how much. Where it cannot be, nothing is killed, the task fails with the
        figures, and the limit stays as it was until the next start.
      - Half of what all jails may have together where nothing was ever said, so that no jail takes what its
        neighbours need.
    type: str
  memory_high: &memory_high
    description:
      - The memory above which the jail is slowed down and has memory taken back, without being killed.
      - Unlimited where nothing was ever said. Cgroup version 2 only.
    type: str
  memory_min: &memory_min
    description:
      - Memory that nobody takes from the jail whatever others need, such as V(128M), V(10%) of the host's, or
        V(0).
      - What all jails of the host are guaranteed in sum, the larger of O(memory_min) and O(memory_low) of each,
        may not be more than they may have together.
      - Nothing where nothing was ever said. Cgroup version 2 only. What version 1 calls a soft limit is none,
        it is what a group is pushed back to first.
    type: str
  memory_low: &memory_low
    description:
      - Likewise memory that is taken from the jail only when there is nothing else to take.
      - Nothing where nothing was ever said. Cgroup version 2 only.
    type: str
  swap_max: &swap_max
    description:
      - The swap that the jail may use, V(0) for none, or V(unlimited).
      - Cgroup version 1 limits the sum of memory and swap. There O(memory_max) must be limited too, and a jail
        that uses less memory than it may have can use more swap.
      - Unlimited where nothing was ever said.
    type: str
  oom_group: &oom_group
    description:
      - Whether, where O(memory_max) is reached, all processes of the jail are killed together and not the one
        that takes most. The jail has ended then.
      - V(false) where nothing was ever said. Cgroup version 2 only.
    type: bool
  hugepages: &hugepages
    description:
      - The bytes that the jail may have in huge pages, by their size, as in the examples. A size that is not named is
        unlimited.
      - Unlimited where nothing was ever said. Needs the controller C(hugetlb).
    type: dict
  cpus: &cpus
    description:
      - The CPU time that the jail may use, in CPUs, such as V(0.5), V(2), V(50%) of the host's, or
        V(unlimited).
      - Unlimited where nothing was ever said.
    type: str
  cpu_burst: &cpu_burst
    description:
      - How many CPUs more than O(cpus) it may take in one period of a tenth of a second from what it left
        unused before, such as V(0.2), and no more than O(cpus).
      - Nothing where nothing was ever said.
    type: str
  cpu_weight: &cpu_weight
    description:
      - The jail's share of CPU time where jails want more than there is, from 1 to 10000, by proportion to the
        others.
      - 100 where nothing was ever said.
    type: str
  cpu_idle: &cpu_idle
    description:
      - Whether the jail runs only where nobody else wants the CPU. O(cpu_weight) means nothing then.
      - V(false) where nothing was ever said.
    type: bool
  cpuset_cpus: &cpuset_cpus
    description:
      - The CPUs that the jail may run on, such as V(0-3,6), or V(all).
      - All where nothing was ever said. Needs the controller C(cpuset), as does O(cpuset_mems).
    type: str
  cpuset_mems: &cpuset_mems
    description:
      - The memory nodes that the jail gets memory of, such as V(0), or V(all).
      - All where nothing was ever said.
    type: str
  pids_max: &pids_max
    description:
      - The number of processes and threads that the jail may have, or V(unlimited).
      - 4096 where nothing was ever said.
    type: str
  io_weight: &io_weight
    description:
      - The jail's share of disks where jails want more than these can do, from 1 to 1000, by proportion to the
        others.
      - It means something on disks with the scheduler BFQ, and on cgroup version 2 where the host has
        C(io.cost) on.
      - 100 where nothing was ever said.
    type: str
  io_max: &io_max
    description:
      - The bytes that the jail may read in each second from each disk that C(/var/lib/jails) is on, and the
        bytes that it may write there in each second, such as V(20M), or V(unlimited). What O(io_devices) says
        of such a disk counts instead.
      - Unlimited where nothing was ever said. Jails have equal shares of a disk then where the host shares it
        out by control group, as its scheduler BFQ and C(io.cost) do.
      - On cgroup version 1 the kernel counts what a process reads, writes past the cache, or waits for
        (C(fsync)); what it writes back by itself later is nobody's. Version 2 counts that too.
    type: str
  io_operations_max: &io_operations_max
    description:
      - Likewise the operations of reading, and those of writing, in each second, or V(unlimited).
      - Unlimited where nothing was ever said.
    type: str
  io_latency: &io_latency
    description:
      - Likewise the time that reading and writing may take, such as V(500us) or V(10ms), before the kernel
        slows down what has a looser limit or none, or V(unlimited).
      - Unlimited where nothing was ever said. Cgroup version 2 only.
    type: str
  io_devices: &io_devices
    description:
      - Limits of disks one by one, of whatever disks. Another list takes away those that it does not name.
      - What is said here of a disk of the storage counts instead of O(io_max), O(io_operations_max) and O(io_latency).
    type: list
    elements: dict
    suboptions:
      device:
        description:
          - A block device by its path or its numbers such as V(8:0), or any path on a file system, such as a mount
            point, for the disks below that. A partition means the disk that it is a part of; the kernel limits no less.
        type: str
        required: true
      rbps:
        description: Bytes to be read in each second. Unlimited where it is left out, like the others.
        type: str
      wbps:
        description: Bytes to be written in each second.
        type: str
      riops:
        description: Operations of reading in each second.
        type: str
      wiops:
        description: Operations of writing in each second.
        type: str
      latency:
        description: As O(io_latency). Cgroup version 2 only.
        type: str
  unified: &unified
    description:
      - Texts of files of the jail's control group, by file, for what has no option, as in the examples. They are
        written as the kernel shows them; of files of many lines, the lines that are to be there.
      - Another dictionary takes back what it does not name, to what the file said before.
      - Cgroup version 2 only. Files that have an option, and those that begin with C(cgroup.), are refused.
    type: dict
  accept_missing: &accept_missing
    description:
      - Options here that this host need not be able to give. What it cannot is recorded, does not hold, and is listed
        under RV(jails.degraded) in every result. Of any other it is an error that says what the host lacks.
    type: list
    elements: str
    choices:
      - memory_max
      - memory_high
      - memory_min
      - memory_low
      - swap_max
      - oom_group
      - hugepages
      - cpus
      - cpu_burst
      - cpu_weight
      - cpu_idle
      - cpuset_cpus
      - cpuset_mems
      - pids_max
      - io_weight
      - io_max
      - io_operations_max
      - io_latency
      - io_devices
      - unified
  rlimits: &rlimits
    description:
      - The resource limits that each process of the jail begins with, by their names in C(getrlimit(2)). They
        are C(as), C(core), C(cpu), C(data), C(fsize), C(locks), C(memlock), C(msgqueue), C(nice), C(nofile), C(nproc),
        C(rss), C(rtprio), C(rttime), C(sigpending), C(stack).
      - A limit is one for both, or C(SOFT:HARD), each a number or V(unlimited); of those that count bytes it can be
        V(64M) and the like. C(cpu) counts seconds, and ends a running process that has had them; C(rttime) counts
        microseconds.
      - Those that are not in the list are as they are usual. C(core) is 1, C(nofile) 1024:524288, C(memlock) 8M,
        C(msgqueue) 800K, C(nice) and C(rtprio) 0, or less where who starts the jail has less; all others are those of
        who starts it. With C(core) otherwise than 1 a crash in the jail reaches a program of the host, where
        C(kernel.core_pattern) names one.
      - In a running jail they change in all processes. One that holds itself tighter keeps that, as long as it is no
        more than the new limit. To raise a hard limit takes C(CAP_SYS_RESOURCE) on the host. Without it a hard limit
        within what the host's own processes have waits for the next start, and one above that is refused.
      - C(nproc) counts the processes of each user of the jail apart; O(pids_max) is the number that holds for all.
    type: dict
  nice: &nice
    description:
      - The nice value of the jail's processes, from V(-20) to V(19). It counts among the processes of the jail, and
        among jails only on a host without a CPU controller.
      - V(0) where nothing was ever said, unless who starts the jail has a higher one.
      - In a running jail it changes for all threads. One that has made itself nicer stays so.
    type: int
  scheduling: &scheduling
    description:
      - The scheduling policy of the jail's processes (C(sched(7))), V(other), V(batch), V(idle), or with a priority
        from 1 to 99 V(fifo:10) or V(rr:10). It counts as O(nice) does.
      - V(fifo) and V(rr) take CPU time from everybody, the host included. On cgroup version 1 with real-time groups the
        kernel refuses them, as a jail's control group has no real time.
      - V(other) where nothing was ever said.
    type: str
  core_scheduling: &core_scheduling
    description:
      - Whether nothing but the jail's own threads runs on the other hardware threads of a core that the jail has, so
        that no neighbour can watch it there (the kernel's C(core-scheduling)). It takes a kernel that can, and CPUs
        with more than one thread in a core; elsewhere it is an error.
      - Not where nothing was ever said.
    type: bool
  ptys_max: &ptys_max
    description:
      - How many pseudoterminals the jail may have open. The host has C(kernel.pty.max) for all.
      - 256 where nothing was ever said. A change waits for the next start.
    type: str
  kernel_objects: &kernel_objects
    description:
      - How many objects of the kernel the jail may make, by name; what is not in the list is as the kernel has it for a
        new jail.
      - C(inotify_instances), C(inotify_watches), C(fanotify_groups) and C(fanotify_marks) are counts for each user of
        the jail; with O(cellblock.jails.jail_state#module:allow_mount) or
        O(cellblock.jails.jail_state#module:children_max) for all of it. They hold besides those that the host has for
        the owner of the jail.
      - C(mnt_namespaces), C(net_namespaces), C(cgroup_namespaces), C(ipc_namespaces), C(pid_namespaces),
        C(uts_namespaces) and C(time_namespaces) likewise, where the isolation policy lets the jail make any;
        C(mnt_namespaces) is 256 otherwise.
      - C(shmmax) (bytes of one segment), C(shmall) (pages of all), C(shmmni) (segments), C(msgmax) (bytes of a
        message), C(msgmnb) and C(msgmni) (bytes of a queue, and queues), C(sem) (the four numbers of C(kernel.sem)) are
        those of System V IPC, which takes O(cellblock.jails.jail_state#module:allow_sysvipc).
      - C(mqueue_queues), C(mqueue_messages) and C(mqueue_message_size) are those of POSIX message queues. What all of
        a user's queues take is the resource limit C(msgqueue) of O(rlimits).
      - In a running jail they change at once. What there is stays, also where it is more than the new number.
    type: dict
  jails:
    description: Many jails in one run. An option beside it holds for each of them that does not say otherwise.
    type: list
    elements: dict
    suboptions:
      name:
        description: The jail.
        type: str
        required: true
      memory_max: *memory_max
      memory_high: *memory_high
      memory_min: *memory_min
      memory_low: *memory_low
      swap_max: *swap_max
      oom_group: *oom_group
      hugepages: *hugepages
      cpus: *cpus
      cpu_burst: *cpu_burst
      cpu_weight: *cpu_weight
      cpu_idle: *cpu_idle
      cpuset_cpus: *cpuset_cpus
      cpuset_mems: *cpuset_mems
      pids_max: *pids_max
      io_weight: *io_weight
      io_max: *io_max
      io_operations_max: *io_operations_max
      io_latency: *io_latency
      io_devices: *io_devices
      unified: *unified
      accept_missing: *accept_missing
      rlimits: *rlimits
      nice: *nice
      scheduling: *scheduling
      core_scheduling: *core_scheduling
      ptys_max: *ptys_max
      kernel_objects: *kernel_objects
"""

EXAMPLES = r"""
- name: Half a CPU and 256 MiB for one jail
  cellblock.jails.jail_limits:
    name: web1
    memory_max: 256M
    cpus: "0.5"
    pids_max: "200"

- name: No more than 500 open files in each process, and large files never
  cellblock.jails.jail_limits:
    name: web1
    rlimits: {nofile: "256:500", fsize: 1G}

- name: Two inotify instances for each user, and shared memory segments of 64 MiB at most
  cellblock.jails.jail_limits:
    name: web1
    kernel_objects: {inotify_instances: 2, shmmax: 64M}

- name: A jail whose work can wait
  cellblock.jails.jail_limits:
    name: batch1
    nice: 10
    scheduling: batch

- name: Two jails in one run
  cellblock.jails.jail_limits:
    jails:
      - {name: web1, memory_max: 512M}
      - {name: web2, memory_max: unlimited}

- name: Memory that nobody takes from it, twice the CPU time of its neighbours, and CPUs of its own
  cellblock.jails.jail_limits:
    name: db1
    memory_min: 512M
    cpu_weight: "200"
    cpuset_cpus: 2-3
    accept_missing: [memory_min]      # on a host with cgroup version 1

- name: What has no option, on cgroup version 2; and huge pages of 2 MiB, but none of 1 GiB
  cellblock.jails.jail_limits:
    name: db1
    hugepages: {2M: 256M, 1G: "0"}
    unified: {memory.zswap.max: "0"}

- name: A slow disk for backups, beside the disks of the jails' storage
  cellblock.jails.jail_limits:
    name: db1
    io_max: 50M
    io_devices:
      - {device: /srv/backup, wbps: 10M, wiops: "200"}
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
      description:
        - Protections that the options of this jail give up, and limits that this host cannot give and O(accept_missing)
          names.
      type: list
      elements: str
      returned: always
    reclaimed:
      description: How much memory was taken back so that O(memory_max) could be lowered.
      type: str
      returned: when it was lowered below what the jail held
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
        - {option: memory_max, before: 256M, after: 512M, how: live}
      restart_required: []
      degraded: []
"""

from ansible_collections.cellblock.jails.plugins.module_utils.jail import limits
from ansible_collections.cellblock.jails.plugins.module_utils.module import run


def main() -> None:
    """Run the module."""
    run(limits.FACET)


if __name__ == "__main__":
    main()
