/* Copyright: (c) 2026, cellblock.jails contributors
 * GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Traffic between two network namespaces:
 *
 *   traffic serve PORT                     says "ready" and serves TCP connections, one process each
 *   traffic stream ADDRESS PORT MS         MiB that arrive in a second, of a connection that sends for so long
 *   traffic echo ADDRESS PORT COUNT        microseconds of a round trip of one byte
 *   traffic datagrams ADDRESS PORT COUNT   nanoseconds of processor that sending a datagram of 64 bytes takes, up to
 *                                          the other's socket; nobody reads them
 *
 * The first byte of a connection says what it is for: 's' to count, 'e' to send back.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char block[128 * 1024];

static double now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static int at_once(int end)
{
	int on = 1;

	if (setsockopt(end, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on))
		err(1, "TCP_NODELAY");
	return end;
}

static void answer(int end)
{
	ssize_t got = read(end, block, 1);

	if (got == 1 && block[0] == 'e')
		while ((got = read(end, block, 1)) == 1 && write(end, block, 1) == 1)
			;
	else
		while ((got = read(end, block, sizeof block)) > 0)
			;
	/* Whoever sends waits for this: all has arrived. */
	close(end);
	_exit(0);
}

static void serve(int port)
{
	struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(port)};
	int any = socket(AF_INET, SOCK_STREAM, 0), datagrams = socket(AF_INET, SOCK_DGRAM, 0), on = 1, end;

	signal(SIGCHLD, SIG_IGN);
	setsockopt(any, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(any, (struct sockaddr *)&here, sizeof here) || listen(any, 16) ||
	    bind(datagrams, (struct sockaddr *)&here, sizeof here))
		err(1, "port %d", port);
	puts("ready");
	fflush(stdout);
	while ((end = accept(any, NULL, NULL)) >= 0) {
		if (fork() == 0)
			answer(at_once(end));
		close(end);
	}
	err(1, "accept");
}

static int reach(int type, const char *address, const char *port)
{
	struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
	int end = socket(AF_INET, type, 0);

	if (inet_pton(AF_INET, address, &there.sin_addr) != 1)
		errx(1, "%s is no address", address);
	if (end < 0 || connect(end, (struct sockaddr *)&there, sizeof there))
		err(1, "%s", address);
	return end;
}

static void stream(int end, double nanoseconds)
{
	double start, sent = 0;

	if (write(end, "s", 1) != 1)
		err(1, "write");
	for (start = now(CLOCK_MONOTONIC); now(CLOCK_MONOTONIC) - start < nanoseconds;) {
		ssize_t wrote = write(end, block, sizeof block);

		if (wrote < 0)
			err(1, "write");
		sent += wrote;
	}
	shutdown(end, SHUT_WR);
	if (read(end, block, 1) != 0)
		errx(1, "it did not all arrive");
	printf("%f\n", sent / (1 << 20) / ((now(CLOCK_MONOTONIC) - start) / 1e9));
}

static void echo(int end, int count)
{
	double start;
	int each;

	if (write(end, "e", 1) != 1)
		err(1, "write");
	for (each = 0, start = now(CLOCK_MONOTONIC); each < count; each++)
		if (write(end, "x", 1) != 1 || read(end, block, 1) != 1)
			err(1, "echo");
	printf("%f\n", (now(CLOCK_MONOTONIC) - start) / count / 1e3);
}

static void datagrams(int end, int count)
{
	double start = now(CLOCK_PROCESS_CPUTIME_ID);
	int each;

	for (each = 0; each < count; each++)
		if (send(end, block, 64, 0) != 64)
			err(1, "send");
	printf("%f\n", (now(CLOCK_PROCESS_CPUTIME_ID) - start) / count);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "serve")) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(atoi(argv[2]));
	}
	if (argc != 5)
		errx(2, "serve PORT, or stream, echo or datagrams ADDRESS PORT NUMBER");
	if (!strcmp(argv[1], "stream"))
		stream(reach(SOCK_STREAM, argv[2], argv[3]), atof(argv[4]) * 1e6);
	else if (!strcmp(argv[1], "echo"))
		echo(at_once(reach(SOCK_STREAM, argv[2], argv[3])), atoi(argv[4]));
	else
		datagrams(reach(SOCK_DGRAM, argv[2], argv[3]), atoi(argv[4]));
	return 0;
}
