# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's packet filter nf_tables in the language of nft(8), by libnftables(3), which is most of that program.

In our own process, for it takes a tenth of the time that a process for nft(8) does. All of it belongs to the network
namespace in which the calling thread is. What is there is read by :mod:`nfnetlink`.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import socket

_LIBRARY = "libnftables.so.1"
_NETLINK_NETFILTER = 12  # linux/netlink.h


class RefusedError(OSError):
    """What the kernel or the parser has refused: ``errno`` is ENOENT where something is not there, else EINVAL; the
    text is the library's own, on one line."""


@functools.lru_cache(maxsize=1)
def load() -> ctypes.CDLL:
    """The library.

    :raises OSError: when it is not there.
    """
    library = ctypes.CDLL(_LIBRARY)
    for name, result, arguments in (
        ("nft_ctx_new", ctypes.c_void_p, [ctypes.c_uint32]),
        ("nft_ctx_free", None, [ctypes.c_void_p]),
        ("nft_ctx_buffer_output", ctypes.c_int, [ctypes.c_void_p]),
        ("nft_ctx_buffer_error", ctypes.c_int, [ctypes.c_void_p]),
        ("nft_ctx_get_error_buffer", ctypes.c_char_p, [ctypes.c_void_p]),
        ("nft_run_cmd_from_buffer", ctypes.c_int, [ctypes.c_void_p, ctypes.c_char_p]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def run(script: str) -> None:
    """Carry out commands that change something, all of them or none: one transaction.

    :raises RefusedError: what was refused.
    :raises OSError: when the library is not there, or the kernel has no netfilter.
    """
    library = load()
    # Where it cannot have such a socket the library ends the process.
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER).close()
    context = ctypes.c_void_p(library.nft_ctx_new(0))
    if not context:
        raise OSError(errno.ENOMEM, "libnftables gives no context")
    try:
        library.nft_ctx_buffer_output(context)
        library.nft_ctx_buffer_error(context)
        if library.nft_run_cmd_from_buffer(context, script.encode()):
            said = " ".join(library.nft_ctx_get_error_buffer(context).decode(errors="replace").split())
            raise RefusedError(errno.ENOENT if "No such file or directory" in said else errno.EINVAL, said)
    finally:
        library.nft_ctx_free(context)
