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
    host shows how far it is, and so does C(ansible-playbook -v) over the connections V(local) and V(ssh).
  - A root file system is made once. What would make another one of it is refused, for its files are yours.
  - No template holds what belongs to one system only. Each jail gets a machine id, an C(/etc/hosts) with its own name,
    and SSH host keys where it has an SSH server, at its first start, and keeps them; the options from
    O(authorized_keys) to O(timezone) are of the jail, too. They are written live where it runs, and otherwise at its
    next start. One that was never given is never touched.
author:
  - cellblock.jails contributors (@cellblock)
version_added: 0.1.0
requirements:
  - debootstrap or mmdebstrap, for O(method=debootstrap)
  - openssl, for O(method=apk)
  - dnf and rpm, for O(method=dnf), which Debian has as packages too
  - GNU tar, for O(method=archive), and gzip, xz, zstd or bzip2 as the archive needs it
  - ssh-keygen, for jails with an SSH server
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
      - V(apk) installs Alpine Linux, or whatever has such repositories. The host fetches indexes and packages and
        verifies each against O(keys); apk itself and the packages' scripts run confined like a jail, without network.
        The packages C(alpine-base) and O(packages) are installed. Alpine signs by SHA-1; an openssl that is told to
        refuse that, as on Enterprise Linux 9, cannot verify it.
      - V(archive) unpacks a tar archive, uncompressed or by gzip, xz, zstd or bzip2, whatever its name. The root may
        be in one leading folder. Nothing of it is unpacked on the host; only programs that are confined like a jail
        read it.
      - Of an archive is left out what it has in C(/dev), C(/proc), C(/sys) and C(/run), where a jail finds mounts;
        device nodes elsewhere, which no jail could open (the log names them); and owner and mode of the root directory
        itself. Host name, machine-id and SSH host keys are no part of any template. Everything else is as it was
        archived, with owners by number (0 to 65535), extended attributes of users (but the marks of overlayfs),
        capabilities, ACLs, hard links and holes.
        An archive of which that cannot be said is refused, so is one that is damaged or not whole.
      - An archive may unpack to a quarter of what is free below C(/var/lib/jails), in bytes and in files, and a
        compressed one of more than 1 GiB to 100 times its size; to raise that, free some space, or decompress it
        beforehand.
      - V(debootstrap) installs Debian or a derivative. Packages are verified, and their scripts run confined like a
        jail.
      - V(dnf) installs Fedora or its kin. The host's dnf chooses and fetches O(packages) and what they need, without
        weak dependencies; that each is signed by one of O(gpgkeys) is checked, and they are installed and their
        scriptlets run, by a copy of the host's rpm that is confined like a jail. An index is verified where its
        repository has a signature of it; where it has none, which is usual, give URLs of https. A system whose own rpm
        cannot read databases of the kind sqlite (before Fedora 33 and Enterprise Linux 9) cannot be made.
      - V(skeleton) makes a minimal tree of O(binaries) from the host and the libraries that they need.
      - V(clone) makes a copy of another jail, O(source), as it is or as it was at a O(snapshot). It has the template,
        trust group and storage of the source, and shares blocks with it where the file system can. It runs with the
        source's M(cellblock.jails.jail_limits) and M(cellblock.jails.jail_state) options, where nothing was said of
        itself, but for its host name; network it has none.
    type: str
    choices: [apk, archive, clone, debootstrap, dnf, skeleton]
  suite: &suite
    description: The suite, such as V(bookworm). Needed by O(method=debootstrap).
    type: str
  mirror: &mirror
    description:
      - The URL of a mirror; left out, the mirror of the host's own package configuration.
      - Of O(method=apk) only the beginning, such as V(https://mirror.example/alpine); O(release) and O(repositories)
        follow. A host that is no Alpine Linux has no default.
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
    description: Packages to install as well; for O(method=dnf) all that are asked for, and groups such as V(@core).
    type: list
    elements: str
  exclude: &exclude
    description: Packages to leave out.
    type: list
    elements: str
  keyring: &keyring
    description: A file on the host with the keys that must have signed the suite; if left out, debootstrap's own
      default, or with O(tool=mmdebstrap) the keys that the host's apt trusts and those of the suite's distribution.
    type: path
  arch: &arch
    description: The architecture, as dpkg, apk or rpm calls it; the host's if left out.
    type: str
  tool: &tool
    description:
      - The program that O(method=debootstrap) uses; V(debootstrap) if left out.
      - V(mmdebstrap) leaves the choice of packages to apt, which verifies as strictly, refuses an archive whose signed
        index has expired, and is faster. It makes nearly the same, but a template of its own.
    type: str
    choices: [debootstrap, mmdebstrap]
  release: &release
    description: The release. Needed by O(method=apk) for repositories of Alpine Linux (V(v3.22), V(edge) or
      V(latest-stable), for example) and by O(method=dnf) (V(43), for example).
    type: str
  repositories: &repositories
    description:
      - For O(method=apk), names of Alpine's repositories or whole URLs without the architecture; V([main, community])
        if left out.
      - For O(method=dnf), URLs, or mappings of C(name), C(baseurl) and perhaps C(gpgkey), a file on the host with the
        keys of that one. A URL may have C($releasever), C($basearch) and C($arch) in it. Left out, the repositories
        that are enabled on the host itself, if it has any in C(/etc/yum.repos.d), and the keys that are named there.
      - The system that is made knows them, with their keys, as its own.
    type: list
    elements: raw
  keys: &keys
    description: A directory on the host with the public keys (C(NAME.pub)) of which one must have signed each index,
      for O(method=apk). If left out, the keys of Alpine Linux for x86_64 and aarch64, which are part of this
      collection.
    type: path
  apk: &apk
    description: An apk on the host to use, copied into the confinement, for O(method=apk). If left out,
      C(apk.static) of the package C(apk-tools-static) is fetched and verified like all packages.
    type: path
  allow_untrusted: &allow_untrusted
    description: For O(method=apk), do not check who has signed indexes and packages. Whoever can change what the
      mirror sends, also on the way, decides then what runs in the jail. V(false) if left out.
    type: bool
  gpgkeys: &gpgkeys
    description: Files on the host with the public keys that packages must be signed with, for O(method=dnf). Needed
      for every one of O(repositories) that has no C(gpgkey).
    type: list
    elements: path
  binaries: &binaries
    description: Programs of the host to copy, by name or absolute path. Busybox gets its links. For
      O(method=skeleton).
    type: list
    elements: str
  path: &path
    description:
      - A file on the host with the archive, for O(method=archive); or give O(url). It is read when the root file system
        is made and when O(checksum) is left out, never again.
    type: path
  url: &url
    description:
      - Where to download the archive from, by http or https; for O(method=archive). O(checksum) is needed with it.
        Proxies are those of the environment, such as C(https_proxy). What was downloaded and verified stays in
        C(/var/lib/jails/cache/downloads), where it can be removed.
    type: str
  checksum: &checksum
    description:
      - The checksum of the archive as it lies there, V(sha256:) or V(sha512:) and its hexadecimal digits. A file with
        another is not looked into. It says which template this is, wherever the archive comes from.
      - It may be left out for O(path). It is found by reading the file then, in check mode too, and holds from then on.
    type: str
  trust_group: &trust_group
    description:
      - Jails share the files of a template in memory as on disk. A template is shared only within a trust group;
        V(default) if left out.
    type: str
  refresh: &refresh
    description:
      - How old a template may be when a jail is made of it, such as V(12h), V(7d) or V(4w). Where the newest one is
        older, another one of the same recipe is built beside it; jails that have the old one keep it.
      - If left out, the newest one is used, however old it is.
    type: str
  source: &source
    description: The jail to copy, for O(method=clone). It has to be stopped, unless its storage can be copied while it
      runs or a O(snapshot) is given.
    type: str
  snapshot: &snapshot
    description: The label of the O(source)'s snapshot to copy, for O(method=clone).
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
      - V(overlay) if left out; with O(method=clone) it is that of the source.
    type: str
    choices: [overlay, directory, btrfs, image]
  size: &size
    description:
      - The most that the jail may have on disk, such as V(2G), or V(unlimited). What is in the template counts only
        for O(storage=directory). A jail that has reached it gets "disk quota exceeded" or "no space left"; neither its
        neighbours nor the host notice.
      - If both this and O(inodes) are left out when the jail is made, they are half of what is free then, where the
        file system holds limits as it is; on other hosts nothing bounds what the jail writes but the disk. That does
        not change by itself later.
      - With O(storage=image) it is the size of the image; if left out V(10G), or half of what is free where that is
        less; V(16M) at least, and never V(unlimited).
      - "On btrfs it is held by simple quotas (Linux 6.7). If quotas are off they are turned on, and two things follow:
        what is on the disk already is not counted, and no older kernel can mount the file system any more. Full
        quotas are used where they are on already; with many jails they are slow. Metadata counts as well, and what was
        deleted counts until the next commit of the file system, some thirty seconds at most."
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
  authorized_keys: &authorized_keys
    description: The public keys that open the root account of the jail over SSH, as lines of its
      C(/root/.ssh/authorized_keys), which holds no others then.
    type: list
    elements: str
  fstab: &fstab
    description: The lines of C(/etc/fstab), see fstab(5). A jail cannot mount by itself; programs read it.
    type: list
    elements: str
  hosts: &hosts
    description: Lines of C(/etc/hosts), each an address and names, after those for the loopback addresses and the
      jail's own name.
    type: list
    elements: str
  locale: &locale
    description: The C(LANG) of C(/etc/locale.conf) and, in a jail like Debian's, of C(/etc/default/locale), for
      whoever logs in. It is for you to have the locale installed.
    type: str
  machine_id: &machine_id
    description: The C(/etc/machine-id), 32 hexadecimal digits. If left out, random ones of the jail's own, from its
      first start on.
    type: str
  package_sources: &package_sources
    description:
      - Where the package manager of the jail takes packages from, and from nowhere else. Files of other sources are
        removed.
      - The lines of C(/etc/apt/sources.list) or C(/etc/apk/repositories), or for C(/etc/yum.repos.d) lines with an id,
        the base URL and, if its key is to be imported, the URL of that. Which of them shows in the jail.
    type: list
    elements: str
  ssh_host_keys: &ssh_host_keys
    description:
      - The types of SSH host keys that the jail has. Missing ones are made by the ssh-keygen of the host; others are
        removed.
      - If left out, one of each type is made when a jail with an SSH server and no host key starts, and then left
        alone. C(jail renew NAME) on the host has the next start of the jail make new ones, and a new machine id.
    type: list
    elements: str
    choices: [ecdsa, ed25519, rsa]
  timezone: &timezone
    description: The time zone, such as V(Europe/Berlin), which the jail needs tzdata for.
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
      tool: *tool
      release: *release
      repositories: *repositories
      keys: *keys
      apk: *apk
      allow_untrusted: *allow_untrusted
      gpgkeys: *gpgkeys
      binaries: *binaries
      path: *path
      url: *url
      checksum: *checksum
      trust_group: *trust_group
      refresh: *refresh
      source: *source
      snapshot: *snapshot
      storage: *storage
      size: *size
      inodes: *inodes
      authorized_keys: *authorized_keys
      fstab: *fstab
      hosts: *hosts
      locale: *locale
      machine_id: *machine_id
      package_sources: *package_sources
      ssh_host_keys: *ssh_host_keys
      timezone: *timezone
"""

EXAMPLES = r"""
- name: Two jails of one template, which is built once
  cellblock.jails.jail_rootfs:
    jails:
      - {name: web1, method: debootstrap, suite: bookworm, packages: [nginx-light]}
      - {name: web2, method: debootstrap, suite: bookworm, packages: [nginx-light]}

- name: A jail of Alpine Linux
  cellblock.jails.jail_rootfs:
    name: dns2
    method: apk
    release: v3.22
    mirror: https://mirror.example/alpine
    packages: [unbound]

- name: A jail of Fedora, made on a host that need not be one
  cellblock.jails.jail_rootfs:
    name: web3
    method: dnf
    release: "43"
    repositories: [https://mirror.example/fedora/releases/$releasever/Everything/$basearch/os]
    gpgkeys: [/root/RPM-GPG-KEY-fedora-43-x86_64]
    packages: [httpd, dnf]

- name: A jail of Debian, with mmdebstrap
  cellblock.jails.jail_rootfs:
    name: web4
    method: debootstrap
    tool: mmdebstrap
    suite: trixie

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

- name: A jail of an image that somebody else has made
  cellblock.jails.jail_rootfs:
    name: dns1
    method: archive
    url: https://images.example/alpine-minirootfs-3.22.0-x86_64.tar.gz
    checksum: "sha256:{{ minirootfs_sha256 }}"

- name: A jail of a tree that was archived on another host
  cellblock.jails.jail_rootfs:
    name: moved
    method: archive
    path: /root/moved.tar.zst

- name: A jail to log in to, from a template that is not older than a week
  cellblock.jails.jail_rootfs:
    name: shell1
    method: debootstrap
    suite: bookworm
    packages: [openssh-server, locales-all, tzdata]
    refresh: 7d
    authorized_keys:
      - "{{ lookup('ansible.builtin.file', '~/.ssh/id_ed25519.pub') }}"
    hosts: ["192.0.2.7 db.example db"]
    locale: de_DE.UTF-8
    timezone: Europe/Berlin
    package_sources:
      - deb http://mirror.example/debian bookworm main
      - deb http://mirror.example/debian-security bookworm-security main

- name: A copy of a jail to try an upgrade on
  cellblock.jails.jail_rootfs:
    name: web1-trial
    method: clone
    source: web1
    snapshot: before-upgrade
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
