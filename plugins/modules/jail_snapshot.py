#!/usr/bin/python
# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: jail_snapshot
short_description: Keep jails as they are, and go back to that
description:
  - A snapshot keeps what a jail has written and the desired state of all modules, under a label. It shares blocks
    with the jail where the file system can.
  - Going back gives both to the jail again, in one step. Later snapshots stay as they are.
  - A snapshot needs the template of its jail as the jail itself does. It stays when M(cellblock.jails.jail_rootfs)
    removes the root file system, and can give it back; M(cellblock.jails.jail_state) with O(ignore:state=absent)
    removes the snapshots with the jail.
  - M(cellblock.jails.jail_info) lists snapshots, and C(jail snapshot ls) on the host.
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
  state: &state
    description:
      - V(present) takes the snapshot unless there is one of this label. Of a jail that runs it can be taken only where
        the storage has snapshots of its own; with V(overlay) and V(directory) the jail has to be stopped.
      - V(rolled_back) makes the jail what it was. It is refused while the jail runs, and when another jail has an
        address of it by now. Nothing is done when the jail was rolled back to this snapshot before and has not been
        started or changed since.
      - V(absent) removes the snapshot.
      - Left out, the same as V(present).
    type: str
    choices: [present, absent, rolled_back]
  snapshot: &snapshot
    description: The label, up to 64 letters, digits, and the characters V(_.-). It is always needed.
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
      state: *state
      snapshot: *snapshot
"""

EXAMPLES = r"""
- name: Stop a jail before it is upgraded
  cellblock.jails.jail_state:
    name: web1
    state: stopped

- name: Keep it as it is
  cellblock.jails.jail_snapshot:
    name: web1
    snapshot: before-upgrade

- name: Go back
  cellblock.jails.jail_snapshot:
    name: web1
    snapshot: before-upgrade
    state: rolled_back

- name: Remove the snapshots of two jails
  cellblock.jails.jail_snapshot:
    jails: [{name: web1}, {name: web2}]
    snapshot: before-upgrade
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
      description:
        - Each difference that was found, and how it was removed. Of a jail that was rolled back, each option of its
          desired state that is another one now is among them.
      type: list
      elements: dict
      returned: always
      contains:
        option:
          description: The option that differed.
          type: str
          returned: always
        before:
          description: Its value before.
          type: raw
          returned: always
        after:
          description: Its value now.
          type: raw
          returned: always
        how:
          description: V(create), V(remove) or V(rollback).
          type: str
          returned: always
    restart_required:
      description: Always empty.
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
        - {option: snapshot, before: null, after: before-upgrade, how: create}
      restart_required: []
      degraded: []
"""

from ansible_collections.cellblock.jails.plugins.module_utils.jail import snapshot
from ansible_collections.cellblock.jails.plugins.module_utils.module import run


def main() -> None:
    """Run the module."""
    run(snapshot.FACET)


if __name__ == "__main__":
    main()
