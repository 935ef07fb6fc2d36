/*
 * Copyright: (c) 2026, cellblock.jails contributors
 * GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Make one system call and print how it ended: "ok", or the name of the error. Runs in jails and, as the control,
 * outside.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static int nothing(void *unused)
{
    (void)unused;
    return 0;
}

/* Set flags of a file besides those that it has; without any, put the old ones back. */
static long set_flags(const char *path, int more)
{
    int flags, file = open(path, O_RDONLY);

    if (file < 0 || ioctl(file, FS_IOC_GETFLAGS, &flags) < 0)
        return -1;
    flags = more ? flags | more : flags & ~(FS_IMMUTABLE_FL | FS_APPEND_FL);
    return ioctl(file, FS_IOC_SETFLAGS, &flags);
}

static long clear_flags(const char *path, int less)
{
    int flags, file = open(path, O_RDONLY);

    if (file < 0 || ioctl(file, FS_IOC_GETFLAGS, &flags) < 0)
        return -1;
    flags &= ~less;
    return ioctl(file, FS_IOC_SETFLAGS, &flags);
}

/* Charge a file to another project; a directory hands none on any more. */
static long set_project(const char *path, int project)
{
    struct fsxattr attributes;
    int file = open(path, O_RDONLY);

    if (file < 0 || ioctl(file, FS_IOC_FSGETXATTR, &attributes) < 0)
        return -1;
    attributes.fsx_projid = project;
    attributes.fsx_xflags &= ~FS_XFLAG_PROJINHERIT;
    return ioctl(file, FS_IOC_FSSETXATTR, &attributes);
}

/* getpid by the 32-bit entry of x86, or socketcall(SYS_SOCKET, ...), whose arguments must lie in low memory. */
static long low_call(long number, long first, long second)
{
#ifdef __x86_64__
    long result;

    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(first), "c"(second) : "memory", "r8", "r9", "r10", "r11");
    if (result < 0 && result > -4096)
        errno = -result, result = -1;
    return result;
#else
    (void)first, (void)second;
    errno = ENOSYS;
    return -number;
#endif
}

static long call(int words, char **word)
{
    long number[8] = {0};
    static char stack[65536] __attribute__((aligned(16)));

    for (int i = 2; i < words && i < 8; i++)
        number[i] = strtol(word[i], NULL, 0);
    if (!strcmp(word[1], "socket"))
        return socket(number[2], number[3], number[4]);
    if (!strcmp(word[1], "unshare"))
        return unshare(number[2]);
    if (!strcmp(word[1], "clone")) {
        long child = clone(nothing, stack + sizeof stack, number[2] | SIGCHLD, NULL);
        return child > 0 ? waitpid(child, NULL, 0) : child;
    }
    if (!strcmp(word[1], "clone3"))
        return syscall(SYS_clone3, NULL, 0);
    if (!strcmp(word[1], "read")) {
        char byte;
        int file = open(word[2], O_RDONLY | O_NONBLOCK);
        if (file < 0)
            return file;
        long got = read(file, &byte, 1);
        if (!got)
            puts("empty"), exit(0);
        return got;
    }
    if (!strcmp(word[1], "write"))
        return open(word[2], O_WRONLY | O_NONBLOCK);
    if (!strcmp(word[1], "mknod"))
        return mknod(word[2], S_IFCHR | 0600, makedev(number[3], number[4]));
    if (!strcmp(word[1], "shmget"))
        return shmctl(shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600), IPC_RMID, NULL);
    if (!strcmp(word[1], "sethostname"))
        return sethostname(word[2], strlen(word[2]));
    if (!strcmp(word[1], "setflags"))
        return set_flags(word[2], number[3]);
    if (!strcmp(word[1], "clearflags"))
        return clear_flags(word[2], number[3]);
    if (!strcmp(word[1], "setproject"))
        return set_project(word[2], number[3]);
    if (!strcmp(word[1], "freeze"))
        return ioctl(open(word[2], O_RDONLY), FIFREEZE, 0);
    if (!strcmp(word[1], "mount"))
        return mount("none", word[2], word[3], 0, NULL);
    if (!strcmp(word[1], "hugepages")) /* so many bytes of them, of the usual size */
        return (long)mmap(NULL, number[2], PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    if (!strcmp(word[1], "fsopen"))
        return syscall(SYS_fsopen, word[2], 0);
    if (!strcmp(word[1], "getpid32"))
        return low_call(20, 0, 0);
    if (!strcmp(word[1], "socket32")) {
        static int arguments[3];
        for (int i = 0; i < 3; i++)
            arguments[i] = number[i + 2];
        return low_call(102, 1, (long)arguments);
    }
    if (!strcmp(word[1], "key")) /* found in the session's keyring by its name? */
        return syscall(SYS_keyctl, 10 /* KEYCTL_SEARCH */, -3, "user", word[2], 0);
    if (!strcmp(word[1], "open_by_handle_at"))
        return syscall(SYS_open_by_handle_at, AT_FDCWD, NULL, 0);
    fprintf(stderr, "probe: unknown call %s\n", word[1]);
    exit(2);
}

int main(int words, char **word)
{
    puts(call(words, word) < 0 ? strerrorname_np(errno) : "ok");
    return 0;
}
