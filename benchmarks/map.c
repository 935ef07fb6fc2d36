/* Map a file, touch each page of it, say how many there are, and sleep.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct stat status;
	volatile char sum = 0;
	int file = argc == 2 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;

	if (file < 0 || fstat(file, &status) < 0)
		return 1;
	char *map = mmap(NULL, status.st_size, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0);
	if (map == MAP_FAILED)
		return 1;
	for (off_t at = 0; at < status.st_size; at += 4096)
		sum += map[at];
	printf("%ld pages\n", (long)status.st_size / 4096);
	fflush(stdout);
	pause();
	return 0;
}
