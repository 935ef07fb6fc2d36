#!/usr/bin/python
# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: jail_state
short_description: Start, stop, restart and remove jails
description:
  - Says what a jail's first process is, and whether the jail runs.
  - An option that is left out is left as it is. What cannot be changed in a running jail is recorded, reported under
    RV(jails.restart_required), and made by O(state=restarted); nothing restarts a jail by itself.
author:
  - cellblock.jails contributors (@cellblock)
version_added: 0.1.0
extends_documentation_fragment:
  - cellblock.jails.attributes
attributes:
  idempotent:
    support: partial
    description: A second run with the same options changes nothing.
    details: O(state=restarted) always restarts.
options:
  name:
    description: The jail, or several that get the same options. Either this or O(jails) is needed.
    type: list
    elements: str
  state: &state
    description:
      - V(started) and V(stopped) do nothing where that is so already; V(restarted) stops a jail if it runs, and
        starts it.
      - V(absent) stops it and removes everything of it, its files included.
      - Left out, the other options are converged and the jail runs on, or does not.
    type: str
    choices: [started, stopped, restarted, absent]
  command: &command
    description:
      - The jail's first process as a list of words, instead of an init. The jail ends with it.
      - An empty list goes back to O(init).
    type: list
    elements: str
  init: &init
    description: The jail's init, an absolute path inside it; V(/sbin/init) where nothing was ever said.
    type: str
  hostname: &hostname
    description: The jail's host name; its own name where nothing was ever said.
    type: str
  userns: &userns
    description:
      - V(auto) gives the jail a user namespace with 65536 ids of its own.
      - V(host) leaves it in the host's, for file systems that cannot do idmapped mounts. The jail's root is then
        the host's root, held by capabilities and seccomp only; every result says so under RV(jails.degraded).
    type: str
    choices: [auto, host]
  stop_signal: &stop_signal
    description: The signal that asks the jail's first process to end; V(SIGTERM) where nothing was ever said.
    type: str
  stop_timeout: &stop_timeout
    description: Seconds that it may take before it is killed with all others of the jail; 10 where nothing was ever
      said.
    type: float
  jails:
    description: Many jails in one run. An option beside it holds for each of them that does not say otherwise.
    type: list
    elements: dict
    suboptions:
      name:
        description: The jail.
        type: str
        required: true
      state: *state
      command: *command
      init: *init
      hostname: *hostname
      userns: *userns
      stop_signal: *stop_signal
      stop_timeout: *stop_timeout
"""

EXAMPLES = r"""
- name: Two jails that run their init
  cellblock.jails.jail_state:
    name: [web1, web2]
    state: started

- name: A jail that is one web server
  cellblock.jails.jail_state:
    name: web1
    command: [nginx, -g, daemon off;]
    state: started

- name: Remove a jail with everything in it
  cellblock.jails.jail_state:
    name: web1
    state: absent
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
        - {option: state, before: stopped, after: started, how: start}
      restart_required: []
      degraded: []
"""

from ansible_collections.cellblock.jails.plugins.module_utils.jail import state
from ansible_collections.cellblock.jails.plugins.module_utils.module import run_for_names


def main() -> None:
    """Run the module."""
    run_for_names(state.FACET)


if __name__ == "__main__":
    main()
