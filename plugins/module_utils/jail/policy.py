# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The isolation baseline of a default jail: facts only, applied by :mod:`assemble` and :mod:`confinement`."""

from __future__ import annotations

CAPABILITIES = (
    "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "SETGID", "SETUID", "SETFCAP", "SETPCAP", "NET_BIND_SERVICE",
    "SYS_CHROOT", "KILL",
)  # fmt: skip
"""The bounding set."""

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "container": "cellblock",
}
"""All that a jail's init sees; ``container`` is how init systems know (systemd's container interface)."""

RLIMITS = {
    # A limit of 1 also stops a core_pattern pipe, which runs on the host and ignores 0 (fs/coredump.c).
    "core": (1, 1),
    "nofile": (1024, 524288),
    # What the caller may do with these is nothing for a jail: they stand above capabilities (getrlimit(2)).
    "nice": (0, 0),
    "rtprio": (0, 0),
    "memlock": (8 << 20, 8 << 20),
    "msgqueue": (819200, 819200),
}
"""(soft, hard)."""

DEVICES = {
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "tty": (5, 0),
}
"""Character devices (major, minor) of ``/dev``, the kernel's admin-guide/devices.txt."""

TERMINALS = ((5, 2), (136, None))
"""Likewise, but in a devpts of the jail's own: the multiplexer, and all that it makes."""

DEVICE_LINKS = {
    "ptmx": "pts/ptmx",
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
}

MASKED_PROC = (
    "acpi", "asound", "interrupts", "kallsyms", "kcore", "keys", "kmsg", "kpagecount", "kpageflags", "kpagecgroup",
    "latency_stats", "sched_debug", "scsi", "slabinfo", "timer_list", "timer_stats", "vmallocinfo", "sysrq-trigger",
)  # fmt: skip
READONLY_PROC = ("bus", "fs", "irq", "sys")
WRITABLE_PROC = ("sys/net",)
"""Sysctls of the jail's own network namespace. The kernel lets only CAP_NET_ADMIN write them, and root of the host."""

MASKED_SYS = (
    "firmware", "kernel/debug", "kernel/tracing", "kernel/security", "kernel/slab", "fs/bpf", "fs/selinux",
    "devices/virtual/powercap", "devices/system/cpu/cpu*/thermal_throttle",
)  # fmt: skip

MASKED_PATHS = (*(f"/proc/{name}" for name in MASKED_PROC), *(f"/sys/{name}" for name in MASKED_SYS))
READONLY_PATHS = tuple(f"/proc/{name}" for name in READONLY_PROC)
WRITABLE_PATHS = tuple(f"/proc/{name}" for name in WRITABLE_PROC)
"""The same as paths in the jail; what is writable lies within what is read-only, and a ``*`` stands for any name."""

NAMESPACES_PER_CHILD = 16
"""Of each kind but user and cgroup, for each child that a jail may have: services of a whole system have mount
namespaces of their own."""

MOUNT_NAMESPACES_MAX = 256
"""``user.max_mnt_namespaces`` of the jail's user namespace (namespaces(7)); only with ``allow_mount`` can a jail make
any, as services of systemd do."""

PTYS_MAX = 256
"""When a dozen jails have all of theirs, what is left is ``kernel.pty.reserve``, which the kernel keeps for the host's
first mount namespace (fs/devpts)."""
SHM_LIMITS = {"size": str(64 << 20), "nr_inodes": "16384"}
RUN_LIMITS = {"size": str(64 << 20), "nr_inodes": "16384"}
LOCK_LIMITS = {"size": str(5 << 20), "nr_inodes": "4096"}
DEV_LIMITS = {"size": str(1 << 20), "nr_inodes": "1024"}
"""Of each tmpfs (tmpfs(5)). Without a number of inodes there is half of what fits into the host's memory."""

GROUPS = "/sys/fs/cgroup"
GROUPS_MAX = 512
"""Where an init that manages control groups finds its own, and how many there can be. For each session and service
systemd makes one."""

CONSOLE_BYTES, CONSOLE_BYTES_LEAST = 64 << 20, 64 << 10
CONSOLE_PART = 8
"""What a jail's init prints is kept in memory of the jail's while it runs: so many bytes at most, but no more than this
part of what the jail may have."""

INIT = "/sbin/init"
USERNS = "auto"
NETWORK = "private"
STOP_SIGNAL = "SIGTERM"
STOP_SECONDS = 10.0
"""What holds for a jail of which nobody said anything else."""
