#!/usr/bin/python
# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: jail_rootfs
short_description: Make and remove the root file systems of jails
description:
  - A root file system is a clone of a template, and a template is built once from its recipe (O(method) and its
    options), however many jails have the same. A build can take minutes; C(tail -F /var/log/jails/build.log) on the
    host shows how far it is.
  - A root file system is made once. What would make another one of it is refused, for its files are yours.
author:
  - cellblock.jails contributors (@cellblock)
version_added: 0.1.0
requirements:
  - debootstrap, for O(method=debootstrap)
  - e2fsprogs, for O(storage=image)
extends_documentation_fragment:
  - cellblock.jails.attributes
  - cellblock.jails.attributes.idempotent
options:
  name:
    description: The jail. Either this or O(jails) is needed.
    type: str
  state: &state
    description:
      - V(absent) removes the root file system with all that the jail has written; it is refused while the jail runs.
      - Left out, the same as V(present).
    type: str
    choices: [present, absent]
  method: &method
    description:
      - V(debootstrap) installs Debian or a derivative. Packages are verified, and their scripts run confined like a
        jail.
      - V(skeleton) makes a minimal tree of O(binaries) from the host and the libraries that they need.
    type: str
    choices: [debootstrap, skeleton]
  suite: &suite
    description: The suite, such as V(bookworm). Needed by O(method=debootstrap).
    type: str
  mirror: &mirror
    description: The URL of a mirror; left out, the mirror of the host's own package configuration.
    type: str
  components: &components
    description: Components of the suite; V(main) if left out.
    type: list
    elements: str
  variant: &variant
    description: What debootstrap installs besides O(packages); V(minbase) if left out. V(standard) is debootstrap's
      own default.
    type: str
    choices: [minbase, buildd, standard]
  packages: &packages
    description: Packages to install as well.
    type: list
    elements: str
  exclude: &exclude
    description: Packages to leave out.
    type: list
    elements: str
  keyring: &keyring
    description: A file on the host with the keys that must have signed the suite; debootstrap's own default if left
      out.
    type: path
  arch: &arch
    description: The architecture, as dpkg calls it; the host's if left out.
    type: str
  binaries: &binaries
    description: Programs of the host to copy, by name or absolute path. Busybox gets its links. For
      O(method=skeleton).
    type: list
    elements: str
  trust_group: &trust_group
    description:
      - Jails share the files of a template in memory as on disk. A template is shared only within a trust group;
        V(default) if left out.
    type: str
  storage: &storage
    description:
      - V(overlay) stores only what the jail writes, in files above the template's, which all its jails share on disk
        and in memory. It works on every file system that overlayfs can write to.
      - V(directory) is a full copy, for file systems that overlayfs cannot use; it shares blocks where the file system
        can (btrfs, xfs), and memory never. A jail with a full copy sees in its mount table where on the host that lies.
      - V(btrfs) is a snapshot of the template, for C(/var/lib/jails) on btrfs. It shares every block that the jail has
        not changed, where V(overlay) copies the whole file at its first change; memory it does not share.
      - V(image) is V(overlay) with what the jail writes in a file system of its own, an ext4 in a sparse file. So
        O(size) and O(inodes) hold on every host that has loop devices and C(mkfs.ext4). The file takes from the disk
        what is written, and gives back what is deleted. If the host's disk fills up nevertheless, writing fails in the
        jail with an input/output error and its file system becomes read-only until its next start.
      - V(overlay) if left out.
    type: str
    choices: [overlay, directory, btrfs, image]
  size: &size
    description:
      - The most that the jail may have on disk, such as V(2G), or V(unlimited). What is in the template counts only
        for O(storage=directory). A jail that has reached it gets "disk quota exceeded" or "no space left"; neither its
        neighbours nor the host notice.
      - With O(storage=image) it is the size of the image; V(10G) if left out, V(16M) at least, and never V(unlimited).
      - "On btrfs it is held by simple quotas (Linux 6.7). If quotas are off they are turned on, and two things follow:
        what is on the disk already is not counted, and no older kernel can mount the file system any more. Full
        quotas are used where they are on already; with many jails they are slow. Metadata counts as well."
      - On ext4 and xfs it is held by project quotas, for which C(/var/lib/jails) has to be mounted with C(prjquota).
      - On other hosts it is refused, with what would work there.
      - It is changed while the jail runs. Less than what it uses is refused. An image shrinks at the next start only,
        and grows then where the kernel does not let us grow it before (without CAP_SYS_RESOURCE).
    type: str
  inodes: &inodes
    description:
      - The most files and directories that the jail may have, or V(unlimited), by the same means as O(size).
      - btrfs does not count them. With O(storage=image) it is decided when the jail is made, the least that the image
        has; it grows and shrinks with O(size).
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
      method: *method
      suite: *suite
      mirror: *mirror
      components: *components
      variant: *variant
      packages: *packages
      exclude: *exclude
      keyring: *keyring
      arch: *arch
      binaries: *binaries
      trust_group: *trust_group
      storage: *storage
      size: *size
      inodes: *inodes
"""

EXAMPLES = r"""
- name: Two jails of one template, which is built once
  cellblock.jails.jail_rootfs:
    jails:
      - {name: web1, method: debootstrap, suite: bookworm, packages: [nginx-light]}
      - {name: web2, method: debootstrap, suite: bookworm, packages: [nginx-light]}

- name: A jail that can fill 2 GiB, on whatever file system the host has
  cellblock.jails.jail_rootfs:
    name: web3
    method: debootstrap
    suite: bookworm
    storage: image
    size: 2G

- name: Give it more
  cellblock.jails.jail_rootfs:
    name: web3
    size: 4G

- name: A jail of nothing but busybox
  cellblock.jails.jail_rootfs:
    name: box
    method: skeleton
    binaries: [busybox]
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
            - V(live) in the running jail, V(storage) on its disk, V(record) for its next start, or V(create),
              V(remove), V(start), V(stop), V(restart).
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
        - {option: state, before: absent, after: present, how: create}
      restart_required: []
      degraded: []
"""

from ansible_collections.cellblock.jails.plugins.module_utils.jail import rootfs
from ansible_collections.cellblock.jails.plugins.module_utils.module import run


def main() -> None:
    """Run the module."""
    run(rootfs.FACET)


if __name__ == "__main__":
    main()
