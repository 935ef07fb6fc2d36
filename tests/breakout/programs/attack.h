/*
 * Copyright: (c) 2026, cellblock.jails contributors
 * GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One program for all attacks: "attack NAME ARGUMENTS". It says "ok" when the attack has gone through, else the name of
 * the error that stopped it. The same program is run in a jail and, as the control, where a protection is off.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct attack {
    const char *name;
    /* Arguments begin at word[0]; a negative result stands for errno. */
    long (*run)(char **word);
};

extern const struct attack calls[], exhaustion[], files[], namespaces[], processes[], sockets[];

/* -1 with this error number. */
static inline long fail(int number)
{
    errno = number;
    return -1;
}

/* For a call that must not be let through to its end: an error that comes after the check of privileges. */
static inline long passed_if(long result, int number)
{
    return result < 0 && errno == number ? 0 : result;
}
