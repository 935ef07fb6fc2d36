/* Copyright: (c) 2026, cellblock.jails contributors
 * GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What system calls cost where this runs.
 *
 *     syscalls FILE
 *
 * FILE is one that can be opened, with a path of the same depth everywhere. For each line of standard input: one round
 * of all calls, a line "NAME NANOSECONDS" for each, per call, and an empty line. Every call goes straight to the
 * kernel, by syscall(2): no vDSO, no cache of the C library's. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { RUNS = 15 };

static const char *path;
static int zero, null, udp;
static char buffer[4096];
static unsigned word;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static long ok(long result, const char *what)
{
    if (result < 0)
        fail(what);
    return result;
}

static void do_getppid(void)
{
    ok(syscall(SYS_getppid), "getppid");
}

static void do_clock(void)
{
    struct timespec now;
    ok(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now), "clock_gettime");
}

static void do_read(void)
{
    ok(syscall(SYS_read, zero, buffer, 1), "read");
}

static void do_write(void)
{
    ok(syscall(SYS_write, null, buffer, 1), "write");
}

static void do_futex(void)
{
    ok(syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), "futex");
}

static void do_fcntl(void)
{
    ok(syscall(SYS_fcntl, null, F_GETFL), "fcntl");
}

static void do_stat(void)
{
    struct stat status;
    ok(syscall(SYS_newfstatat, AT_FDCWD, path, &status, 0), "newfstatat");
}

static void do_open(void)
{
    ok(syscall(SYS_close, (int)ok(syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC), "openat")), "close");
}

static void do_mmap(void)
{
    void *place = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (place == MAP_FAILED)
        fail("mmap");
    ok(syscall(SYS_munmap, place, 4096), "munmap");
}

static void do_pipe(void)
{
    int ends[2];
    ok(syscall(SYS_pipe2, ends, O_CLOEXEC), "pipe2");
    ok(syscall(SYS_close, ends[0]), "close");
    ok(syscall(SYS_close, ends[1]), "close");
}

/* From here on those whose arguments a filter looks at. */
static void do_ioctl(void)
{
    int waiting;
    ok(syscall(SYS_ioctl, udp, FIONREAD, &waiting), "ioctl");
}

static void do_setsockopt(void)
{
    int on = 1;
    ok(syscall(SYS_setsockopt, udp, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "setsockopt");
}

static void do_prlimit(void)
{
    struct rlimit limit;
    ok(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit), "prlimit64");
}

static void do_socket(int family)
{
    ok(syscall(SYS_close, (int)ok(syscall(SYS_socket, family, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket")), "close");
}

static void do_unix(void)
{
    do_socket(AF_UNIX);
}

static void do_inet(void)
{
    do_socket(AF_INET);
}

static void do_inet6(void)
{
    do_socket(AF_INET6);
}

static void do_pair(void)
{
    int ends[2];
    ok(syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), "socketpair");
    ok(syscall(SYS_close, ends[0]), "close");
    ok(syscall(SYS_close, ends[1]), "close");
}

static void do_clone(void)
{
    long child = ok(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0), "clone");
    if (!child)
        syscall(SYS_exit_group, 0);
    ok(syscall(SYS_wait4, child, NULL, 0, NULL), "wait4");
}

static const struct {
    const char *name;
    void (*call)(void);
    int times;
} calls[] = {
    {"getppid", do_getppid, 1000},
    {"clock_gettime", do_clock, 1000},
    {"read_1_byte", do_read, 1000},
    {"write_1_byte", do_write, 1000},
    {"futex_wake", do_futex, 1000},
    {"fcntl", do_fcntl, 1000},
    {"stat", do_stat, 200},
    {"open+close", do_open, 100},
    {"mmap+munmap", do_mmap, 100},
    {"pipe+2_close", do_pipe, 60},
    {"ioctl", do_ioctl, 1000},
    {"setsockopt", do_setsockopt, 1000},
    {"prlimit", do_prlimit, 1000},
    {"socket_unix+close", do_unix, 60},
    {"socket_inet+close", do_inet, 60},
    {"socket_inet6+close", do_inet6, 60},
    {"socketpair+2_close", do_pair, 40},
    {"clone+wait", do_clone, 5},
};

static double now(void)
{
    struct timespec moment;
    clock_gettime(CLOCK_MONOTONIC, &moment);
    return moment.tv_sec * 1e9 + moment.tv_nsec;
}

/* Of the quickest of several short runs: what else the machine does makes the others longer, and none shorter. */
static double nanoseconds(void (*call)(void), int times)
{
    double least = 0;

    for (int run = 0; run < RUNS; run++) {
        double before = now();
        for (int i = 0; i < times; i++)
            call();
        double took = (now() - before) / times;
        if (run == 0 || took < least)
            least = took;
    }
    return least;
}

int main(int argc, char **argv)
{
    char line[16];
    cpu_set_t allowed, first;
    int processor = 0;

    if (argc != 2)
        return 2;
    path = argv[1];
    /* On one processor, so that all are measured on the same. */
    ok(sched_getaffinity(0, sizeof allowed, &allowed), "sched_getaffinity");
    while (!CPU_ISSET(processor, &allowed))
        processor++;
    CPU_ZERO(&first);
    CPU_SET(processor, &first);
    ok(sched_setaffinity(0, sizeof first, &first), "sched_setaffinity");
    zero = ok(open("/dev/zero", O_RDONLY | O_CLOEXEC), "/dev/zero");
    null = ok(open("/dev/null", O_RDWR | O_CLOEXEC), "/dev/null");
    udp = ok(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
    while (fgets(line, sizeof line, stdin)) {
        for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
            printf("%s %.1f\n", calls[i].name, nanoseconds(calls[i].call, calls[i].times));
        printf("\n");
        fflush(stdout);
    }
    return 0;
}
