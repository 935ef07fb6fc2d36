# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's packet filter nf_tables in the language of nft(8), by libnftables(3), which is most of that program.

In our own process, for it takes a tenth of the time that a process for nft(8) does. All of it belongs to the network
namespace in which the calling thread is. To look at what is there costs as much as there is, all tables' sets included:
where that may be much, ask :mod:`nfnetlink`.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import json
import socket
from typing import Any

_LIBRARY = "libnftables.so.1"
_NETLINK_NETFILTER = 12  # linux/netlink.h
_OUTPUT_JSON = 1 << 4  # nftables/libnftables.h, NFT_CTX_OUTPUT_JSON


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
        ("nft_ctx_get_output_buffer", ctypes.c_char_p, [ctypes.c_void_p]),
        ("nft_ctx_get_error_buffer", ctypes.c_char_p, [ctypes.c_void_p]),
        ("nft_ctx_output_set_flags", None, [ctypes.c_void_p, ctypes.c_uint]),
        ("nft_run_cmd_from_buffer", ctypes.c_int, [ctypes.c_void_p, ctypes.c_char_p]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def run(script: str) -> str:
    """Carry out commands, all of them or none: one transaction. Gives what they print.

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
        library.nft_ctx_output_set_flags(context, _OUTPUT_JSON)
        if library.nft_run_cmd_from_buffer(context, script.encode()):
            said = " ".join(library.nft_ctx_get_error_buffer(context).decode(errors="replace").split())
            raise RefusedError(errno.ENOENT if "No such file or directory" in said else errno.EINVAL, said)
        return str(library.nft_ctx_get_output_buffer(context).decode(errors="replace"))
    finally:
        library.nft_ctx_free(context)


def show(what: str) -> list[dict[str, Any]] | None:
    """The objects that ``list WHAT`` gives (libnftables-json(5)); ``None`` when it is not there.

    :raises OSError: as :func:`run` does.
    """
    try:
        printed = run(f"list {what}")
    except RefusedError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    found: list[dict[str, Any]] = json.loads(printed)["nftables"] if printed else []
    return found
