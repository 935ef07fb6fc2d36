/* Copyright: (c) 2026, cellblock.jails contributors
 * GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A static program that carries a dynamic one with its loader and libraries, puts them into a directory below /run
 * and becomes it: how the tests have an apk.static where only an apk is at hand.
 *
 * Built with a directory in which `loader`, `program` and `libraries.h` are: -I DIRECTORY and
 * -Wa,-I,DIRECTORY. `libraries.h` has a line CARRY(number, "name") for each library, a file there too.
 */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CARRY(number, file)                                                                                   \
    __asm__(".section .rodata\n.global carried_" #number "\ncarried_" #number ":\n.incbin \"" file "\"\n"      \
            ".global end_" #number "\nend_" #number ":\n.previous\n");                                        \
    extern const char carried_##number[], end_##number[];
#include "carried.h"
#undef CARRY

static char folder[] = "/run/carried-XXXXXX";
static char path[256];

static const char *put(const char *name, const char *start, const char *end)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0755);
    while (file >= 0 && start < end) {
        ssize_t written = write(file, start, end - start);
        if (written < 0)
            break;
        start += written;
    }
    if (file < 0 || start < end || close(file) < 0) {
        perror(path);
        exit(125);
    }
    return path;
}

int main(int count, char **given)
{
    char *arguments[count + 5], loader[256], program[256];
    if (!mkdtemp(folder)) {
        perror(folder);
        return 125;
    }
#define CARRY(number, file) put(file, carried_##number, end_##number);
#include "carried.h"
    snprintf(loader, sizeof loader, "%s/loader", folder);
    snprintf(program, sizeof program, "%s/program", folder);
    arguments[0] = loader;
    arguments[1] = "--library-path";
    arguments[2] = folder;
    arguments[3] = program;
    for (int number = 1; number <= count; number++)
        arguments[number + 3] = given[number];
    execv(loader, arguments);
    perror(loader);
    return 125;
}
