/*
 * Copyright: (c) 2026, cellblock.jails contributors
 * GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Other processes, their memory and what they share, and a larger part of the machine than one's own.
 */
#include "attack.h"
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

static long trace(char **word)
{
    long done = ptrace(PTRACE_SEIZE, atoi(word[0]), 0, 0);
    if (!done)
        ptrace(PTRACE_DETACH, atoi(word[0]), 0, 0);
    return done;
}

static long read_memory(char **word)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%s/mem", word[0]);
    return open(path, O_RDWR);
}

static long reach_root(char **word)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%s/root", word[0]);
    int root = open(path, O_RDONLY | O_DIRECTORY);
    return root < 0 ? root : openat(root, word[1], O_RDONLY);
}

static long signal_process(char **word)
{
    return kill(atoi(word[0]), 0);
}

static long old_segment(char **word)
{
    return shmget(strtol(word[0], NULL, 0), 0, 0);
}

static long old_semaphores(char **word)
{
    return semget(strtol(word[0], NULL, 0), 0, 0);
}

static long message_queue(char **word)
{
    return mq_open(word[0], O_RDONLY);
}

static long shared_memory(char **word)
{
    return shm_open(word[0], O_RDONLY, 0);
}

static long priority(char **word)
{
    (void)word;
    return setpriority(PRIO_PROCESS, 0, -10);
}

static long scheduler(char **word)
{
    struct sched_param parameters = {.sched_priority = 1};
    return sched_setscheduler(0, atoi(word[0]), &parameters);
}

static long io_priority(char **word)
{
    (void)word;
    return syscall(SYS_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, 0, 1 << 13 /* IOPRIO_CLASS_RT */);
}

/* Raise a hard limit by one. */
static long resource_limit(char **word)
{
    struct rlimit limit;

    (void)word;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_max++;
    return setrlimit(RLIMIT_NOFILE, &limit);
}

/* Type into the terminal that is our standard input, by the ioctl request word[0] and a byte of word[1]. */
static long type_into(char **word)
{
    unsigned long request = strtoul(word[0], NULL, 0);
    long done = -1;

    for (char *byte = word[1]; *byte; byte++)
        done = syscall(SYS_ioctl, 0, request, byte);
    return done;
}

/* Watch for processes that come into the pid namespace for so many seconds, and take hold of each that is not yet a
 * program of this one: says what it got of their memory, environment and descriptors. */
static long watch_entries(char **word)
{
    static const char *const parts[] = {"mem", "environ", "exe", "fd", "cwd"};
    long caught = 0, seen = 0;
    struct timespec now, end;

    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += atoi(word[0]);
    for (pid_t first = getpid() + 1;; clock_gettime(CLOCK_MONOTONIC, &now)) {
        for (pid_t pid = first; pid < first + 64; pid++) {
            char path[64], buffer[4096];
            if (kill(pid, 0) < 0)
                continue;
            snprintf(path, sizeof path, "/proc/%d/comm", pid);
            int comm = open(path, O_RDONLY);
            long length = comm < 0 ? 0 : read(comm, buffer, sizeof buffer - 1);
            if (comm >= 0)
                close(comm);
            buffer[length > 0 ? length : 0] = 0;
            if (strcmp(buffer, word[1]) == 0 || length <= 0)
                continue;
            seen++;
            for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++) {
                snprintf(path, sizeof path, "/proc/%d/%s", pid, parts[i]);
                if (i < 2) {
                    int file = open(path, O_RDONLY);
                    if (file < 0)
                        continue;
                    if (i == 0 || read(file, buffer, 1) > 0)
                        caught++, printf("got %s of %d\n", parts[i], pid);
                    close(file);
                } else if (readlink(path, buffer, sizeof buffer) > 0) {
                    caught++, printf("got %s of %d\n", parts[i], pid);
                }
            }
            if (ptrace(PTRACE_SEIZE, pid, 0, 0) == 0)
                caught++, printf("traced %d\n", pid);
        }
        while (kill(first, 0) < 0 && first < getpid() + 4096)
            first++;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec > end.tv_sec)
            break;
    }
    printf("seen %ld\n", seen);
    return caught ? 0 : fail(EPERM);
}

const struct attack processes[] = {
    {"trace", trace},
    {"memory", read_memory},
    {"root", reach_root},
    {"signal", signal_process},
    {"segment", old_segment},
    {"semaphores", old_semaphores},
    {"queue", message_queue},
    {"shared_memory", shared_memory},
    {"priority", priority},
    {"scheduler", scheduler},
    {"io_priority", io_priority},
    {"resource_limit", resource_limit},
    {"type", type_into},
    {"watch", watch_entries},
    {NULL, NULL},
};
