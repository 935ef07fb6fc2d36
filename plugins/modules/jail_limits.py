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
      - The memory that the jail may use, such as V(256M), V(1.5G), a number of bytes, or V(unlimited). Units are
        powers of 1024.
      - Half of what all jails may have together where nothing was ever said, so that no jail takes what its
        neighbours need.
    type: str
  cpus: &cpus
    description:
      - The CPU time that the jail may use, in CPUs, such as V(0.5), V(2), or V(unlimited).
      - Unlimited where nothing was ever said.
    type: str
  pids_max: &pids_max
    description:
      - The number of processes and threads that the jail may have, or V(unlimited).
      - 4096 where nothing was ever said.
    type: str
  io_max: &io_max
    description:
      - The bytes that the jail may read in each second from each disk that C(/var/lib/jails) is on, and the bytes
        that it may write there in each second, such as V(20M), or V(unlimited).
      - Unlimited where nothing was ever said. Jails have equal shares of a disk then where the host shares it out by
        control group, as its scheduler BFQ and C(io.cost) do.
      - On cgroup version 1 the kernel counts what a process reads, writes past the cache, or waits for (C(fsync)); what
        it writes back by itself later is nobody's. Version 2 counts that too.
    type: str
  io_operations_max: &io_operations_max
    description:
      - Likewise the operations of reading, and those of writing, in each second, or V(unlimited).
      - Unlimited where nothing was ever said.
    type: str
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
      cpus: *cpus
      pids_max: *pids_max
      io_max: *io_max
      io_operations_max: *io_operations_max
"""

EXAMPLES = r"""
- name: Half a CPU and 256 MiB for one jail
  cellblock.jails.jail_limits:
    name: web1
    memory_max: 256M
    cpus: "0.5"
    pids_max: "200"

- name: Two jails in one run
  cellblock.jails.jail_limits:
    jails:
      - {name: web1, memory_max: 512M}
      - {name: web2, memory_max: unlimited}
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
