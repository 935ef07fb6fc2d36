/*
 * Copyright: (c) 2026, cellblock.jails contributors
 * GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Taking all there is. "attack take KIND NUMBER [hold]" takes up to so many of a kind, says how many it got and what
 * ended it, and keeps them until it is killed.
 */
#include "attack.h"
#include <mqueue.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

static long take_process(long number, char **word)
{
    pid_t child = fork();

    (void)number;
    if (!child && word[0] && !strcmp(word[0], "spin"))
        for (;;)
            fork();
    if (!child) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    return child;
}

/* A mebibyte, written. */
static long take_memory(long number, char **word)
{
    char *place = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)number, (void)word;
    if (place == MAP_FAILED)
        return -1;
    memset(place, 1, 1 << 20);
    return 0;
}

/* A mebibyte at the end of the file word[0]. */
static long take_bytes(long number, char **word)
{
    static char block[1 << 20];
    static int file;

    if (!number && (file = open(word[0], O_WRONLY | O_CREAT, 0600)) < 0)
        return -1;
    for (size_t done = 0; done < sizeof block;) {
        long more = write(file, block, sizeof block - done);
        if (more < 0)
            return -1;
        done += more;
    }
    return 0;
}

/* An empty file in the directory word[0]. */
static long take_inode(long number, char **word)
{
    char path[256];

    snprintf(path, sizeof path, "%s/%ld", word[0], number);
    return mknod(path, S_IFREG | 0600, 0);
}

static long take_inotify(long number, char **word)
{
    (void)number, (void)word;
    return inotify_init1(0);
}

static long take_timer(long number, char **word)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    timer_t timer;

    (void)number, (void)word;
    return timer_create(CLOCK_MONOTONIC, &event, &timer);
}

static long take_queue(long number, char **word)
{
    char name[64];

    (void)word;
    snprintf(name, sizeof name, "/%d-%ld", getpid(), number);
    long queue = mq_open(name, O_CREAT | O_RDWR, 0600, NULL);
    if (queue >= 0)
        mq_unlink(name); /* it goes with the process */
    return queue;
}

static long take_locked(long number, char **word)
{
    (void)number, (void)word;
    return mlock(mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 1 << 16);
}

static long take_key(long number, char **word)
{
    char name[64];

    (void)word;
    snprintf(name, sizeof name, "breakout-%ld", number);
    return syscall(SYS_add_key, "user", name, "x", 1, -2L /* KEY_SPEC_PROCESS_KEYRING */);
}

static long take_terminal(long number, char **word)
{
    (void)number, (void)word;
    return open("/dev/ptmx", O_RDWR | O_NOCTTY);
}

static long take_descriptor(long number, char **word)
{
    (void)number, (void)word;
    return open("/", O_RDONLY | O_DIRECTORY);
}

/* A mebibyte of System V memory, which stays without any process. */
static long take_segment(long number, char **word)
{
    (void)number, (void)word;
    int segment = shmget(IPC_PRIVATE, 1 << 20, IPC_CREAT | 0600);
    if (segment < 0)
        return -1;
    char *place = shmat(segment, NULL, 0);
    if (place == (void *)-1)
        return -1;
    memset(place, 1, 1 << 20);
    return shmdt(place);
}

/* A context of asynchronous input and output, of which the whole machine has a number. */
static long take_aio(long number, char **word)
{
    unsigned long context = 0;

    (void)number;
    return syscall(SYS_io_setup, atoi(word[0]), &context);
}

/* A connection over the loopback, full of what nobody reads. */
static long take_connection(long number, char **word)
{
    static char block[1 << 20];
    static int listening;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int big = 8 << 20, left = 100;

    (void)word;
    if (!number) {
        listening = socket(AF_INET, SOCK_STREAM, 0);
        if (bind(listening, (void *)&address, size) < 0 || listen(listening, 128) < 0)
            return -1;
    }
    getsockname(listening, (void *)&address, &size);
    int end = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(end, SOL_SOCKET, SO_SNDBUF, &big, sizeof big);
    if (connect(end, (void *)&address, size) < 0)
        return -1;
    int other = accept(listening, NULL, NULL);
    setsockopt(other, SOL_SOCKET, SO_RCVBUF, &big, sizeof big);
    while (left) {
        if (send(end, block, sizeof block, MSG_DONTWAIT) < 0)
            left--, usleep(500);
    }
    return 0;
}

/* A flow of its own through the router, to the address word[0]. */
static long take_flow(long number, char **word)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(1024 + number % 60000)};
    int end = socket(AF_INET, SOCK_DGRAM, 0);

    if (end < 0)
        return -1;
    to.sin_addr.s_addr = htonl(((unsigned)strtoul(word[0], NULL, 0)) + number / 60000);
    long sent = sendto(end, "x", 1, MSG_DONTWAIT, (void *)&to, sizeof to);
    close(end);
    return sent;
}

/* A neighbour of its own: a datagram to the address that is so far from word[0]. The kernel is to tell of a full table;
 * else it keeps silent. */
static long take_neighbour(long number, char **word)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
    int on = 1, end = socket(AF_INET, SOCK_DGRAM, 0);

    if (end < 0)
        return -1;
    setsockopt(end, SOL_IP, 11 /* IP_RECVERR */, &on, sizeof on);
    to.sin_addr.s_addr = htonl((unsigned)strtoul(word[0], NULL, 0) + number);
    long sent = sendto(end, "x", 1, MSG_DONTWAIT, (void *)&to, sizeof to);
    close(end);
    return sent;
}

static const struct kind {
    const char *name;
    long (*take)(long number, char **word);
} kinds[] = {
    {"processes", take_process},   {"memory", take_memory},       {"bytes", take_bytes},
    {"inodes", take_inode},        {"inotify", take_inotify},     {"timers", take_timer},
    {"queues", take_queue},        {"locked", take_locked},       {"keys", take_key},
    {"terminals", take_terminal},  {"descriptors", take_descriptor}, {"segments", take_segment},
    {"aio", take_aio},             {"connections", take_connection}, {"flows", take_flow},          {"neighbours", take_neighbour},
};

static void want_descriptors(void)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static long take(char **word)
{
    long got = 0, wanted = atol(word[1]);

    want_descriptors();
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i].name, word[0])) {
            while (got < wanted && kinds[i].take(got, word + 2) >= 0)
                got++;
            printf("%ld %s\n", got, got < wanted ? strerrorname_np(errno) : "all");
            fflush(stdout);
            for (;;)
                pause();
        }
    return fail(EINVAL);
}

/* Make the file on our standard output so many bytes long, all of them taken from the disk. */
static long lengthen(char **word)
{
    return fallocate(1, 0, 0, atoll(word[0]));
}

/* Write so many mebibytes to the file word[1], past all caches. Says how many it wrote in each second. */
static long pour(char **word)
{
    char *block;
    struct timespec start, now;
    long written = 0, seconds = atol(word[0]);
    int file = open(word[1], O_WRONLY | O_CREAT | O_TRUNC | O_DIRECT, 0600);

    if (file < 0 || posix_memalign((void **)&block, 4096, 1 << 20))
        return -1;
    memset(block, 1, 1 << 20);
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        if (pwrite(file, block, 1 << 20, (written % 64) << 20) < 0)
            return -1;
        written++;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec - start.tv_sec < seconds);
    printf("%ld\n", written / seconds);
    unlink(word[1]);
    exit(0);
}

const struct attack exhaustion[] = {
    {"take", take},
    {"lengthen", lengthen},
    {"pour", pour},
    {NULL, NULL},
};
