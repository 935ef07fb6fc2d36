#!/usr/bin/python
# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: jail_export
short_description: Write jails to files
description:
  - An export is one file with a jail's tree and its desired state, to be read by M(cellblock.jails.jail_import) on this
    host or another. It depends on no user ids, no template and no kind of storage of the host.
  - It is a tar archive, perhaps compressed, that tar(1) can list and unpack. Its first member is C(jail.json), then
    comes the tree as C(root), and after the end of the archive a block with the SHA-256 of all before it.
  - Kept are owners by number, modes, times to the nanosecond, hard links, holes, ACLs, file capabilities and extended
    attributes C(user.*). Left out are sockets, and device nodes, which no jail can open.
  - The tree is read and packed by programs that are confined like a jail, with no way to write to it.
  - The file is for root only, as the jail's files are. C(jail export) on the host writes the same to standard output.
author:
  - cellblock.jails contributors (@cellblock)
version_added: 0.1.0
requirements:
  - GNU tar and findutils on the host; gzip or zstd for O(compression)
extends_documentation_fragment:
  - cellblock.jails.attributes
  - cellblock.jails.attributes.idempotent
attributes:
  idempotent:
    support: partial
    details:
      - With O(force=true) the file is written at each run.
options:
  name:
    description: The jail. Either this or O(jails) is needed. It has to be stopped, unless O(snapshot) is given.
    type: str
  dest: &dest
    description: The file on the host. It is there whole or not at all. It is always needed.
    type: path
  snapshot: &snapshot
    description: The label of the jail's snapshot to write, instead of the jail as it is.
    type: str
  compression: &compression
    description: How the file is compressed; V(none) if left out.
    type: str
    choices: [none, gzip, zstd]
  force: &force
    description:
      - Whether a file that is there is written anew. If left out it is not, whatever it holds, for nobody can tell
        from it whether the jail has changed since.
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
      dest: *dest
      snapshot: *snapshot
      compression: *compression
      force: *force
"""

EXAMPLES = r"""
- name: Keep a running jail as it was at its last snapshot
  cellblock.jails.jail_export:
    name: web1
    snapshot: nightly
    dest: /srv/backup/web1.tar.zst
    compression: zstd
    force: true
  register: exported

- name: Read it in under another name
  cellblock.jails.jail_import:
    name: web1-copy
    src: /srv/backup/web1.tar.zst
    checksum: "{{ exported.jails.web1.checksum }}"
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
    checksum:
      description: C(sha256:) and the SHA-256 of the file, as sha256sum(1) prints it.
      type: str
      returned: when it was written
    size:
      description: Bytes of the file.
      type: int
      returned: when it was written
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
        - {option: dest, before: null, after: /srv/backup/web1.tar.zst, how: create}
      checksum: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
      size: 41943040
      restart_required: []
      degraded: []
"""

from ansible_collections.cellblock.jails.plugins.module_utils.jail import exports
from ansible_collections.cellblock.jails.plugins.module_utils.module import run


def main() -> None:
    """Run the module."""
    run(exports.FACET)


if __name__ == "__main__":
    main()
