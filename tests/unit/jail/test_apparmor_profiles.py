# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The AppArmor profile of a jail: what it says for which options, and that the compiler takes it."""

from __future__ import annotations

import itertools
import re
import shutil
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.jail import policy
from ansible_collections.cellblock.jails.plugins.module_utils.jail import state as facet
from ansible_collections.cellblock.jails.plugins.module_utils.jail.isolation import (
    apparmor_profile,
    labels,
    options,
    settled,
)
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import apparmor_parser

NAME = "cellblock-jail.web1"


@pytest.fixture(autouse=True, scope="module")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(layout, "LOCKS", str(tmp_path_factory.mktemp("locks")))
        yield


def profile(**said: Any) -> str:
    """The profile of a jail with these options, as a user writes them."""
    values = options.desired({**facet._parse_each(said, {}), "userns": "auto"})
    return apparmor_profile.text(NAME, settled.settle(values), values)


def rules(text: str) -> list[str]:
    """The lines within."""
    return [line.strip() for line in text.splitlines()[1:-1]]


def test_a_default_jail() -> None:
    """Exactly the capabilities of the baseline, four families, nothing mounted, signals and tracing within."""
    found = rules(profile())
    named = {rule.split()[1].rstrip(",").upper() for rule in found if rule.startswith("capability ")}
    assert named == set(policy.CAPABILITIES)
    assert [rule for rule in found if rule.startswith("network")] == [
        f"network {family}," for family in ("unix", "inet", "inet6", "netlink")
    ]
    assert not [rule for rule in found if "mount," in rule]
    for rule in found:
        if rule.startswith(("signal", "ptrace")):
            assert f"peer={NAME}," in rule or rule in (
                "signal (receive) peer=unconfined,",
                "ptrace (tracedby, readby) peer=unconfined,",
            )
    assert 'deny "/proc/kcore" wklx,' in found
    assert not [rule for rule in found if "mountinfo" in rule]


@pytest.mark.parametrize(
    ("said", "more"),
    [
        ({"allow_raw_sockets": True}, {"capability net_raw,"}),
        ({"allow_mount": True}, {"capability sys_admin,", "mount,", "remount,", "umount,"}),
        ({"masked_paths": {"add": ["/a"]}}, {'deny "/a" wklx,', 'deny "/a/**" wklx,'}),
        ({"readonly_paths": {"add": ["/a"]}}, {'deny "/a/**" wkl,'}),
        (
            {"enforce_statfs": 2},
            {
                f"deny /proc/{{,[0-9]*/,[0-9]*/task/[0-9]*/}}{table} r,"
                for table in ("mounts", "mountinfo", "mountstats")
            },
        ),
    ],
)
def test_what_an_option_adds(said: dict[str, Any], more: set[str]) -> None:
    """And nothing else."""
    assert set(rules(profile(**said))) - set(rules(profile())) == more
    assert set(rules(profile())) <= set(rules(profile(**said)))


def test_children() -> None:
    """Root of a child has all capabilities where it is, so this part of the kernel cannot keep any from it; what is not
    written stays, for children too."""
    found, plain = set(rules(profile(children_max=1))), set(rules(profile()))
    assert found - plain == {"capability,", "mount,", "remount,", "umount,", "pivot_root,"}
    assert plain - found == {rule for rule in plain if rule.startswith("capability ")}


def test_all_families() -> None:
    """One rule for all in the place of four."""
    found = rules(profile(allow_socket_af=True))
    assert [rule for rule in found if rule.startswith("network")] == ["network,"]


def _matches(pattern: str, path: str) -> bool:
    """Whether a path is one of a pattern's (apparmor.d(5), "Globbing"), for what our patterns have."""
    expression = re.escape(pattern)
    for ours, regular in (
        (r"\{,\*\*\}", "(?:|.*)"),
        (r"\*\*", ".*"),
        (r"\[\^/\]", "[^/]"),
    ):
        expression = expression.replace(ours, regular)
    expression = re.sub(r"\\\[\\\^([a-z]+)\\\]", r"[^\1]", expression)
    return re.fullmatch(expression, path) is not None


def test_all_sysctls_but_those_of_the_network() -> None:
    """Every path below /proc/sys is one that cannot be written, but for /proc/sys/net and what is below it."""
    denied = [rule.split('"')[1] for rule in rules(profile()) if rule.startswith('deny "/proc/sys/')]
    assert denied
    letters = [""] + ["".join(word) for size in (1, 2, 3, 4) for word in itertools.product("netsx/", repeat=size)]
    for word in filter(None, letters):
        if "//" in word or word.startswith("/") or word.endswith("/"):
            continue
        inside = word == "net" or word.startswith("net/")
        assert any(_matches(pattern, f"/proc/sys/{word}") for pattern in denied) is not inside, word


def test_a_path_is_no_pattern() -> None:
    """What means something to AppArmor stands for itself in a path."""
    found = rules(profile(masked_paths={"add": ['/a*b?[c]{d}"e\\@']}))
    assert r'deny "/a\*b\?\[c\]\{d\}\"e\\\@" wklx,' in found


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"allow_mount": True, "allow_socket_af": True, "enforce_statfs": 2},
        {"masked_paths": {"add": ['/a*b?[c]{d}"e\\@', "/with space", "/ünicode"]}, "securelevel": 3},
        {"capabilities": {"drop": ["ALL"]}},
        {"capabilities": {"add": ["SYS_PTRACE", "NET_ADMIN", "BPF", "PERFMON", "CHECKPOINT_RESTORE"]}},
    ],
)
def test_the_compiler_takes_it(said: dict[str, Any]) -> None:
    """Into something that is larger than nothing; and it does not take what is no profile (the control)."""
    if shutil.which("apparmor_parser", path="/usr/sbin:/sbin") is None:
        pytest.skip("apparmor_parser is not installed")
    assert len(apparmor_parser.compile_profile(profile(**said))) > 1000
    with pytest.raises(OSError, match="apparmor_parser: "):
        apparmor_parser.compile_profile(profile(**said).replace("file,", "files"))


def test_without_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the package."""
    monkeypatch.setattr(apparmor_parser, "_PARSER", "no-such-program")
    with pytest.raises(OSError, match="in the package apparmor"):
        apparmor_parser.compile_profile(profile())


@pytest.mark.parametrize("value", ["", "a b", "a\n", "x" * 200, "p{}", 'a"b'])
def test_what_is_no_name_of_a_profile(value: str) -> None:
    """Nothing that would mean something to the compiler or the kernel."""
    with pytest.raises(JailError, match="apparmor_profile: "):
        facet._parse_each({"apparmor_profile": value}, {})


@pytest.mark.parametrize(
    ("live", "settled_labels", "holds"),
    [
        ({}, {}, True),
        ({"apparmor": "unconfined"}, {}, True),
        ({"apparmor": f"{NAME} (enforce)"}, {"apparmor": NAME}, True),
        ({"apparmor": f"{NAME} (complain)"}, {"apparmor": NAME}, False),
        ({"apparmor": "unconfined"}, {"apparmor": NAME}, False),
        ({}, {"apparmor": NAME}, False),
        ({"apparmor": "other (complain)"}, {"apparmor": "other"}, True),
        ({"selinux": "a:b:c"}, {"selinux": "a:b:c"}, True),
        ({"selinux": "a:b:d"}, {"selinux": "a:b:c"}, False),
    ],
)
def test_which_labels_hold(live: dict[str, str], settled_labels: dict[str, str], holds: bool) -> None:
    """The same name, enforced where the profile is ours."""
    assert labels.hold(live, settled_labels) is holds
