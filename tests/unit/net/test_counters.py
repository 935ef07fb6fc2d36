# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of /proc/PID/net/dev."""

from __future__ import annotations

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.net import counters

_HEAD = (
    "Inter-|   Receive                                                |  Transmit\n"
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier "
    "compressed\n"
)


def test_each_column_is_what_it_is() -> None:
    numbers = " ".join(map(str, range(1, 17)))
    assert counters.parse(f"{_HEAD}    lo: {numbers}\n") == {
        "lo": {
            "received_bytes": 1,
            "received_packets": 2,
            "received_errors": 3,
            "received_dropped": 4,
            "sent_bytes": 9,
            "sent_packets": 10,
            "sent_errors": 11,
            "sent_dropped": 12,
        }
    }


@pytest.mark.parametrize("name", ["eth0", "a-name.of15-set", "\x1c", "\u2028", "|", "\ufffd\x01"])
def test_a_device_has_any_name(name: str) -> None:
    """That the kernel lets it have."""
    numbers = "18446744073709551615 " * 16
    found = counters.parse(f"{_HEAD}{name:>6}:{numbers}\n")
    assert list(found) == [name]
    assert set(found[name].values()) == {2**64 - 1}


def test_no_device_is_none() -> None:
    assert counters.parse(_HEAD) == {}


@pytest.mark.parametrize("line", ["eth0: 1 2 3", "eth0", "eth0: x" + " 1" * 15])
def test_what_is_no_such_file_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"(not a line of counters|invalid literal)"):
        counters.parse(f"{_HEAD}{line}\n")
