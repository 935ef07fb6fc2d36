# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which system calls a jail may make: the default seccomp policy, and what each of the switches opens in it.

There are two filters, and what the first allows the second decides: refusals by argument, and an allowlist by name.
libseccomp cannot compare one argument twice in a rule, so "any ioctl but these two" is not one rule of
an allowlist.
"""

from __future__ import annotations

import errno
import functools
import resource
from collections.abc import Collection, Sequence

from ..kernel import btrfs, inodeflags, namespaces
from ..kernel.seccomp import ALLOW, Argument, Filter, Rule, answer

_FILES = """
access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64
fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr file_getattr flistxattr flock
fremovexattr fsetxattr fstat fstatfs fsync ftruncate futimesat getcwd getdents getdents64 getxattr getxattrat
inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioctl lchown lgetxattr link linkat listxattr
listxattrat llistxattr lremovexattr lseek lsetxattr lstat mkdir mkdirat mknod mknodat name_to_handle_at newfstatat
open openat openat2 pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat
readv removexattr removexattrat rename renameat renameat2 rmdir sendfile setxattr setxattrat splice stat statfs
statx symlink symlinkat sync sync_file_range syncfs tee truncate umask unlink unlinkat utime utimensat utimes
vmsplice write writev
"""
_MEMORY = """
brk cachestat madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap
mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect process_madvise
process_mrelease remap_file_pages
"""
_PROCESSES = """
arch_prctl capget capset chroot clone execve execveat exit exit_group fork futex futex_requeue futex_wait
futex_waitv futex_wake get_robust_list get_thread_area getcpu getegid geteuid getgid getgroups getpgid getpgrp
getpid getppid getpriority getrandom getresgid getresuid getrlimit getrusage getsid gettid getuid ioprio_get
ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self pause pidfd_getfd pidfd_open
pidfd_send_signal prctl prlimit64 process_vm_readv process_vm_writev ptrace restart_syscall rseq rt_sigaction
rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo
sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp
set_robust_list set_thread_area set_tid_address setfsgid setfsuid setgid setgroups setpgid setpriority setregid
setresgid setresuid setreuid setrlimit setsid setuid sigaltstack signalfd signalfd4 sysinfo tgkill times tkill uname
vfork wait4 waitid
"""
_EVENTS = """
alarm clock_getres clock_gettime clock_nanosleep epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait
epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 getitimer gettimeofday io_cancel io_destroy io_getevents
io_pgetevents io_submit nanosleep poll ppoll pselect6 select setitimer time timer_create timer_delete
timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime
"""
_NUMBERED = "io_setup"
"""Contexts of asynchronous input and output: the whole machine has one number of them (fs.aio-max-nr), and who comes
first takes all. Who asks for one goes on without."""
_COMMUNICATION = """
accept accept4 bind connect getpeername getsockname getsockopt listen mq_getsetattr mq_notify mq_open mq_timedreceive
mq_timedsend mq_unlink recvfrom recvmmsg recvmsg sendmmsg sendmsg sendto setsockopt shutdown socket socketpair
"""
_SYSTEM_V = "msgctl msgget msgrcv msgsnd semctl semget semop semtimedop shmat shmctl shmdt shmget"

_NEWER_MOUNT_CALLS = "fsopen fsconfig fsmount fspick move_mount mount_setattr open_tree open_tree_attr"
"""libmount takes ENOSYS, and nothing else, for a kernel without them, and then makes the calls that are opened."""

_MOUNT_NAMESPACE = namespaces.KINDS["mnt"]
"""What allow_mount opens of unshare(2) and clone(2)."""

_OPENED_BY = {
    "allow_mount": "mount umount2 unshare",
    "allow_sysvipc": _SYSTEM_V,
    "allow_set_hostname": "sethostname setdomainname",
    "children_max": "mount umount2 pivot_root sethostname setdomainname unshare setns",
}
"""The calls that each switch opens. Those of ``children_max`` do nothing in the jail itself, which does not have the
capability that the kernel asks for, but in a user namespace below."""
_MOUNTERS = ("allow_mount", "children_max")

OWNERS_FLAGS = "flags of files"
"""Opened like a switch where the kernel itself refuses what would harm: to a user namespace of the jail's own it does,
in the host's whoever owns a directory has it hand on another project, or none, and no limit of its size holds."""

_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)  # PER_LINUX, PER_LINUX32, each with UNAME26, and the query
_TIOCSTI, _TIOCLINUX, _TIOCSETD = 0x5412, 0x541C, 0x5423
_FIFREEZE, _FITHAW = 0xC0045877, 0xC0045878  # a frozen root file system holds even SIGKILL up
_LOW_32_BITS = 0xFFFFFFFF  # the kernel looks at these only: a comparison of all 64 would be passed by a set high bit
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_SOCK_PACKET, _TYPE_MASK = 10, 0xF
_FAMILIES = (_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK)
_LAST_FAMILY = 64  # above every AF_MAX so far
_SOL_IPV6, _IPV6_FREEBIND = 41, 78
_NAMESPACE_FLAGS = tuple(namespaces.KINDS.values())


@functools.lru_cache(maxsize=16)
def filters(opened: Sequence[str] = (), architectures: Sequence[str] = ()) -> tuple[Filter, ...]:
    """The default policy, each of which decides what those before it allow.

    :param opened: the names of the switches (``allow_sysvipc``, ...) that are on.
    :param architectures: further ones whose calls are filtered alike, as :class:`Filter` has them.
    """
    both = (refusals(opened), allowlist(opened))
    return tuple(each._replace(architectures=tuple(architectures)) for each in both)


def allowlist(opened: Collection[str] = ()) -> Filter:
    """The calls that a jail may make. What the kernel has and we refuse says EPERM; what nobody knows yet says
    ENOSYS, so that programs fall back. So does ``clone3``, whose flags lie in memory, where no filter sees them, and
    so do personalities that are not listed: what meets none of a call's conditions gets the default. System V IPC is
    not there either, as in a jail of FreeBSD's, unless it is opened, nor is what the whole machine has a number of.
    """
    more = [calls for switch, calls in _OPENED_BY.items() if switch in opened]
    names = sorted(set(" ".join((_FILES, _MEMORY, _PROCESSES, _EVENTS, _COMMUNICATION, *more)).split()))
    missing = ["clone3", _NUMBERED, *(name for name in _SYSTEM_V.split() if name not in names)]
    if any(switch in opened for switch in _MOUNTERS):
        missing += _NEWER_MOUNT_CALLS.split()
    rules = [Rule(name, ALLOW) for name in names]
    rules += [Rule("personality", ALLOW, (Argument(0, "==", value),)) for value in _PERSONALITIES]
    rules += [Rule(name, answer(errno.ENOSYS)) for name in missing]
    return Filter(answer(errno.ENOSYS), answer(errno.EPERM), tuple(rules))


def refusals(opened: Collection[str] = ()) -> Filter:
    """What is refused of the allowed calls, by their arguments."""
    refused = answer(errno.EPERM)
    rules = []
    if "children_max" not in opened:
        closed = [flag for flag in _NAMESPACE_FLAGS if flag != _MOUNT_NAMESPACE or "allow_mount" not in opened]
        rules += [Rule("clone", refused, (Argument(0, "masked==", flag, flag),)) for flag in closed]
        if "allow_mount" in opened:
            flags = (*closed, namespaces.CLONE_NEWTIME)
            rules += [Rule("unshare", refused, (Argument(0, "masked==", flag, flag),)) for flag in flags]
    # A subvolume that the jail makes would be bound by no limit of its size, nor a file of another project.
    forbidden = [*btrfs.UNPRIVILEGED, inodeflags.SET_ATTRIBUTES]
    if OWNERS_FLAGS not in opened and "allow_chflags" not in opened:
        forbidden += [inodeflags.SET_FLAGS, inodeflags.SET_FLAGS_32]
    for request in (_TIOCSTI, _TIOCLINUX, _TIOCSETD, _FIFREEZE, _FITHAW, *(each.number for each in forbidden)):
        rules.append(Rule("ioctl", refused, (Argument(1, "masked==", _LOW_32_BITS, request),)))
    # With it every program sends from any IPv6 address that it likes (of IPv4 the kernel checks the source).
    any_source = (
        Argument(1, "masked==", _LOW_32_BITS, _SOL_IPV6),
        Argument(2, "masked==", _LOW_32_BITS, _IPV6_FREEBIND),
    )
    rules.append(Rule("setsockopt", answer(errno.ENOPROTOOPT), any_source))
    # The core limit stays at 1, which alone stops a core_pattern pipe; who sets another is told that it is done.
    setting = Argument(2, "!=", 0)
    rules.append(Rule("setrlimit", answer(0), (Argument(0, "masked==", _LOW_32_BITS, resource.RLIMIT_CORE),)))
    rules.append(Rule("prlimit64", answer(0), (Argument(1, "masked==", _LOW_32_BITS, resource.RLIMIT_CORE), setting)))
    if "allow_socket_af" not in opened:
        rules += _socket_refusals()
    return Filter(ALLOW, ALLOW, tuple(rules))


def _socket_refusals() -> list[Rule]:
    """On 32-bit x86 these refuse every socket that is asked for by socketcall(2), whose arguments lie in memory."""
    rules = []
    no_family = answer(errno.EAFNOSUPPORT)
    for call, allowed in (("socket", _FAMILIES), ("socketpair", (_AF_UNIX,))):
        for family in range(_LAST_FAMILY + 1):
            if family not in allowed:
                rules.append(Rule(call, no_family, (Argument(0, "masked==", _LOW_32_BITS, family),)))
        rules.append(Rule(call, no_family, (Argument(0, ">", _LAST_FAMILY),)))
    # An old way to write AF_PACKET (packet(7)).
    old_packet = (Argument(0, "masked==", _LOW_32_BITS, _AF_INET), Argument(1, "masked==", _TYPE_MASK, _SOCK_PACKET))
    rules.append(Rule("socket", no_family, old_packet))
    # libaudit takes EPROTONOSUPPORT for a kernel without audit, and login programs go on.
    no_protocol = answer(errno.EPROTONOSUPPORT)
    only_route = (Argument(0, "masked==", _LOW_32_BITS, _AF_NETLINK), Argument(2, "!=", 0))
    rules.append(Rule("socket", no_protocol, only_route))
    return rules
