/*
 * Copyright: (c) 2026, cellblock.jails contributors
 * GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * System calls that only the host's root should make, each with arguments that change nothing where they are let
 * through.
 */
#include "attack.h"
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/kexec.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/reboot.h>
#include <sys/fanotify.h>
#include <sys/quota.h>
#include <sys/syscall.h>
#include <sys/timex.h>

static long call_bpf(char **word)
{
    union bpf_attr map = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
    (void)word;
    return syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof map);
}

static long call_io_uring(char **word)
{
    struct io_uring_params parameters = {0};
    (void)word;
    return syscall(SYS_io_uring_setup, 1, &parameters);
}

static long call_userfaultfd(char **word)
{
    (void)word;
    return syscall(SYS_userfaultfd, 0);
}

static long call_perf(char **word)
{
    struct perf_event_attr event = {
        .type = PERF_TYPE_SOFTWARE, .size = sizeof event, .config = PERF_COUNT_SW_CPU_CLOCK};
    (void)word;
    return syscall(SYS_perf_event_open, &event, 0, -1, -1, 0);
}

static long call_add_key(char **word)
{
    (void)word;
    return syscall(SYS_add_key, "user", "breakout", "x", 1, KEY_SPEC_PROCESS_KEYRING);
}

static long call_keyctl(char **word)
{
    (void)word;
    return syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 1);
}

static long call_request_key(char **word)
{
    (void)word;
    return passed_if(syscall(SYS_request_key, "user", "breakout-none", NULL, 0), ENOKEY);
}

/* Be a caller with a key in its session keyring, and run the program word[0] with all words. */
static long with_key(char **word)
{
    if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 ||
        syscall(SYS_add_key, "user", "breakout-callers", "secret", 6, KEY_SPEC_SESSION_KEYRING) < 0)
        return -1;
    return execv(word[0], word);
}

/* Read that key. */
static long read_key(char **word)
{
    char text[16];
    long key = syscall(SYS_request_key, "user", "breakout-callers", NULL, 0);

    (void)word;
    return key < 0 ? key : syscall(SYS_keyctl, KEYCTL_READ, key, text, sizeof text);
}

static long call_init_module(char **word)
{
    (void)word;
    return passed_if(syscall(SYS_init_module, "none", 4, ""), ENOEXEC);
}

static long call_finit_module(char **word)
{
    (void)word;
    return passed_if(syscall(SYS_finit_module, -1, "", 0), EBADF);
}

static long call_delete_module(char **word)
{
    (void)word;
    return passed_if(syscall(SYS_delete_module, "breakout_none", O_NONBLOCK), ENOENT);
}

static long call_kexec(char **word)
{
    (void)word;
    return passed_if(syscall(SYS_kexec_load, 0L, 0L, NULL, 0x8000L), EINVAL);
}

/* With the word "really" for good: only for the first process of a pid namespace, which is then all that ends. */
static long call_reboot(char **word)
{
    long command = word[0] && !strcmp(word[0], "really") && getpid() == 1 ? LINUX_REBOOT_CMD_RESTART : 0x12345;
    return passed_if(syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, command, NULL), EINVAL);
}

/* Set the clock's tick to what it is. */
static long call_adjtimex(char **word)
{
    struct timex now = {0};
    (void)word;
    if (syscall(SYS_adjtimex, &now) < 0)
        return -1;
    now.modes = ADJ_TICK;
    return syscall(SYS_adjtimex, &now);
}

static long call_swapon(char **word)
{
    (void)word;
    return passed_if(syscall(SYS_swapon, "/breakout-none", 0), ENOENT);
}

static long call_acct(char **word)
{
    (void)word;
    return passed_if(syscall(SYS_acct, "/breakout-none"), ENOENT);
}

static long call_quotactl(char **word)
{
    char buffer[256];
    (void)word;
    return passed_if(syscall(SYS_quotactl, QCMD(Q_GETFMT, USRQUOTA), "/breakout-none", 0, buffer), ENOENT);
}

static long call_fanotify(char **word)
{
    (void)word;
    return syscall(SYS_fanotify_init, FAN_CLASS_CONTENT, 0);
}

static long call_syslog(char **word)
{
    (void)word;
    return syscall(SYS_syslog, 10, NULL, 0); /* SYSLOG_ACTION_SIZE_BUFFER */
}

static long call_hostname(char **word)
{
    char name[256] = "";
    (void)word;
    if (gethostname(name, sizeof name - 1) < 0)
        return -1;
    return sethostname(name, strlen(name));
}

const struct attack calls[] = {
    {"bpf", call_bpf},
    {"io_uring", call_io_uring},
    {"userfaultfd", call_userfaultfd},
    {"perf", call_perf},
    {"add_key", call_add_key},
    {"keyctl", call_keyctl},
    {"request_key", call_request_key},
    {"with_key", with_key},
    {"read_key", read_key},
    {"init_module", call_init_module},
    {"finit_module", call_finit_module},
    {"delete_module", call_delete_module},
    {"kexec", call_kexec},
    {"reboot", call_reboot},
    {"adjtimex", call_adjtimex},
    {"swapon", call_swapon},
    {"acct", call_acct},
    {"quotactl", call_quotactl},
    {"fanotify", call_fanotify},
    {"syslog", call_syslog},
    {"hostname", call_hostname},
    {NULL, NULL},
};
