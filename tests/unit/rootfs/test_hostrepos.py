# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which repositories a recipe means, and what the host's own package configuration says."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import recipes
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.methods import hostapk, rpmrepos
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.methods.rpmrepos import Source

FEDORA = """
[fedora]
name=Fedora $releasever - $basearch
#baseurl=http://download.example/pub/fedora/linux/releases/$releasever/Everything/$basearch/os/
metalink=https://mirrors.example/metalink?repo=fedora-$releasever&arch=$basearch
enabled=1
gpgcheck=1
gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-fedora-$releasever-$basearch
skip_if_unavailable=False

[fedora-source]
name=Fedora $releasever - Source
metalink=https://mirrors.example/metalink?repo=fedora-source-$releasever&arch=$basearch
enabled=0
gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-fedora-$releasever-$basearch
"""
OWN = "[own]\nbaseurl = https://own.example/a\n  https://own.example/b\ngpgkey = file:///k1, https://x/k2 file:///k3\n"


def test_alpines_names_and_whole_urls() -> None:
    recipe = recipes.parse(
        {
            "method": "apk",
            "release": "v3.22",
            "mirror": "https://mirror.example/alpine/",
            "repositories": ["main", "https://own.example/packages/"],
        }
    )
    assert hostapk.urls(recipe) == ["https://own.example/packages", "https://mirror.example/alpine/v3.22/main"]


def test_a_host_that_is_alpine_has_a_mirror(tmp_path: Path) -> None:
    file = tmp_path / "repositories"
    file.write_text(
        "#https://off.example/alpine/v3.22/main\n/media/cdrom/apks\n"
        "@edge https://mirror.example/alpine/edge/main\nhttps://other.example/alpine/v3.22/main\n"
    )
    assert hostapk.of_host(str(file)) == "https://mirror.example/alpine"


@pytest.mark.parametrize("text", ["", "/media/cdrom/apks\n", "https://u:p@mirror.example/alpine/v3.22/main\n"])
def test_a_host_without_a_mirror(tmp_path: Path, text: str) -> None:
    file = tmp_path / "repositories"
    file.write_text(text)
    with pytest.raises(JailError, match=r"^mirror: the host has no .* with a mirror that could be used; give mirror"):
        hostapk.of_host(str(file))
    with pytest.raises(JailError, match=r"^mirror: the host has no"):
        hostapk.of_host(str(tmp_path / "none"))


def test_a_host_that_is_fedora_has_repositories(tmp_path: Path) -> None:
    (tmp_path / "fedora.repo").write_text(FEDORA)
    (tmp_path / "own.repo").write_text(OWN)
    (tmp_path / "ignored.txt").write_text("[x]\nbaseurl=http://x\n")
    key = "/etc/pki/rpm-gpg/RPM-GPG-KEY-fedora-43-x86_64"
    url = "https://mirrors.example/metalink?repo=fedora-$releasever&arch=$basearch"
    assert rpmrepos.of_host("43", "x86_64", [], str(tmp_path)) == [
        Source("fedora", "metalink", url, [key]),
        Source("own", "baseurl", "https://own.example/a", ["/k1", "/k3"]),
    ]
    assert [source.keys for source in rpmrepos.of_host("43", "x86_64", ["/mine"], str(tmp_path))] == [["/mine"]] * 2


def test_a_host_without_repositories(tmp_path: Path) -> None:
    with pytest.raises(JailError, match=r"^repositories: the host has no repositories in .*; give repositories"):
        rpmrepos.of_host("43", "x86_64", [], str(tmp_path))


def test_a_host_whose_repository_names_no_key(tmp_path: Path) -> None:
    (tmp_path / "own.repo").write_text("[own]\nbaseurl=https://own.example/\ngpgcheck=0\n")
    with pytest.raises(JailError, match=r"^gpgkeys: the host's repository own names no key that is a file"):
        rpmrepos.of_host("43", "x86_64", [], str(tmp_path))


def test_each_repository_has_its_own_keys_or_the_common_ones() -> None:
    recipe = recipes.parse(
        {
            "method": "dnf",
            "release": "43",
            "packages": ["bash"],
            "repositories": [
                "https://one.example/os",
                {"name": "two", "baseurl": "https://two.example", "gpgkey": "/two"},
            ],
            "gpgkeys": ["/common"],
        }
    )
    assert [(source.name, list(source.keys)) for source in rpmrepos.sources(recipe)] == [
        ("one-example-os", ["/common"]),
        ("two", ["/two"]),
    ]


@given(st.lists(st.from_regex(r"(/[!-.0-~]{1,8}){1,3}", fullmatch=True), min_size=1))
def test_keys_have_harmless_names_of_their_own(keys: list[str]) -> None:
    names = rpmrepos.key_names([Source("one", "baseurl", "https://x", keys)])
    assert set(names) == set(keys)
    assert len(set(names.values())) == len(names)
    assert all(rpmrepos._ODD.search(name) is None and name.startswith("RPM-GPG-KEY") for name in names.values())


def test_a_section_is_what_dnf_reads() -> None:
    source = Source("own", "baseurl", "https://own.example/$basearch", ["/k"])
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(rpmrepos.section(source, ["file:///a", "file:///b"], signed_index=True))
    assert dict(parser["own"]) == {
        "name": "own",
        "baseurl": "https://own.example/$basearch",
        "enabled": "1",
        "gpgcheck": "1",
        "repo_gpgcheck": "1",
        "gpgkey": "file:///a file:///b",
    }


def test_a_key_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(JailError, match=r"^gpgkeys: the key .*/none cannot be read: No such file or directory"):
        rpmrepos.read_key(str(tmp_path / "none"))
