/*
 * Copyright: (c) 2026, cellblock.jails contributors
 * GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A server, as a neighbour of a jail that takes all it can get: it answers each connection to port word[1] of the
 * loopback when it has taken some memory, written a file and started a process; and, with a word[2], when the file is on
 * the disk.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int work(int to_disk)
{
    char *memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int status = 0, file = open("/tmp/answer", O_WRONLY | O_CREAT | O_TRUNC, 0600);

    if (memory == MAP_FAILED || file < 0)
        return -1;
    memset(memory, 1, 1 << 20);
    if (write(file, memory, 4096) != 4096 || (to_disk && fsync(file)))
        return -1;
    close(file);
    munmap(memory, 1 << 20);
    pid_t child = fork();
    if (!child)
        _exit(0);
    return child < 0 || waitpid(child, &status, 0) < 0 || status ? -1 : 0;
}

int main(int words, char **word)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(words > 1 ? atoi(word[1]) : 0)};
    int on = 1, server = socket(AF_INET, SOCK_STREAM, 0);

    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(server, (void *)&address, sizeof address) < 0 || listen(server, 64) < 0)
        return 1;
    for (;;) {
        int client = accept(server, NULL, NULL);
        if (client < 0)
            return 1;
        const char *answer = work(words > 2) ? "-" : "+";
        if (write(client, answer, 1) != 1)
            fprintf(stderr, "nobody waits\n");
        close(client);
    }
}
