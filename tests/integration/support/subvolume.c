/*
 * Copyright: (c) 2026, cellblock.jails contributors
 * GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Make one request of btrfs on a directory and print how it ended: "ok", or the name of the error. Runs in jails and, as
 * the control, beside them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

static int request(int words, char **word)
{
    int directory = open(word[2], O_RDONLY | O_DIRECTORY);
    struct btrfs_ioctl_vol_args first = {0};
    struct btrfs_ioctl_vol_args_v2 second = {0};

    if (directory < 0)
        return -1;
    if (!strcmp(word[1], "limit")) {
        struct btrfs_ioctl_qgroup_limit_args limit = {0};

        limit.lim.flags = BTRFS_QGROUP_LIMIT_MAX_EXCL;
        limit.lim.max_excl = -1;
        return ioctl(directory, BTRFS_IOC_QGROUP_LIMIT, &limit);
    }
    if (!strcmp(word[1], "freeze")) {
        __u64 flags = BTRFS_SUBVOL_RDONLY;

        return ioctl(directory, BTRFS_IOC_SUBVOL_SETFLAGS, &flags);
    }
    if (words < 4)
        return -1;
    strncpy(first.name, word[3], BTRFS_PATH_NAME_MAX);
    strncpy(second.name, word[3], BTRFS_SUBVOL_NAME_MAX);
    if (!strcmp(word[1], "create"))
        return ioctl(directory, BTRFS_IOC_SUBVOL_CREATE, &first);
    if (!strcmp(word[1], "create2"))
        return ioctl(directory, BTRFS_IOC_SUBVOL_CREATE_V2, &second);
    if (!strcmp(word[1], "destroy"))
        return ioctl(directory, BTRFS_IOC_SNAP_DESTROY, &first);
    first.fd = second.fd = directory;
    if (!strcmp(word[1], "snapshot"))
        return ioctl(directory, BTRFS_IOC_SNAP_CREATE, &first);
    if (!strcmp(word[1], "snapshot2"))
        return ioctl(directory, BTRFS_IOC_SNAP_CREATE_V2, &second);
    errno = EINVAL;
    return -1;
}

int main(int words, char **word)
{
    if (words < 3)
        return 2;
    puts(request(words, word) < 0 ? strerrorname_np(errno) : "ok");
    return 0;
}
