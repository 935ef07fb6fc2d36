/*
 * Copyright: (c) 2026, cellblock.jails contributors
 * GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A library that a jail preloads into every dynamic program (ld.so(8)). Whoever executes a program of the jail that
 * turns out to be a script with the interpreter /proc/self/exe executes its own file with it: held open from here, that
 * file is written as soon as nobody executes it any more.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static const char script[] =
    "tries=0\n"
    "until printf owned 2>/root/answer 1<>/proc/self/fd/9; do\n"
    "  tries=$((tries + 1)); [ $tries = 40 ] && exit; sleep 0.05\n"
    "done\n"
    "echo written > /root/answer\n";

__attribute__((constructor)) static void attack(void)
{
    int image = open("/proc/self/exe", O_PATH), nothing = open("/dev/null", O_RDWR);

    if (image < 0 || dup2(image, 9) < 0)
        _exit(9);
    unsetenv("LD_PRELOAD");
    if (fork()) {
        while (getpid() == 1)
            execl("/bin/busybox", "sleep", "100000", NULL);
        _exit(0);
    }
    setsid();
    for (int number = 0; number < 3; number++)
        dup2(nothing, number);
    execl("/bin/busybox", "sh", "-c", script, NULL);
    _exit(8);
}
