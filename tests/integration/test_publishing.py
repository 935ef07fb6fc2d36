# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Published ports by way of the modules: live, over stops and starts, refused, taken away."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.net import sysctl
from ansible_collections.cellblock.jails.tests.integration.support import sandbox
from ansible_collections.cellblock.jails.tests.integration.support.boxes import fresh_name, make_boxes
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    actions,
    attempt,
    jail,
    module,
    options_changed,
    refused,
)

_ETH0: dict[str, Any] = {"name": "eth0", "bridge": "br-pub", "addresses": ["10.86.0.2/24"], "gateway": "10.86.0.1"}
_WEB = {"host_port": "8080", "jail_port": "80"}
_SERVE = ["sh", "-c", "mkdir -p /www; echo hello >/www/index.html; exec httpd -f -h /www"]


@pytest.fixture
def other(box: str) -> Iterator[str]:
    """Another jail, beside the first."""
    assert box
    name = fresh_name()
    make_boxes([name])
    yield name
    attempt("jail_state", name=[name], state="absent")


def _tables() -> str:
    return subprocess.run(["nft", "list", "ruleset"], check=True, capture_output=True, text=True).stdout


def _listed(name: str) -> str:
    done = subprocess.run(["nft", "list", "map", "inet", "jails", name], check=True, capture_output=True, text=True)
    return done.stdout


def _page(port: int) -> str | None:
    """What is served at a port of the host's loopback, within a second or two."""
    for _try in range(20):
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1) as answer:
            return str(answer.read().decode())
        time.sleep(0.1)
    return None


def _is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


def _shown(name: str) -> Any:
    return module("jail_info", name=[name], gather=["net"])["jails"][name]["net"]["publish"]


def test_live_and_over_stop_and_start(box: str) -> None:
    module("jail_state", name=[box], state="restarted", command=_SERVE)
    module("jail_net", name=box, interfaces=[_ETH0])
    assert _is_refused(8080)
    wish: dict[str, Any] = {"name": box, "publish": [_WEB]}
    assert options_changed(module("jail_net", **wish, check=True), box) == [("publish", "live")]
    assert _is_refused(8080)
    result = module("jail_net", **wish)
    ((_option, before, after, how),) = actions(result, box)
    assert (before, how) == ([], "live")
    assert [(each["host_port"], each["jail_port"]) for each in after] == [("8080", "80")]
    assert _page(8080) == "hello\n"
    assert box in _listed("published4")
    assert _shown(box) == after
    assert not module("jail_net", **wish)["changed"]

    module("jail_state", name=[box], state="stopped")
    assert _is_refused(8080)
    assert box not in _listed("published4")
    assert _shown(box) == after
    module("jail_state", name=[box], state="started")
    assert not module("jail_net", **wish)["changed"]
    assert _page(8080) == "hello\n"

    module("jail_net", name=box, publish=[{**_WEB, "host_port": "8081"}])
    assert _is_refused(8080)
    assert _page(8081) == "hello\n"
    module("jail_net", name=box, publish=[])
    assert _is_refused(8081)
    assert "published" not in _tables()


def test_it_follows_the_jails_address(box: str) -> None:
    module("jail_state", name=[box], state="restarted", command=_SERVE)
    module("jail_net", name=box, interfaces=[_ETH0], publish=[_WEB])
    assert _page(8080) == "hello\n"
    moved = {**_ETH0, "addresses": ["10.86.0.7/24"]}
    result = module("jail_net", name=box, interfaces=[moved])
    assert options_changed(result, box) == [("interfaces", "live")]
    assert _page(8080) == "hello\n"
    assert not module("jail_net", name=box, interfaces=[moved], publish=[_WEB])["changed"]


def test_a_first_process_reaches_what_is_published(box: str) -> None:
    """Forwards are there before it is."""
    module("jail_net", name=box, interfaces=[_ETH0], publish=[_WEB])
    asks = (
        "httpd -h /etc; printf 'GET /hosts HTTP/1.0\\r\\n\\r\\n' | nc 10.86.0.1 8080 >/heard; "
        "echo end >>/heard; sleep 1000"
    )
    module("jail_state", name=[box], state="restarted", command=["sh", "-c", asks])
    heard = ""
    for _try in range(50):
        done = jail("exec", box, "--", "cat", "/heard")
        heard = done.stdout.decode()
        if heard.endswith("end\n"):
            break
        time.sleep(0.1)
    assert "200 OK" in heard
    assert box in heard


@pytest.mark.parametrize("command", ["flush ruleset", "flush table inet jails", "delete map inet jails published4"])
def test_what_was_flushed_is_seen_and_repaired(box: str, command: str) -> None:
    module("jail_state", name=[box], state="restarted", command=_SERVE)
    module("jail_net", name=box, interfaces=[_ETH0], publish=[_WEB])
    if command.startswith("delete"):
        for chain in ("published_in", "published_out"):
            subprocess.run(["nft", "flush", "chain", "inet", "jails", chain], check=True)
    subprocess.run(["nft", *command.split()], check=True)
    result = module("jail_net", name=box, interfaces=[_ETH0], publish=[_WEB])
    assert ("publish", "live") in options_changed(result, box)
    assert _page(8080) == "hello\n"
    assert not module("jail_net", name=box, interfaces=[_ETH0], publish=[_WEB])["changed"]


def test_a_jail_that_is_removed_leaves_nothing(box: str) -> None:
    module("jail_net", name=box, interfaces=[_ETH0], publish=[_WEB, {"host_port": "5000-5100", "protocol": "udp"}])
    assert sysctl.read("net/ipv4/ip_forward") == "1"
    module("jail_state", name=[box], state="absent")
    assert "jails" not in _tables()
    assert sandbox.devices() == []
    assert sysctl.read("net/ipv4/ip_forward") == "0"


def test_of_a_stopped_jail_it_is_recorded(box: str) -> None:
    module("jail_state", name=[box], state="stopped")
    result = module("jail_net", name=box, interfaces=[_ETH0], publish=[_WEB])
    assert ("publish", "record") in options_changed(result, box)
    assert "published" not in _tables()


def test_two_jails_that_publish_one_port_are_refused(box: str, other: str) -> None:
    module("jail_net", name=box, interfaces=[_ETH0], publish=[_WEB])
    before = _tables()
    second: dict[str, Any] = {"name": other, "interfaces": [{**_ETH0, "addresses": ["10.86.0.3/24"]}]}
    for entry in (_WEB, {"host_port": "8000-9000"}, {**_WEB, "host_address": "192.0.2.1"}):
        message = refused("jail_net", **second, publish=[entry])
        assert f"jails {' and '.join(sorted((box, other)))} both publish tcp port 8080" in message
    assert _tables() == before
    module("jail_net", **second, publish=[{**_WEB, "protocol": "udp"}])


@contextlib.contextmanager
def _host_listens(kind: socket.SocketKind, address: str = "127.0.0.1") -> Iterator[None]:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind) as end:
        end.bind((address, 8080))
        if kind is socket.SOCK_STREAM:
            end.listen()
        yield


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::"])
def test_a_port_that_the_host_uses_is_refused_with_who_does(box: str, protocol: str, address: str) -> None:
    kind = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}[protocol]
    wish: dict[str, Any] = {"name": box, "interfaces": [_ETH0], "publish": [{**_WEB, "protocol": protocol}]}
    with _host_listens(kind, address):
        for check in (True, False):
            message = refused("jail_net", check=check, **wish)
            assert f"{protocol} port 8080 is taken: " in message
            assert f"(pid {os.getpid()}) of the host listens at {address} port 8080" in message
        assert "jails" not in _tables()
        module("jail_net", **{**wish, "publish": [{**_WEB, "host_port": "8079", "protocol": protocol}]})
    module("jail_net", **wish)


def test_a_start_is_refused_where_the_host_uses_the_port_by_now(box: str) -> None:
    module("jail_net", name=box, interfaces=[_ETH0], publish=[_WEB])
    module("jail_state", name=[box], state="stopped")
    with _host_listens(socket.SOCK_STREAM):
        # What is recorded is left as it is, by a second run too.
        assert not module("jail_net", name=box, publish=[_WEB])["changed"]
        assert "tcp port 8080 is taken" in refused("jail_state", name=[box], state="started")
    module("jail_state", name=[box], state="started")


def test_what_leads_nowhere_is_refused(box: str) -> None:
    assert "leads nowhere: the jail has no address" in refused("jail_net", name=box, publish=[_WEB])
    module("jail_net", name=box, interfaces=[_ETH0], publish=[_WEB])
    by_ipv6 = [{**_WEB, "host_address": "::"}]
    assert "leads nowhere: the jail has no IPv6 address" in refused("jail_net", name=box, publish=by_ipv6)
    assert "publish: tcp port 8080 leads nowhere" in refused("jail_net", name=box, interfaces=[])
    message = refused("jail_net", name=box, publish=[{"host_port": "8000-8010", "jail_port": "80-81"}])
    assert "publish: host_port 8000-8010 are 11 ports and jail_port 80-81 are 2" in message
