#!/usr/bin/python
# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: jail_import
short_description: Make jails of files that jail_export wrote
description:
  - Reads what M(cellblock.jails.jail_export) wrote, on this host or another. The jail has the same tree then, with user
    ids of its own.
  - The jail appears when all of the file was read and its checksum was right. The file is decompressed and unpacked by
    programs that are confined like a jail.
  - What the jail was made of is recorded too, so that a task with M(cellblock.jails.jail_rootfs) that made it on the
    other host finds nothing to do here.
  - Its identity comes with the tree. For a copy that is to run beside the original, C(jail renew NAME) on the host has
    the next start give it another machine id and other SSH host keys.
  - C(jail import) on the host reads the same from standard input.
author:
  - cellblock.jails contributors (@cellblock)
version_added: 0.1.0
requirements:
  - GNU tar on the host; gzip or zstd for files that are compressed so
extends_documentation_fragment:
  - cellblock.jails.attributes
  - cellblock.jails.attributes.idempotent
options:
  name:
    description:
      - The jail, under whatever name. Either this or O(jails) is needed.
      - A jail that was imported stays as it is. One that has a root file system from elsewhere is refused.
    type: str
  src: &src
    description: The file on the host. It is always needed.
    type: path
  storage: &storage
    description: What the jail's files are kept in, as in M(cellblock.jails.jail_rootfs); V(directory) if left out.
    type: str
    choices: [directory, btrfs]
  checksum: &checksum
    description:
      - What the file must have, C(sha256:) and 64 hexadecimal digits. The checksum inside the file shows that it is
        whole; this one shows that nobody has made another of it.
      - With it, a jail that was imported from another export is refused.
    type: str
  trusted: &trusted
    description:
      - Whether the desired state in the export holds as it stands.
      - If left out, only what the jail runs is taken from it, which is O(ignore:command), O(ignore:init),
        O(ignore:hostname), O(ignore:stop_signal) and O(ignore:stop_timeout) of M(cellblock.jails.jail_state). Limits,
        network, and all that bears on isolation are left out, and listed in RV(jails.left_out).
      - What is recorded of the jail on this host already holds in either case.
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
      src: *src
      storage: *storage
      checksum: *checksum
      trusted: *trusted
"""

EXAMPLES = r"""
- name: A jail from another host of ours
  cellblock.jails.jail_import:
    name: web1
    src: /srv/backup/web1.tar.zst
    checksum: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    trusted: true

- name: Start it
  cellblock.jails.jail_state:
    name: web1
    state: started
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
          description: Its value before.
          type: raw
          returned: always
        after:
          description: Its value now.
          type: raw
          returned: always
        how:
          description: V(create).
          type: str
          returned: always
    left_out:
      description: The options in the export that do not hold, as FACET.OPTION.
      type: list
      elements: str
      returned: when it was imported
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
        - {option: state, before: absent, after: present, how: create}
        - {option: src, before: null, after: /srv/backup/web1.tar.zst, how: create}
      left_out: [limits.memory_max, net.interfaces]
      restart_required: []
      degraded: []
"""

from ansible_collections.cellblock.jails.plugins.module_utils.jail import imports
from ansible_collections.cellblock.jails.plugins.module_utils.module import run


def main() -> None:
    """Run the module."""
    run(imports.FACET)


if __name__ == "__main__":
    main()
