/*
 * Copyright: (c) 2026, cellblock.jails contributors
 * GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "attack.h"

int main(int words, char **word)
{
    static const struct attack *const groups[] = {calls, exhaustion, files, namespaces, processes, sockets};
    static char *none[8];

    for (unsigned group = 0; words > 1 && group < sizeof groups / sizeof *groups; group++)
        for (const struct attack *each = groups[group]; each->name; each++)
            if (!strcmp(each->name, word[1])) {
                for (int i = 0; i < 8 && i + 2 < words; i++)
                    none[i] = word[i + 2];
                puts(each->run(none) < 0 ? strerrorname_np(errno) : "ok");
                return 0;
            }
    fprintf(stderr, "attack: which one?\n");
    return 2;
}
