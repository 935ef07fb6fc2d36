#!/usr/bin/python
# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: jail_dedupe
short_description: Give back the space of equal files that jails hold each for itself
description:
  - After jails have been upgraded one by one, each holds its own copies of the same files. This module shares them
    again, as util-vserver's vunify did. What a jail sees does not change, and what it writes later is its own.
  - Storage of kind C(overlay) is moved onto a newer template; what the jail wrote and that template has as well is
    dropped. The jail must not run meanwhile. Nothing is dropped that differs in content, mode, owner, time of last
    change or extended attributes.
  - Of full trees (C(directory), C(btrfs)) on btrfs and xfs, equal files share their place on the disk. The kernel
    compares them while it does that, so the jails may run. So do the files that overlays have of their own there.
  - Where the simple quotas of btrfs count (O(cellblock.jails.jail_rootfs#module:size)), jails share with their template
    only. What two jails share would count for one of them even after that one has removed it.
  - Storage of kind C(image) is left as it is.
  - Configuration and data stay each jail's own, whether they are equal or not. These are C(/boot), C(/dev), C(/etc),
    C(/home), C(/media), C(/mnt), C(/proc), C(/root), C(/run), C(/srv), C(/sys), C(/tmp), C(/var) and C(/usr/local/etc)
    with all below them, what dpkg calls conffiles, and the protected paths of apk.
  - Jails of different trust groups (O(cellblock.jails.jail_rootfs#module:trust_group)) share nothing.
author:
  - cellblock.jails contributors (@cellblock)
version_added: 0.1.0
extends_documentation_fragment:
  - cellblock.jails.attributes
  - cellblock.jails.attributes.idempotent
attributes:
  check_mode:
    description: Reports what a real run would do, and does nothing. The bytes that it would leave are an estimate, and
      so is RV(jails) where equal files are found among what is only to be written.
  diff_mode:
    description: Shows the template and the bytes of each jail before and after.
options:
  name:
    description: The jails; all of the host that have a root file system if left out.
    type: list
    elements: str
  template:
    description:
      - The key of the template to move overlays onto, as M(cellblock.jails.jail_info) reports it.
      - Left out, it is the newest template that was built from the same recipe as the jail's. A jail whose overlay
        would take more space over that one stays where it is then.
    type: str
"""

EXAMPLES = r"""
- name: Say what there is to gain
  cellblock.jails.jail_dedupe:
  check_mode: true
  register: found

- name: Stop two jails that were upgraded
  cellblock.jails.jail_state: {name: [web1, web2], state: stopped}

- name: Share their files again
  cellblock.jails.jail_dedupe:
    name: [web1, web2]
"""

RETURN = r"""
jails:
  description: What was done, by jail.
  returned: always
  type: dict
  contains:
    changed:
      description: Whether anything of this jail is stored otherwise now.
      type: bool
      returned: always
    template:
      description: The key of its template.
      type: str
      returned: always
    bytes_before:
      description: Bytes on disk that were the jail's own, shared with nobody.
      type: int
      returned: always
    bytes_after:
      description: The same now.
      type: int
      returned: always
    dropped:
      description: Files of an overlay that went because the template has them.
      type: int
      returned: always
    copied_up:
      description: Files of the former template that are the jail's own now, because the new template has them
        differently or not at all.
      type: int
      returned: always
    deduplicated:
      description: Files that share their place on the disk with equal ones, and did not before.
      type: int
      returned: always
    skipped_because:
      description: Why nothing was done, or not all that might have been.
      type: str
      returned: when there is a reason
    failed:
      description: That something went wrong.
      type: bool
      returned: when it failed
    msg:
      description: What.
      type: str
      returned: when it failed
  sample:
    web1:
      changed: true
      template: debootstrap-bookworm-0123456789abcdef
      bytes_before: 125829120
      bytes_after: 5242880
      dropped: 1432
      copied_up: 0
      deduplicated: 0
    web2:
      changed: false
      template: debootstrap-bookworm-0123456789abcdef
      bytes_before: 125829120
      bytes_after: 125829120
      dropped: 0
      copied_up: 0
      deduplicated: 0
      skipped_because: it runs, and an overlay cannot be moved onto another template meanwhile
"""

from ansible_collections.cellblock.jails.plugins.module_utils.module import run_dedupe


def main() -> None:
    """Run the module."""
    run_dedupe()


if __name__ == "__main__":
    main()
