# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is of other jails costs one jail nothing: the filter is asked about that jail alone."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.kernel import nfnetlink, nftables
from ansible_collections.cellblock.jails.tests.integration.support.wiring import FULL, Jail, converge, read, run


class _Counting(socket.socket):
    """Counts what comes from netfilter."""

    bytes_received = 0

    def recv(self, size: int, flags: int = 0) -> bytes:
        data = super().recv(size, flags)
        if self.family == socket.AF_NETLINK and self.proto == 12:
            _Counting.bytes_received += len(data)
        return data


def _others(start: Callable[..., Jail], number: int) -> None:
    for slot in range(2, 2 + number):
        addresses = [f"10.77.1.{slot}/24", f"fd77::1:{slot}/64"]
        converge(start(f"other{slot}", slot), {**FULL, "addresses": addresses, "gateway": None, "isolate": True})


def test_a_jail_is_read_without_the_others(start: Callable[..., Jail], monkeypatch: pytest.MonkeyPatch) -> None:
    jail = start()
    wanted = converge(jail, {**FULL, "isolate": True})
    amounts = []
    with monkeypatch.context() as patched:
        patched.setattr(socket, "socket", _Counting)
        for _time in range(2):
            before = _Counting.bytes_received
            assert read(jail) == wanted
            amounts.append(_Counting.bytes_received - before)
            # Ten others, and what one of them had the kernel enter.
            _others(start, 10)
            many = ", ".join(f"10.77.{high}.{low} . 192.0.2.1" for high in range(32) for low in range(256))
            nftables.run(f"add element inet jails met4 {{ {many} }}")
    assert amounts[0] == amounts[1] > 0


def test_single_things_are_found_as_nft_has_them() -> None:
    run("nft add table inet other")
    run("nft add set inet other some '{ type ipv4_addr; }'")
    run("nft add chain inet other hooked '{ type filter hook forward priority 0; policy drop; }'")
    run("nft add chain inet other called")
    run("nft add map inet other where '{ type ipv4_addr : verdict; }'")
    run("nft add rule inet other hooked ct state new drop comment '\"one\"'")
    run("nft add rule inet other hooked accept")
    many = ", ".join(f'10.0.{high}.{low} comment "c{high}-{low}"' for high in range(8) for low in range(250))
    nftables.run(f"add element inet other some {{ {many} }}")
    run("nft add element inet other where '{ 10.0.0.1 comment \"web1\" : jump called }'")
    with nfnetlink.Reader() as reader:
        assert [reader.has_table(f"{family} other") for family in ("inet", "netdev")] == [True, False]
        found = reader.chains("inet other", ["hooked", "called", "missing"])
        assert found == {"hooked": nfnetlink.Chain("forward", "drop"), "called": nfnetlink.Chain("", "")}
        assert reader.chain_names("inet other") == ["hooked", "called"]
        assert reader.sets("inet other", ["some", "where", "missing"]) == {"some", "where"}
        assert reader.comments("inet other", "hooked") == reader.all_comments("inet other") == ["one", ""]
        assert reader.comments("inet other", "missing") == reader.comments("inet missing", "hooked") == []
        asked = [("some", socket.inet_aton(f"10.0.{high}.{low}")) for high in range(9) for low in range(250)]
        answers = reader.elements("inet other", asked)
        assert [answer and answer.comment for answer in answers] == [
            f"c{high}-{low}" if high < 8 else None for high in range(9) for low in range(250)
        ]
        assert reader.elements("inet other", [("missing", b"1234")]) == [None]
        key = socket.inet_aton("10.0.0.1")
        assert reader.all_elements("inet other", "where") == {key: nfnetlink.Element("web1", "called", last=key)}
        assert len(reader.all_elements("inet other", "some")) == 2000
        assert reader.all_elements("inet other", "missing") == {}
        # A question that is wrong is told, and the next is answered.
        with pytest.raises(OSError, match="looking at nf_tables"):
            reader.elements("inet other", [("some", struct.pack("=Q", 1))] * 3)
        assert reader.elements("inet other", [("where", key)]) == [nfnetlink.Element("web1", "called", last=key)]
