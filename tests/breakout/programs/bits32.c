/*
 * Copyright: (c) 2026, cellblock.jails contributors
 * GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A 32-bit program without a library: it makes a socket of family AF_ALG and one of AF_PACKET, each by socketcall(2)
 * and by socket(2), and ends with the number of those it got, and bit 6 to tell that it ran.
 */
static long call(long number, long a, long b, long c)
{
    long result;

    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
    return result;
}

void _start(void)
{
    static const long families[] = {38 /* AF_ALG */, 17 /* AF_PACKET */, 40 /* AF_VSOCK */};
    int got = 64;

    for (int i = 0; i < 3; i++) {
        long arguments[3] = {families[i], families[i] == 38 ? 5 : 3, 0};
        got += call(102, 1, (long)arguments, 0) >= 0;
        got += call(359, arguments[0], arguments[1], arguments[2]) >= 0;
    }
    call(1, got, 0, 0);
}
