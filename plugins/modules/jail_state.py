#!/usr/bin/python
# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: jail_state
short_description: Start, stop, restart and remove jails
description:
  - Says what a jail's first process is, what its processes may do, and whether the jail runs.
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
      - V(frozen) holds all processes of a jail still, with all that they have, started before if it did not run;
        V(started) lets them go on. What is frozen cannot be entered. V(stopped), V(restarted) and V(absent) thaw it
        first. On a host whose control groups are of version 1 it takes the controller C(freezer).
      - V(absent) stops it and removes everything of it, its files included.
      - Left out, the other options are converged and the jail runs on, or does not.
    type: str
    choices: [started, frozen, stopped, restarted, absent]
  command: &command
    description:
      - The jail's first process as a list of words, instead of an init. The jail ends with it.
      - An empty list goes back to O(init).
    type: list
    elements: str
  init: &init
    description:
      - The jail's init, an absolute path inside it; V(/sbin/init) where nothing was ever said.
      - Where it leads to a program called C(systemd), the jail gets a part of the host's unified control group
        hierarchy to make groups in, 512 at most, mounted at C(/sys/fs/cgroup). It has no controllers, so the jail's own
        limits stand above it and limits of its units do nothing. The host must have that hierarchy mounted, be it
        without controllers.
    type: str
  hostname: &hostname
    description: The jail's host name; its own name where nothing was ever said.
    type: str
  userns: &userns
    description:
      - V(auto) gives the jail a user namespace with 65536 ids of its own.
      - A number gives it the 65536 ids from that one on. They must be above the host's own users, no other jail's,
        outside of what V(auto) gives out (268435456 to 1879048191), and nobody's but root's in C(/etc/subuid) and
        C(/etc/subgid). On disk nothing changes, for there a jail's ids begin with 0.
      - V(host) leaves it in the host's, for file systems that cannot do idmapped mounts. The jail's root is then
        the host's root, held by capabilities and seccomp only; every result says so under RV(jails.degraded).
      - Changing it needs a restart.
    type: str
  stop_signal: &stop_signal
    description: The signal that asks the jail's first process to end. Where nothing was ever said, V(SIGRTMIN+3) for
      systemd, V(SIGUSR2) for busybox's init, V(SIGINT) for sysvinit, and V(SIGTERM) for all others.
    type: str
  stop_timeout: &stop_timeout
    description: Seconds that it may take before it is killed with all others of the jail; 10 where nothing was ever
      said.
    type: float
  allow_chflags: &allow_chflags
    description:
      - Whether the jail's root may set and take away the immutable and append-only flags of files (C(chattr +i)), as
        FreeBSD's C(allow.chflags) has it. V(false) where nothing was ever said.
      - Opens C(CAP_LINUX_IMMUTABLE). The kernel asks for it in the host's user namespace, so this can only be had with
        O(userns=host), and not from O(securelevel=1) on.
      - With O(userns=host) no flag of a file can be changed unless this is V(true). Where it is, the jail's root can
        also take directories out of the account of O(cellblock.jails.jail_rootfs#module:size), where that is held by
        project quotas.
      - Changing it needs a restart.
    type: bool
  allow_raw_sockets: &allow_raw_sockets
    description:
      - Whether the jail's root may open raw IP sockets, as C(ping) and C(traceroute) do; FreeBSD's
        C(allow.raw_sockets). V(false) where nothing was ever said.
      - Opens C(CAP_NET_RAW) in the jail's network namespace, and with it any packet with any source address on its
        interfaces. Packet sockets need O(allow_socket_af) as well.
      - In the host's network (O(cellblock.jails.jail_net#module:network)) it can only be had together with
        O(userns=host), and is power over the host's traffic then.
      - Changing it needs a restart.
    type: bool
  allow_set_hostname: &allow_set_hostname
    description:
      - Whether the jail's root may change the jail's host name; FreeBSD's C(allow.set_hostname). V(false) where
        nothing was ever said.
      - Opens C(sethostname) and C(setdomainname), for which the kernel asks for C(CAP_SYS_ADMIN) in the jail's user
        namespace. What else that capability is good for (mounting, new namespaces, BPF, quotas, freezing a file
        system) stays refused by the default O(seccomp) filter; with another one it is up to that one. It cannot be had
        with O(userns=host).
      - The host sets the name by O(hostname) at any time, whether this is on or not.
      - Changing it needs a restart.
    type: bool
  allow_socket_af: &allow_socket_af
    description:
      - Whether sockets of families beyond unix, IPv4, IPv6 and netlink (routes) can be opened; FreeBSD's
        C(allow.socket_af). V(false) where nothing was ever said.
      - Opens every family and netlink protocol that the kernel has, and the modules that the kernel loads for them.
        Most exploits of the network stack of the last years begin with one of these.
      - Changing it needs a restart.
    type: bool
  allow_sysvipc: &allow_sysvipc
    description:
      - Whether there are System V message queues, semaphores and shared memory; FreeBSD's C(allow.sysvipc). PostgreSQL
        and Oracle need it. V(false) where nothing was ever said; the system calls are missing then.
      - Opens these calls in an IPC namespace of the jail's own. Segments and queues count against the jail's memory
        limit, and outlive the processes that made them.
      - Changing it needs a restart.
    type: bool
  children_max: &children_max
    description:
      - How many jails there may be inside this one, at any depth and made by any of its users; FreeBSD's
        C(children.max). V(0) where nothing was ever said.
      - "They are made in the jail by what makes containers without a privilege of the host's: C(unshare), bubblewrap,
        and the like. This collection itself does not run inside a jail."
      - What is counted is user namespaces. The kernel counts each, whatever depth it is at, and refuses one too many
        (C(ENOSPC)); a launcher that makes two of them counts twice, and one that has ended counts until the kernel has
        cleared it away. Of every other kind but control groups there may be 16 namespaces for each.
      - Opens user namespaces, and in them what their root may do, which is all but what the kernel asks of the host's
        root. That is the kernel's code behind other namespaces, behind C(mount) of those types of file systems that it
        takes from user namespaces (tmpfs, overlay, devpts, FUSE with its device), and behind C(CAP_NET_ADMIN) and
        C(CAP_NET_RAW) in a network of their own, with the modules that the kernel loads for them; and more terminals
        than a jail has otherwise, as many as the host can spare. Most exploits that break out of containers begin with
        a user namespace.
      - The O(seccomp) filter holds for all inside. The default one keeps closed what it keeps closed for the jail,
        such as netlink beyond routes (and with it nf_tables), packet sockets, BPF, io_uring, keys, and the newer mount
        calls (C(fsopen), C(fsconfig)). With another filter it is up to that one.
      - What the jail's start has mounted is locked with its flags for all below, so no cover comes off and nothing
        read-only is made writable. As long as something below C(/proc) is covered or read-only, the kernel refuses a
        child a C(/proc) of its own; it can have that of the jail. To give children one, take the paths below C(/proc)
        away by O(masked_paths.remove) and O(readonly_paths.remove), which opens them to the jail as well.
      - Limits are those of the jail, for it and its children together. They have no control groups of their own, and
        cannot mount any.
      - It cannot be had with O(userns=host). V(0) can be changed to another number by a restart only, and another
        number to any in a running jail; what there is then stays.
    type: int
  securelevel: &securelevel
    description:
      - An upper bound on what other options can open, after FreeBSD's C(securelevel). V(-1) where nothing was ever
        said.
      - V(-1) and V(0) take nothing away. From V(1) on there is no C(CAP_LINUX_IMMUTABLE) (flags of files can neither be
        set nor taken away; FreeBSD lets them be set), C(CAP_SYS_MODULE) and C(CAP_SYS_RAWIO), and disks can only be
        read. From V(2) on also no C(CAP_SYS_TIME). From V(3) on also no C(CAP_NET_ADMIN), and C(/proc/sys/net) is
        read-only.
      - It opens nothing. Unlike FreeBSD's it cannot be raised from inside; changing it needs a restart.
    type: int
  capabilities: &capabilities
    description:
      - Changes of the capability bounding set of the jail. The baseline is C(CHOWN), C(DAC_OVERRIDE), C(FSETID),
        C(FOWNER), C(SETGID), C(SETUID), C(SETFCAP), C(SETPCAP), C(NET_BIND_SERVICE), C(SYS_CHROOT) and C(KILL).
      - They count in the jail's own user namespace. What the kernel asks of the host's (to make device nodes, load
        modules, set the clock) stays refused whatever is added here, unless with O(userns=host), where C(SYS_ADMIN),
        C(SYS_MODULE), C(SYS_RAWIO), C(SYS_PTRACE), C(DAC_READ_SEARCH), C(MKNOD) and others are each power over the
        host. Seccomp is not changed; what it refuses stays refused.
      - Changing it needs a restart.
    type: dict
    suboptions:
      add:
        description: Capabilities by name, with or without C(CAP_).
        type: list
        elements: str
      drop:
        description: Capabilities of the baseline to do without; V(ALL) for all that are not in O(capabilities.add).
        type: list
        elements: str
  seccomp: &seccomp
    description:
      - Which system calls the jail may make.
      - V(default) is an allowlist of ours, with what the switches open in it.
      - An absolute path of the host names a profile in the OCI runtime's JSON format, as Docker and Podman use it;
        C(includes), C(excludes) and C(archMap) are understood, C(SCMP_ACT_NOTIFY) is refused. Any other word names a
        file C(/etc/jails.d/seccomp/NAME.json). A profile takes the place of the default filter whole; the switches
        O(allow_socket_af) and O(allow_sysvipc) mean nothing then, and the core limit is not held, on which it depends
        that a crash in the jail starts no C(core_pattern) program on the host.
      - V(unconfined) loads no filter. It opens the kernel's whole interface to the jail's root; every result says so
        under RV(jails.degraded).
      - The profile is read at a start. When the file has changed since, O(seccomp) is listed under
        RV(jails.restart_required).
    type: str
  no_new_privs: &no_new_privs
    description:
      - Whether no program of the jail can gain privileges by being run; C(su), C(sudo) and other setuid programs do not
        work then. V(false) where nothing was ever said.
      - It opens nothing. Changing it needs a restart.
    type: bool
  masked_paths: &masked_paths
    description:
      - Changes of the list of paths that are covered, a file by the null device, a directory by an empty one.
      - Taking one away lets the jail's root see what the kernel shows there of the host.
      - Changing it needs a restart.
    type: dict
    suboptions:
      add:
        description:
          - Absolute paths inside the jail. Below C(/proc) and C(/sys) one that is not there is passed over; elsewhere
            it has to be there at a start, and neither it nor what leads to it may be a symbolic link.
        type: list
        elements: str
      remove:
        description: Paths of the baseline, such as V(/proc/interrupts).
        type: list
        elements: str
  readonly_paths: &readonly_paths
    description:
      - Changes of the list of paths that are mounted read-only. The baseline is C(/proc/bus), C(/proc/fs), C(/proc/irq)
        and C(/proc/sys), but for C(/proc/sys/net). (C(/sys) as a whole is always read-only.)
      - Taking one away leaves it to the kernel what the jail's root can write there; with O(userns=host) that is all of
        it.
      - Changing it needs a restart.
    type: dict
    suboptions:
      add:
        description: Absolute paths inside the jail, as for O(masked_paths.add).
        type: list
        elements: str
      remove:
        description: Paths of the baseline.
        type: list
        elements: str
  personality: &personality
    description:
      - V(linux32) lets C(uname -m) name the 32-bit machine, and lets 32-bit programs run. V(linux) where nothing was
        ever said.
      - Opens the kernel's second entry for system calls. They are filtered like the native ones, but sockets by
        C(socketcall), as 32-bit x86 programs ask for them, cannot be told apart; they need O(allow_socket_af).
      - Changing it needs a restart.
    type: str
    choices: [linux, linux32]
  mounts: &mounts
    description:
      - What is mounted in the jail beside its root. The whole list is converged, also in a running jail; one that is in
        use there is not taken away but reported.
      - Opens what is mounted to the jail's root, with the rights that follow from O(mounts.idmapped). Nothing below
        C(/dev), C(/proc) and C(/sys) can be mounted on.
    type: list
    elements: dict
    suboptions:
      target:
        description: An absolute path inside the jail, made where it is missing. No symbolic link may lie on the way.
        type: str
        required: true
      type:
        description:
          - V(bind) shows a directory or regular file of the host, V(tmpfs) is memory of the jail's own, V(overlay) lays
            directories of the host over each other. V(bind) where nothing is said.
          - A bind mount is of one file system; what is mounted below it on the host does not show.
        type: str
        choices: [bind, tmpfs, overlay]
      source:
        description:
          - For V(bind), an absolute path of the host without symbolic links. File systems of the kernel (C(/proc),
            C(/sys), C(/dev)) are refused, and so is whatever holds or is part of the collection's own directories, and
            with them other jails' files.
        type: str
      lower:
        description: For V(overlay), directories of the host as for O(mounts.source), the topmost first; never written.
        type: list
        elements: str
      upper:
        description:
          - For V(overlay), a directory of the host that takes what the jail writes, in the directories C(upper) and
            C(work) that are made there. Without it the mount can only be read.
        type: str
      read_only:
        description: V(true) where nothing is said, but for a tmpfs and an overlay with O(mounts.upper).
        type: bool
      nosuid:
        description:
          - Whether setuid programs and file capabilities there mean nothing; V(true) where nothing is said. V(false)
            lets what lies there raise users of the jail to its root.
        type: bool
      nodev:
        description:
          - Whether device nodes there mean nothing; V(true) where nothing is said. V(false) opens those that lie there
            and that the jail's O(devices) allow.
        type: bool
      noexec:
        description: Whether nothing there can be executed; V(false) where nothing is said.
        type: bool
      idmapped:
        description:
          - Whether user 0 of the jail is user 0 on disk, and so on, by an idmapped mount; V(true) where nothing is
            said. With V(false) files show with the host's ids, which are nobody's in the jail, and what the jail writes
            belongs to ids of its range.
          - A directory that users of the host can come to is refused to a jail that would write there as root, for its
            root could leave them a setuid program of root's. Keep it below a directory with mode 0700.
          - It means nothing with O(userns=host), where the ids are the host's anyway.
        type: bool
      size:
        description: The size of a tmpfs, V(64M) where nothing is said. What is in it counts as memory of the jail's.
        type: str
      mode:
        description: The mode of a tmpfs, V(0755) where nothing is said.
        type: str
  sysctls: &sysctls
    description:
      - Kernel parameters of the jail's own network namespace, by name, as C(net.ipv4.ip_unprivileged_port_start).
        Everything in C(net.ipv4), C(net.ipv6), C(net.mptcp) and C(net.netfilter), C(net.core.somaxconn) and
        C(net.unix.max_dgram_qlen) can be set, as far as the kernel has it for each namespace apart.
      - The whole set is converged, also in a running jail; one that is left out goes back to what it was before it was
        set. The host sets them, the jail's root cannot without C(CAP_NET_ADMIN).
      - They open what they say, within the jail's network. None of them reaches the host's, so a jail in that
        (O(cellblock.jails.jail_net#module:network)) cannot have any.
    type: dict
  devices: &devices
    description:
      - Device nodes of the host's that the jail has besides C(null), C(zero), C(full), C(random), C(urandom), C(tty)
        and its own terminals. Nothing else can be opened, whatever nodes there are, where the host has the cgroup
        controller C(devices) or can load BPF programs; where it has neither, every result says so.
      - The whole list is converged, also in a running jail; a device that is taken away stays open where it is open.
      - Opens the driver, and what the device does. A disk's node is the disk; C(/dev/kvm), C(/dev/fuse) and
        C(/dev/net/tun) are the kernel's code behind them. Some drivers ask for capabilities as well.
    type: list
    elements: dict
    suboptions:
      path:
        description: The device on the host, below C(/dev), and its name in the jail.
        type: str
        required: true
      access:
        description:
          - V(r) to read, V(w) to write, V(rw) for both; the last where nothing is said. From O(securelevel=1) on disks
            cannot be written.
        type: str
        choices: [r, w, rw]
      mode:
        description: The mode of the node, which belongs to the jail's root; V(0600) where nothing is said.
        type: str
  time_offset: &time_offset
    description:
      - By how many seconds the jail's clocks are ahead of the host's, in a time namespace of its own. None where
        nothing was ever said.
      - The time of day is one for the whole machine and cannot be moved.
      - It opens nothing. Changing it needs a restart.
    type: dict
    suboptions:
      monotonic:
        description: Seconds for C(CLOCK_MONOTONIC).
        type: int
      boottime:
        description: Seconds for C(CLOCK_BOOTTIME), from which C(uptime) tells.
        type: int
  allow_mount: &allow_mount
    description:
      - Whether the jail's root may mount and unmount; FreeBSD's C(allow.mount). V(false) where nothing was ever said.
      - Opens C(mount) and C(umount2), for which the kernel asks for C(CAP_SYS_ADMIN), to those types of file systems
        that the kernel takes from user namespaces (tmpfs, overlay, FUSE with its device, and others), and
        their code to what the jail gives them. A fresh C(/proc) or C(/sys) without covers is refused by the kernel.
      - Opens mount namespaces too, 256 at most, which systemd makes for services whose units say what they see of the
        file system (C(BindPaths=), C(PrivateTmp=), C(ProtectSystem=)).
      - The jail gets an inner user namespace for it, in which everything that its start has mounted is locked with its
        flags, so that no cover can be taken off and nothing read-only be made writable. For that reason O(mounts) wait
        for a restart then. It cannot be had with O(userns=host).
      - Changing it needs a restart.
    type: bool
  apparmor_profile: &apparmor_profile
    description:
      - V(generated) gives the jail a profile of its own where the host's kernel has AppArmor on, made from its other
        options, loaded at its start and removed with it; for which the host needs C(apparmor_parser). Where there is no
        AppArmor it means nothing. This is so where nothing was ever said.
      - Any other word names a profile that the kernel has loaded, which takes the place of the generated one.
      - V(unconfined) does without. It opens what AppArmor says once more of capabilities, mounts, signals, tracing and
        the kernel's files, which then rests on the rest; where the host has AppArmor every result says so under
        RV(jails.degraded).
      - Changing it needs a restart.
    type: str
  selinux_context: &selinux_context
    description:
      - The SELinux context of the jail's processes, such as V(system_u:system_r:container_t:s0:c1,c2), where the host's
        kernel has SELinux on. Left out or empty, the host's policy decides.
      - What it opens and closes is up to the policy, by which the jail's files must be labelled as well.
      - Changing it needs a restart.
    type: str
  enforce_statfs: &enforce_statfs
    description:
      - What the jail sees of mounts, after FreeBSD's C(enforce_statfs).
      - V(1), which holds where nothing was ever said, shows the mounts in the jail and nothing of the host's. V(0) is
        the same, for in a mount namespace there is nothing else to be shown.
      - V(2) takes the mount tables (C(/proc/mounts), C(mountinfo), C(mountstats) of every process) from the jail, with
        which a bind mount would show where its source lies on its file system. It is done by the generated AppArmor
        profile and refused where there is none. Unlike FreeBSD's, C(statfs) still tells the size of any file system
        that the jail can name.
      - It opens nothing. Changing it needs a restart.
    type: int
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
      allow_chflags: *allow_chflags
      allow_raw_sockets: *allow_raw_sockets
      allow_set_hostname: *allow_set_hostname
      allow_socket_af: *allow_socket_af
      allow_sysvipc: *allow_sysvipc
      securelevel: *securelevel
      capabilities: *capabilities
      seccomp: *seccomp
      no_new_privs: *no_new_privs
      masked_paths: *masked_paths
      readonly_paths: *readonly_paths
      personality: *personality
      mounts: *mounts
      sysctls: *sysctls
      devices: *devices
      time_offset: *time_offset
      allow_mount: *allow_mount
      children_max: *children_max
      apparmor_profile: *apparmor_profile
      selinux_context: *selinux_context
      enforce_statfs: *enforce_statfs
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

- name: A database, with the one switch that it needs
  cellblock.jails.jail_state:
    name: db1
    allow_sysvipc: true
    state: started

- name: A jail held tighter than the baseline
  cellblock.jails.jail_state:
    name: web1
    capabilities: {drop: [ALL], add: [NET_BIND_SERVICE, SETUID, SETGID]}
    no_new_privs: true
    masked_paths: {add: [/proc/version]}

- name: A jail with a profile of its own
  cellblock.jails.jail_state:
    name: web1
    seccomp: /etc/jails.d/seccomp/web.json

- name: A web server with its pages from the host, and a place for its uploads
  cellblock.jails.jail_state:
    name: web1
    mounts:
      - {source: /srv/pages, target: /var/www}
      - {source: /srv/private/uploads, target: /var/uploads, read_only: false, noexec: true}
      - {type: tmpfs, target: /var/cache/nginx, size: 32M}

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
              V(restart), V(freeze), V(thaw).
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
