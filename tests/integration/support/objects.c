/*
 * Copyright: (c) 2026, cellblock.jails contributors
 * GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Make up to a number of objects of the kernel of one kind, keep them all, and print how many there came to be and the
 * error that ended it, if any.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

static int watches = -1;

static long make(const char *kind, int number)
{
    char name[32];

    snprintf(name, sizeof(name), "/queue%d", number);
    if (!strcmp(kind, "instance"))
        return inotify_init1(0);
    if (!strcmp(kind, "watch")) {
        snprintf(name, sizeof(name), "/run/watched%d", number);
        mkdir(name, 0700);
        if (watches < 0)
            watches = inotify_init1(0);
        return inotify_add_watch(watches, name, IN_MODIFY);
    }
    if (!strcmp(kind, "mnt")) /* each of ours keeps one */
        return unshare(CLONE_NEWNS) ? -1 : fork() ? 0 : pause();
    if (!strcmp(kind, "pty"))
        return open("/dev/ptmx", O_RDWR | O_NOCTTY);
    if (!strcmp(kind, "queue"))
        return mq_open(name, O_CREAT | O_RDWR, 0600, NULL);
    if (!strcmp(kind, "shm"))
        return shmget(IPC_PRIVATE, 4096, 0600);
    if (!strcmp(kind, "shm-bytes")) /* a segment of so many MiB */
        return shmget(IPC_PRIVATE, (size_t)(number + 1) << 20, 0600);
    if (!strcmp(kind, "msg"))
        return msgget(IPC_PRIVATE, 0600);
    if (!strcmp(kind, "sem"))
        return semget(IPC_PRIVATE, 1, 0600);
    errno = EINVAL;
    return -1;
}

int main(int count, char **words)
{
    int made = 0, most = count > 2 ? atoi(words[2]) : 0;

    signal(SIGTERM, SIG_IGN);
    while (made < most && make(words[1], made) >= 0)
        made++;
    printf("%d %s\n", made, made < most ? strerrorname_np(errno) : "ok");
    fflush(stdout);
    for (int id = 0; id < 100; id++) { /* what outlives a process */
        char name[32];

        snprintf(name, sizeof(name), "/queue%d", id);
        mq_unlink(name);
    }
    signal(SIGTERM, SIG_DFL);
    kill(0, SIGKILL);
    return 0;
}
