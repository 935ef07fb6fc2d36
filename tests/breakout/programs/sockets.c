/*
 * Copyright: (c) 2026, cellblock.jails contributors
 * GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Sockets: families of the kernel that nobody needs, and packets that are not one's own.
 */
#include "attack.h"
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif

static int wanted(int family)
{
    return family != AF_UNIX && family != AF_INET && family != AF_INET6 && family != AF_NETLINK;
}

/* socket(2) by the entry for 32-bit programs, which also 64-bit ones can use: other numbers, other registers. */
static long old_socket(int family, int type, int protocol)
{
#ifdef __x86_64__
    /* Its arguments lie in memory, below 4 GiB; the program is linked there. */
    static unsigned arguments[3];
    long result;

    arguments[0] = family, arguments[1] = type, arguments[2] = protocol;
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(102 /* socketcall */), "b"(1L /* SYS_SOCKET */), "c"((long)arguments)
                     : "memory", "r8", "r9", "r10", "r11");
    return (int)result < 0 ? fail(-(int)result) : result;
#else
    (void)family, (void)type, (void)protocol;
    return fail(ENOSYS);
#endif
}

static long new_socket(int family, int type, int protocol)
{
    return socket(family, type, protocol);
}

/* Print each family that a socket can be made of; through when there is one besides the usual four. */
static long sweep(long (*make)(int, int, int))
{
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET};
    int found = 0, last = EAFNOSUPPORT;

    for (int family = 0; family < 64; family++)
        for (unsigned type = 0; wanted(family) && type < sizeof types / sizeof *types; type++) {
            long made = make(family, types[type], 0);
            if (made >= 0) {
                printf("family %d\n", family);
                close(made);
                found = 1;
                break;
            }
            last = errno == EAFNOSUPPORT || errno == EPERM || errno == ENOSYS ? errno : last;
        }
    return found ? 0 : fail(last);
}

static long families(char **word)
{
    (void)word;
    return sweep(new_socket);
}

static long families_32(char **word)
{
    (void)word;
    return sweep(old_socket);
}

/* A socket family that is also had as a type of another: packet(7). */
static long old_packet(char **word)
{
    (void)word;
    return socket(AF_INET, SOCK_PACKET, htons(3));
}

/* Netlink protocol word[0]. */
static long netlink(char **word)
{
    return socket(AF_NETLINK, SOCK_RAW, atoi(word[0]));
}

static long raw(char **word)
{
    return socket(atoi(word[0]) == 6 ? AF_INET6 : AF_INET, SOCK_RAW, atoi(word[1]));
}

static long protocol(char **word)
{
    return socket(AF_INET, atoi(word[0]), atoi(word[1]));
}

/* Connect to the abstract socket word[0]. */
static long abstract(char **word)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int end = socket(AF_UNIX, SOCK_STREAM, 0);

    strncpy(address.sun_path + 1, word[0], sizeof address.sun_path - 2);
    return connect(end, (void *)&address, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(word[0]));
}

static socklen_t parse(const char *text, int port, struct sockaddr_storage *address)
{
    struct sockaddr_in *four = (void *)address;
    struct sockaddr_in6 *six = (void *)address;

    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET6, text, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(port);
        return sizeof *six;
    }
    four->sin_family = AF_INET;
    four->sin_port = htons(port);
    inet_pton(AF_INET, text, &four->sin_addr);
    return sizeof *four;
}

static long send_from(int end, const struct sockaddr_storage *from, const struct sockaddr_storage *to, socklen_t size)
{
    char room[CMSG_SPACE(sizeof(struct in6_pktinfo))] = {0};
    struct iovec data = {"spoofed", 7};
    struct msghdr message = {.msg_name = (void *)to,
                             .msg_namelen = size,
                             .msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = room,
                             .msg_controllen = sizeof room};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);

    if (from->ss_family == AF_INET6) {
        struct in6_pktinfo info = {.ipi6_addr = ((const struct sockaddr_in6 *)from)->sin6_addr};
        head->cmsg_level = SOL_IPV6, head->cmsg_type = IPV6_PKTINFO, head->cmsg_len = CMSG_LEN(sizeof info);
        memcpy(CMSG_DATA(head), &info, sizeof info);
    } else {
        struct in_pktinfo info = {.ipi_spec_dst = ((const struct sockaddr_in *)from)->sin_addr};
        head->cmsg_level = SOL_IP, head->cmsg_type = IP_PKTINFO, head->cmsg_len = CMSG_LEN(sizeof info);
        memcpy(CMSG_DATA(head), &info, sizeof info);
        message.msg_controllen = CMSG_SPACE(sizeof info);
    }
    return sendmsg(end, &message, 0);
}

/* Send a datagram from address word[0] to word[1], port word[2], with a socket that anybody may have. The address is said
 * by a bind to one that need not be there, for all packets, or for this one: word[3] is bind, sticky or packet. */
static long spoof(char **word)
{
    struct sockaddr_storage from, to;
    int on = 1;
    socklen_t size = parse(word[0], 0, &from);
    int end = socket(from.ss_family, SOCK_DGRAM, 0);

    parse(word[1], atoi(word[2]), &to);
    if (!strcmp(word[3], "packet"))
        return send_from(end, &from, &to, size);
    if (!strcmp(word[3], "bind")) {
        if (from.ss_family == AF_INET6)
            setsockopt(end, SOL_IPV6, IPV6_FREEBIND, &on, sizeof on);
        else
            setsockopt(end, SOL_IP, IP_FREEBIND, &on, sizeof on);
        if (bind(end, (void *)&from, size) < 0)
            return -1;
    } else {
        struct in6_pktinfo info = {.ipi6_addr = ((struct sockaddr_in6 *)&from)->sin6_addr};
        if (setsockopt(end, SOL_IPV6, IPV6_PKTINFO, &info, sizeof info) < 0)
            return -1;
    }
    return sendto(end, "spoofed", 7, 0, (void *)&to, size);
}

/* Connect to address word[0], port word[1], by the device word[2], whatever the routes are. */
static long reach(char **word)
{
    struct sockaddr_storage to;
    struct timeval second = {.tv_sec = 1};
    socklen_t size = parse(word[0], atoi(word[1]), &to);
    int end = socket(to.ss_family, SOCK_STREAM, 0);

    setsockopt(end, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof second);
    if (word[2] && setsockopt(end, SOL_SOCKET, SO_BINDTODEVICE, word[2], strlen(word[2])) < 0)
        return -1;
    return connect(end, (void *)&to, size);
}

/* Send the bytes word[1], in hexadecimal digits, as they are by the device word[0]. */
static long send_frame(char **word)
{
    unsigned char frame[2048];
    unsigned size = strlen(word[1]) / 2;
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = if_nametoindex(word[0]), .sll_halen = 6};
    int end = socket(AF_PACKET, SOCK_RAW, 0);

    for (unsigned i = 0; i < size && i < sizeof frame; i++)
        sscanf(word[1] + 2 * i, "%2hhx", &frame[i]);
    memcpy(to.sll_addr, frame, 6);
    return end < 0 ? end : sendto(end, frame, size, 0, (void *)&to, sizeof to);
}

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    return address;
}

/* A message of one byte with room for one descriptor. */
static struct msghdr message_in(struct iovec *byte, void *room, size_t size)
{
    return (struct msghdr){.msg_iov = byte, .msg_iovlen = 1, .msg_control = room, .msg_controllen = size};
}

/* Give whoever connects to the socket word[0] a descriptor of the directory word[1], and stay. */
static long give_directory(char **word)
{
    struct sockaddr_un address = address_of(word[0]);
    char room[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec byte = {.iov_base = ".", .iov_len = 1};
    struct msghdr message = message_in(&byte, room, sizeof room);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    int directory = open(word[1], O_RDONLY | O_DIRECTORY), server = socket(AF_UNIX, SOCK_STREAM, 0);

    if (directory < 0 || bind(server, (void *)&address, sizeof address) < 0 || chmod(word[0], 0777) < 0)
        return -1;
    header->cmsg_level = SOL_SOCKET, header->cmsg_type = SCM_RIGHTS, header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &directory, sizeof directory);
    if (listen(server, 1) < 0 || sendmsg(accept(server, NULL, NULL), &message, 0) < 0)
        return -1;
    for (;;)
        pause();
}

/* Take such a descriptor, say so, and let 20 directories "folderN" and links "linkN" change places for ever. */
static long swap_in_directory(char **word)
{
    struct sockaddr_un address = address_of(word[0]);
    char room[CMSG_SPACE(sizeof(int))] = {0}, data, folder[16], link[16];
    struct iovec byte = {.iov_base = &data, .iov_len = 1};
    struct msghdr message = message_in(&byte, room, sizeof room);
    int directory, client = socket(AF_UNIX, SOCK_STREAM, 0);

    if (connect(client, (void *)&address, sizeof address) < 0 || recvmsg(client, &message, 0) < 0)
        return -1;
    memcpy(&directory, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof directory);
    for (long done = 0;; done++) {
        for (int i = 0; i < 20; i++) {
            snprintf(folder, sizeof folder, "folder%d", i);
            snprintf(link, sizeof link, "link%d", i);
            if (renameat2(directory, folder, directory, link, RENAME_EXCHANGE) < 0 && !done)
                return -1;
        }
        if (!done)
            printf("swapping\n"), fflush(stdout);
        if (done % 2)
            usleep(50);
    }
}

const struct attack sockets[] = {
    {"give_directory", give_directory},
    {"swap_in_directory", swap_in_directory},
    {"families", families},
    {"families32", families_32},
    {"old_packet", old_packet},
    {"netlink", netlink},
    {"raw", raw},
    {"protocol", protocol},
    {"abstract", abstract},
    {"spoof", spoof},
    {"reach", reach},
    {"frame", send_frame},
    {NULL, NULL},
};
