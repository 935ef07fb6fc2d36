/* Copyright: (c) 2026, cellblock.jails contributors
 * GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The kernel's floor: a jail started by nothing but the system calls that it takes. No runtime, no checks beyond
 * "did it work", no bookkeeping: not a launcher, a yardstick.
 *
 *     floor FIRST_ID UPPER LOWER RUN HOSTNAME PROGRAM [KEY=VALUE]...
 *
 * Always: the namespaces, the id map, both layers idmapped, overlay, /dev with nodes and devpts, /proc, /sys,
 * pivot_root, exec. Each KEY=VALUE adds a piece of what a jail gets beyond that, in the order given:
 *
 *     cgroup=DIRECTORY      made, and pid 1 moved into it
 *     limit=FILE:VALUE      written
 *     more=1                mqueue, shm and /run
 *     readonly=proc/PATH    bound over itself, read-only
 *     writable=proc/PATH    bound back over a read-only parent
 *     mask=proc/PATH        covered by the null device or an empty tmpfs
 *     keep=MASK             the capabilities that stay
 *     seccomp=FILE          a BPF program, loaded
 *
 * Standard output: the time just before the first step, then what PROGRAM says. At the end of standard input it kills
 * the jail, removes the cgroups and prints how many nanoseconds that took. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* linux/mount.h cannot be included beside sys/mount.h in every glibc; these are its values. */
enum { SET_FLAG = 0, SET_STRING = 1, CMD_CREATE = 6, TREE_CLONE = 1, FROM_EMPTY = 0x04, TO_EMPTY = 0x40 };
enum { RO = 0x01, NOSUID = 0x02, NODEV = 0x04, NOEXEC = 0x08, IDMAP = 0x00100000 };
struct attributes {
    unsigned long long set, clear, propagation, userns;
};
struct parts {
    int devices, upper, lower;
};

static char **extras;
static struct sock_fprog filters[4];
static size_t filter_count;

static long ok(long result, const char *what)
{
    if (result < 0) {
        fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
        _exit(1);
    }
    return result;
}

static long long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static const char *value(const char *extra, const char *key)
{
    size_t length = strlen(key);
    return strncmp(extra, key, length) == 0 && extra[length] == '=' ? extra + length + 1 : NULL;
}

static void write_text(const char *path, const char *text)
{
    int file = ok(open(path, O_WRONLY | O_CLOEXEC), path);
    ok(write(file, text, strlen(text)), path);
    close(file);
}

/* options: KEY, VALUE (or NULL for a flag), ..., NULL */
static int make(const char *type, const char *const *options, unsigned attributes)
{
    int context = ok(syscall(SYS_fsopen, type, 1), type);
    for (; options && *options; options += 2)
        ok(syscall(SYS_fsconfig, context, options[1] ? SET_STRING : SET_FLAG, options[0], options[1], 0), options[0]);
    ok(syscall(SYS_fsconfig, context, CMD_CREATE, NULL, NULL, 0), type);
    int mount = ok(syscall(SYS_fsmount, context, 1, attributes), type);
    close(context);
    return mount;
}

static void attach(int mount, int directory, const char *path)
{
    ok(syscall(SYS_move_mount, mount, "", directory, path, FROM_EMPTY | (*path ? 0 : TO_EMPTY)), "move_mount");
}

static int copy(int directory, const char *path)
{
    return ok(syscall(SYS_open_tree, directory, path, TREE_CLONE | O_CLOEXEC | AT_EMPTY_PATH), path);
}

static void set(int mount, struct attributes attributes)
{
    ok(syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH, &attributes, sizeof attributes), "mount_setattr");
}

static int idmapped(const char *path, int userns, unsigned attributes)
{
    int mount = copy(AT_FDCWD, path);
    set(mount, (struct attributes){.set = attributes | IDMAP, .userns = userns});
    return mount;
}

static int make_devices(const char *owner)
{
    static const struct { const char *name; int major, minor; } nodes[] = {
        {"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};
    static const char *const links[][2] = {{"ptmx", "pts/ptmx"}, {"fd", "/proc/self/fd"}, {"stdin", "/proc/self/fd/0"},
        {"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"}};
    static const char *const folders[] = {"pts", "shm", "mqueue"};
    const char *options[] = {"mode", "0755", "size", "1m", "uid", owner, "gid", owner, NULL};
    int devices = make("tmpfs", options, NOSUID | NOEXEC), id = atoi(owner);
    umask(0);
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
        ok(mknodat(devices, nodes[i].name, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)), "mknod");
        ok(fchownat(devices, nodes[i].name, id, id, AT_SYMLINK_NOFOLLOW), "chown");
    }
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        ok(symlinkat(links[i][1], devices, links[i][0]), "symlink");
        ok(fchownat(devices, links[i][0], id, id, AT_SYMLINK_NOFOLLOW), "chown");
    }
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        ok(mkdirat(devices, folders[i], 0755), "mkdir");
        ok(fchownat(devices, folders[i], id, id, AT_SYMLINK_NOFOLLOW), "chown");
    }
    return devices;
}

static void cover(int root, const char *path, int devices)
{
    static const char *const empty[] = {"mode", "0555", "size", "4k", "nr_inodes", "1", NULL};
    struct stat status;
    int target = openat(root, path, O_PATH | O_CLOEXEC | O_NOFOLLOW);
    if (target < 0)
        return; /* not every kernel has every one */
    ok(fstat(target, &status), path);
    int mount = S_ISDIR(status.st_mode) ? make("tmpfs", empty, RO | NOSUID | NODEV | NOEXEC) : copy(devices, "null");
    attach(mount, target, "");
    close(target);
    close(mount);
}

static void read_filter(const char *path)
{
    if (filter_count == sizeof filters / sizeof *filters)
        _exit(2);
    struct sock_fprog *filter = &filters[filter_count++];
    int file = ok(open(path, O_RDONLY | O_CLOEXEC), path);
    struct stat status;
    ok(fstat(file, &status), path);
    filter->filter = malloc(status.st_size);
    filter->len = ok(read(file, filter->filter, status.st_size), path) / sizeof *filter->filter;
    close(file);
}

static void become_init(int go, const char *run, const char *hostname, char *program)
{
    static const char *const staging_options[] = {"mode", "0700", "size", "64k", NULL};
    static const char *const layers[] = {"lowerdir", "lower", "upperdir", "upper/upper", "workdir", "upper/work",
        "userxattr", NULL, NULL};
    static const char *const terminals[] = {"mode", "0620", "gid", "5", "ptmxmode", "0666", NULL};
    static const char *const shared[] = {"mode", "1777", "size", "64m", NULL};
    static const char *const run_options[] = {"mode", "0755", "size", "64m", NULL};
    struct parts parts;
    unsigned long long keep = ~0ULL;

    ok(read(go, &parts, sizeof parts), "go");
    ok(setgroups(0, NULL), "setgroups");
    ok(setresgid(0, 0, 0), "setresgid");
    ok(setresuid(0, 0, 0), "setresuid");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    ok(mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL), "private");

    int staging = make("tmpfs", staging_options, NOSUID | NODEV | NOEXEC);
    int place = ok(open(run, O_PATH | O_DIRECTORY | O_CLOEXEC), run);
    attach(staging, place, "");
    ok(mkdirat(staging, "lower", 0700) | mkdirat(staging, "upper", 0700) | mkdirat(staging, "root", 0700), "mkdir");
    attach(parts.lower, staging, "lower");
    attach(parts.upper, staging, "upper");
    ok(fchdir(staging), "fchdir");
    int overlay = make("overlay", layers, 0);
    attach(overlay, staging, "root");
    int root = ok(openat(staging, "root", O_PATH | O_DIRECTORY | O_CLOEXEC), "root");
    attach(parts.devices, root, "dev");
    attach(make("devpts", terminals, NOSUID | NOEXEC), parts.devices, "pts");
    int proc = make("proc", NULL, NOSUID | NODEV | NOEXEC);
    attach(proc, root, "proc");
    attach(make("sysfs", NULL, NOSUID | NODEV | NOEXEC | RO), root, "sys");

    for (char **extra = extras; *extra; extra++) {
        const char *path;
        if (value(*extra, "more")) {
            attach(make("tmpfs", shared, NOSUID | NODEV), parts.devices, "shm");
            attach(make("mqueue", NULL, NOSUID | NODEV | NOEXEC), parts.devices, "mqueue");
            attach(make("tmpfs", run_options, NOSUID | NODEV), root, "run");
            write_text("/proc/sys/user/max_user_namespaces", "0");
        } else if ((path = value(*extra, "readonly"))) {
            struct stat status;
            if (fstatat(root, path, &status, AT_SYMLINK_NOFOLLOW) == 0) {
                int mount = copy(root, path);
                set(mount, (struct attributes){.set = RO | NOSUID | NODEV | NOEXEC});
                attach(mount, root, path);
            }
        } else if ((path = value(*extra, "writable"))) {
            attach(copy(proc, path + strlen("proc/")), root, path);
        } else if ((path = value(*extra, "mask"))) {
            cover(root, path, parts.devices);
        } else if (value(*extra, "keep")) {
            keep = strtoull(value(*extra, "keep"), NULL, 0);
        }
    }
    ok(sethostname(hostname, strlen(hostname)), "sethostname");
    ok(fchdir(root), "fchdir");
    ok(syscall(SYS_pivot_root, ".", "."), "pivot_root");
    ok(umount2(".", MNT_DETACH), "umount2");
    ok(chdir("/"), "chdir");
    ok(setsid(), "setsid");
    if (~keep) {
        struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
        struct __user_cap_data_struct data[2] = {{keep, keep, 0}, {keep >> 32, keep >> 32, 0}};
        for (int number = 0; prctl(PR_CAPBSET_READ, number) >= 0; number++)
            if (!(keep >> number & 1))
                ok(prctl(PR_CAPBSET_DROP, number), "bounding set");
        for (size_t i = 0; i < filter_count; i++)
            ok(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filters[i]), "seccomp");
        ok(syscall(SYS_capset, &header, data), "capset");
    }
    char *const arguments[] = {program, NULL}, *const environment[] = {"PATH=/usr/bin:/bin", NULL};
    ok(execve(program, arguments, environment), program);
}

static void child_ended(int number)
{
    (void)number;
    _exit(1);
}

static void map_ids(int pid, const char *first)
{
    char path[64], text[64];
    snprintf(text, sizeof text, "0 %s 65536\n", first);
    snprintf(path, sizeof path, "/proc/%d/uid_map", pid);
    write_text(path, text);
    snprintf(path, sizeof path, "/proc/%d/gid_map", pid);
    write_text(path, text);
}

int main(int count, char **arguments)
{
    int go[2];
    char text[64], path[4096];

    if (count < 7)
        return 2;
    extras = arguments + 7;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGCHLD, child_ended);

    long long started = now();
    for (char **extra = extras; *extra; extra++) {
        if (value(*extra, "cgroup"))
            ok(mkdir(value(*extra, "cgroup"), 0755), *extra);
        if (value(*extra, "limit")) {
            snprintf(path, sizeof path, "%s", value(*extra, "limit"));
            char *colon = strrchr(path, ':');
            *colon = 0;
            write_text(path, colon + 1);
        }
        if (value(*extra, "seccomp"))
            read_filter(value(*extra, "seccomp"));
    }
    ok(pipe2(go, O_CLOEXEC), "pipe");
    /* CLONE_FILES: the mounts that we make for the child are there under the same numbers until its exec. */
    int pid = ok(syscall(SYS_clone, CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP
        | CLONE_NEWUSER | CLONE_FILES | SIGCHLD, 0, 0, 0, 0), "clone");
    if (pid == 0)
        become_init(go[0], arguments[4], arguments[5], arguments[6]);
    snprintf(text, sizeof text, "%d", pid);
    for (char **extra = extras; *extra; extra++)
        if (value(*extra, "cgroup")) {
            snprintf(path, sizeof path, "%s/cgroup.procs", value(*extra, "cgroup"));
            write_text(path, text);
        }
    map_ids(pid, arguments[1]);
    snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
    int userns = ok(open(path, O_RDONLY | O_CLOEXEC), path);
    struct parts parts = {make_devices(arguments[1]), idmapped(arguments[2], userns, 0), idmapped(arguments[3], userns, RO)};
    ok(write(go[1], &parts, sizeof parts), "go");

    snprintf(text, sizeof text, "%lld\n", started);
    ok(write(STDOUT_FILENO, text, strlen(text)), "standard output");
    while (read(STDIN_FILENO, text, sizeof text) > 0)
        ;
    signal(SIGCHLD, SIG_DFL);
    long long ending = now();
    syscall(SYS_close_range, 3, ~0U, 0); /* the child's mounts among them */
    kill(pid, SIGKILL);
    int status;
    waitpid(pid, &status, 0);
    for (char **extra = extras; *extra; extra++)
        if (value(*extra, "cgroup"))
            ok(rmdir(value(*extra, "cgroup")), *extra);
    printf("%lld\n", now() - ending);
    return 0;
}
