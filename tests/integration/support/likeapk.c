/* Copyright: (c) 2026, cellblock.jails contributors
 * GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Does as much of what apk(8) does as building a template takes: "add --simulate PACKAGE..." names the packages, and
 * "add PACKAGE..." looks whether the first repository has a file of each and leaves a directory for it. The packages
 * are of version 1-r0; the name of the directory in the repository is the architecture.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char *repository(const char *list)
{
    static char line[256];
    FILE *file = fopen(list, "r");
    if (!file || !fgets(line, sizeof line, file))
        return NULL;
    line[strcspn(line, "\n")] = 0;
    return line;
}

int main(int argc, char **argv)
{
    const char *list = NULL, *arch = NULL;
    int adding = 0, simulating = 0, number = 0;
    mkdir("/lib", 0755);
    mkdir("/lib/apk", 0755);
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--repositories-file"))
            list = argv[++i];
        else if (!strcmp(argv[i], "--arch"))
            arch = argv[++i];
        else if (!strcmp(argv[i], "--root") || !strcmp(argv[i], "--keys-dir"))
            i++;
        else if (!strcmp(argv[i], "--simulate"))
            simulating = 1;
        else if (!strcmp(argv[i], "add"))
            adding = 1;
        else if (argv[i][0] != '-' && adding && simulating)
            printf("(%d/%d) Installing %s (1-r0)\n", ++number, argc, argv[i]);
        else if (argv[i][0] != '-' && adding) {
            char path[512];
            struct stat status;
            snprintf(path, sizeof path, "%s/%s/%s-1-r0.apk", repository(list), arch, argv[i]);
            if (stat(path, &status))
                return perror(path), 1;
            snprintf(path, sizeof path, "/lib/apk/%s", argv[i]);
            mkdir(path, 0755);
        }
    }
    return 0;
}
