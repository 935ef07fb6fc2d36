# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue: what somebody who is root of a jail tries, row by row."""

from __future__ import annotations

GROUPS = {
    "The manager follows what the guest controls": {
        1: "the tree's /dev/null is a link, so that a mask binds something else",
        2: "/dev/console or a terminal of the tree is a link when something is bound there",
        3: "what is written to procfs lands in another file",
        4: "/dev, /proc or /sys of the tree is itself a link",
        5: "a link is swapped in between check and mount",
        6: "an archive with ../, absolute names, links out, device nodes, setuid programs",
        7: "/etc/hostname, /etc/resolv.conf, machine-id are links out of the tree",
        8: "names, addresses and options with newlines, or that look like options",
        9: "configuration beside or inside the tree",
        10: "the host loads a library or a module of the guest",
        11: "a FIFO where a file is expected",
        12: "a package manager or its database that attacks who runs it",
    },
    "Leaks at start and at entry": {
        13: "/proc/self/exe of the entering process is overwritten",
        14: "a descriptor or a working directory of the host",
        15: "inheritable and ambient capabilities, supplementary groups",
        16: "the host's environment",
        17: "TIOCSTI and TIOCLINUX into the administrator's terminal",
        18: "ptrace of the entering process before it has given up its privileges",
        19: "the manager meets a pid that was used again",
        20: "the user of an exec is looked up in the guest's passwd",
        21: "desired state of jails is read from inside",
    },
    "Kernel interfaces": {
        22: "release_agent of control groups; mounting control groups",
        23: "into a control group above, and out of its own limits",
        24: "core_pattern, uevent_helper, modprobe, other sysctls",
        25: "sysrq-trigger, binfmt_misc",
        26: "open_by_handle_at of the host's root (shocker)",
        27: "nodes of disks and memory, made and planted",
        28: "modules, kexec, reboot, clocks, swap, accounting, quotas",
        29: "bpf, io_uring, userfaultfd, perf, fanotify",
        30: "keyrings",
        31: "new namespaces, and what they open: nf_tables, overlayfs, fsconfig",
        32: "socket families beyond four, also by the 32-bit entry",
        33: "abstract unix sockets of the host",
        34: "ptrace, memory, root directories and signals of others",
        35: "System V and POSIX IPC of the host",
        36: "the kernel's log, its symbols, its timers",
        37: "mounting debugfs, tracefs, securityfs, a proc without masks",
        38: "a setuid program planted where the host's users reach it",
        39: "chattr on shared inodes, writing through a shared layer",
        40: "host name, priority, scheduler, limits above the hard ones",
        41: "the host's mounts and paths in mountinfo and statfs",
        42: "chroot in chroot",
    },
    "Network": {
        43: "MAC, ARP, NDP and source addresses that are not its own",
        44: "rogue router, rogue DHCP server, VLAN tags",
        45: "the host's 127/8, link-local metadata, isolated neighbours",
        46: "binding an address that is not its own; adding one",
    },
    "Exhaustion": {
        47: "fork bomb",
        48: "memory and tmpfs",
        49: "disk and inodes",
        50: "connection tracking",
        51: "inotify, timers, queues and keys, which the kernel counts by user",
        52: "pseudo-terminals",
        53: "a flood of log",
        54: "saturation of the disk",
        55: "mounts, namespaces, control groups",
        56: "descriptors, contexts of asynchronous input and output",
        57: "System V segments",
        58: "the table of neighbours",
    },
    "What the host's tools read of a jail that runs": {
        59: "names of its processes, mounts and files that break or mislead them, or that a terminal obeys",
        60: "a mount that it is to give back, moved away",
    },
    "Two jails together": {
        61: "one changes the tree of another while the host copies it, or starts the other",
    },
}
"""What is tried, by row, by group."""

ROWS = {number: text for group in GROUPS.values() for number, text in group.items()}
