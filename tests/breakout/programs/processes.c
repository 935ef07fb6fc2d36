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
#include <sys/prctl.h>
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

static int is_called(pid_t pid, const char *name)
{
    char path[64], text[64] = "";

    snprintf(path, sizeof path, "/proc/%d/comm", pid);
    int file = open(path, O_RDONLY);
    if (file < 0)
        return 0;
    if (read(file, text, sizeof text - 1) < 0)
        text[0] = 0;
    close(file);
    text[strcspn(text, "\n")] = 0;
    return !strcmp(text, name);
}

/* Whether this part of a process can be had. */
static int is_open(pid_t pid, const char *part)
{
    char path[64], bytes[16];

    snprintf(path, sizeof path, "/proc/%d/%s", pid, part);
    if (readlink(path, bytes, sizeof bytes) > 0)
        return 1;
    int file = open(path, O_RDONLY);
    int got = file >= 0 && (!strcmp(part, "mem") || read(file, bytes, 1) > 0);
    if (file >= 0)
        close(file);
    return got;
}

/* Take hold of processes that bear the name of a program from outside, word[1], as they come into the pid namespace, for
 * word[0] seconds. Each may have become a program of the guest meanwhile: only what is still so called counts. */
static long watch_entries(char **word)
{
    static const char *const parts[] = {"mem", "environ", "exe", "cwd", "fd/0"};
    long caught = 0, seen = 0, had;
    char text[32] = "";
    int last = open("/proc/sys/kernel/ns_last_pid", O_RDONLY);

    if (last < 0)
        return -1;
    for (time_t end = time(NULL) + atoi(word[0]); time(NULL) < end;) {
        if (pread(last, text, sizeof text - 1, 0) < 0)
            return -1;
        pid_t pid = atoi(text) - 2, newest = atoi(text) + 2;
        while (pid <= newest && !is_called(pid, word[1]))
            pid++;
        if (pid > newest)
            continue;
        seen++;
        had = 0;
        do {
            for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++)
                if (is_open(pid, parts[i]) && is_called(pid, word[1]))
                    printf("%s\n", parts[i]), had = 1;
            if (!had && ptrace(PTRACE_SEIZE, pid, 0, 0) == 0)
                printf("ptrace\n"), had = is_called(pid, word[1]);
        } while (!had && is_called(pid, word[1]));
        caught += had;
    }
    printf("seen %ld\n", seen);
    return caught ? 0 : fail(EPERM);
}

/* Bear a name until the end. */
static long be_called(char **word)
{
    long done = prctl(PR_SET_NAME, word[0]);

    while (!done)
        pause();
    return done;
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
    {"be_called", be_called},
    {"watch", watch_entries},
    {NULL, NULL},
};
