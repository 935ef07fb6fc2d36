# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recipes and keys: the same wish gives the same template, another one another; nothing odd reaches a command line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import recipes

Options = dict[str, Any]
SUM = {"checksum": "sha256:" + "0" * 64}
SAFE_FILE_NAME = re.compile(r"[a-z][a-z0-9.+~-]*")

suites = st.from_regex(r"[a-z][a-z0-9.+~-]{0,15}", fullmatch=True)
packages = st.from_regex(r"[a-z0-9][a-z0-9+.-]{1,15}", fullmatch=True)
groups = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,31}", fullmatch=True)
mirrors = st.sampled_from(
    ["http://mirror.example/debian", "https://archive.example:8080/d/", "http://[fd00::1]/debian", "file:///srv/mirror"]
)
debootstraps = st.fixed_dictionaries(
    {"method": st.just("debootstrap"), "suite": suites},
    optional={
        "mirror": mirrors,
        "components": st.lists(st.sampled_from(["main", "contrib", "non-free"]), min_size=1),
        "variant": st.sampled_from(recipes.VARIANTS),
        "packages": st.lists(packages),
        "keyring": st.just("/usr/share/keyrings/archive.gpg"),
        "arch": st.sampled_from(["amd64", "arm64"]),
        "trust_group": groups,
    },
)
skeletons = st.fixed_dictionaries(
    {"method": st.just("skeleton")},
    optional={
        "binaries": st.lists(st.sampled_from(["busybox", "/bin/sh", "/usr/sbin/nginx", "["])),
        "trust_group": groups,
    },
)
checksums = st.one_of(
    st.from_regex(r"sha256:[0-9a-fA-F]{64}", fullmatch=True), st.from_regex(r"SHA512:[0-9a-f]{128}", fullmatch=True)
)
places = st.sampled_from([{"path": "/srv/root.tar"}, {"url": "https://images.example/root.tar.xz?size=1&name=a@b"}, {}])
archives = st.builds(
    lambda place, options: {"method": "archive", **place, **options},
    places,
    st.fixed_dictionaries({"checksum": checksums}, optional={"trust_group": groups}),
)
wishes = st.one_of(archives, debootstraps, skeletons)
anything = st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.lists(st.text()), st.binary())


@given(wishes)
def test_key_is_a_safe_file_name_and_the_recipe_survives_json(options: Options) -> None:
    recipe = recipes.parse(options)
    key = recipes.key(recipe)
    assert SAFE_FILE_NAME.fullmatch(key)
    assert key.startswith(options["method"])
    assert recipes.key(json.loads(json.dumps(recipe))) == key


@given(wishes, st.randoms(use_true_random=False))
def test_order_repetition_and_defaults_do_not_matter(options: Options, random: Random) -> None:
    other = dict(options)
    for name, value in options.items():
        if isinstance(value, list):
            again = value + value
            random.shuffle(again)
            other[name] = again
    other.setdefault("trust_group", None)
    assert recipes.parse(other) == recipes.parse(options)


@given(wishes, wishes)
def test_keys_differ_exactly_when_recipes_do(one: Options, other: Options) -> None:
    first, second = recipes.parse(one), recipes.parse(other)
    content = [{**recipe, "path": None, "url": None} for recipe in (first, second)]
    assert (recipes.key(first) == recipes.key(second)) == (content[0] == content[1])


@given(archives, places)
def test_an_archive_is_the_same_wherever_it_lies(options: Options, place: Options) -> None:
    elsewhere = {"method": "archive", **place, "checksum": options["checksum"].upper()}
    if "trust_group" in options:
        elsewhere["trust_group"] = options["trust_group"]
    assert recipes.key(recipes.parse(elsewhere)) == recipes.key(recipes.parse(options))


@given(wishes, groups, groups)
def test_trust_groups_share_nothing(options: Options, one: str, other: str) -> None:
    assume(one != other)
    keys = {recipes.key(recipes.parse({**options, "trust_group": group})) for group in (one, other)}
    assert len(keys) == 2


@given(
    st.dictionaries(
        st.sampled_from(
            [*recipes.parse({"method": "skeleton"}), "suite", "mirror", "packages", "path", "url", "checksum"]
        ),
        anything,
    )
)
def test_bad_input_is_a_sentence_that_names_the_option(options: Options) -> None:
    said = "fine: it was accepted"
    try:
        recipes.parse(options)
    except ValueError as error:
        said = str(error)
    assert re.match(r"[a-z_]+: \S", said)


def strings_of(recipe: recipes.Recipe) -> Iterator[str]:
    for value in recipe.values():
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            yield from value


@given(debootstraps, st.sampled_from(["suite", "mirror", "packages", "components", "keyring", "arch"]), st.text())
def test_what_is_accepted_can_stand_on_a_command_line(options: Options, name: str, text: str) -> None:
    value = [text] if name in ("packages", "components") else text
    try:
        recipe = recipes.parse({**options, name: value})
    except ValueError:
        return
    for string in strings_of(recipe):
        assert not string.startswith("-")
        assert not re.search(r"[\x00-\x20\x7f-\U0010ffff$`'\"\\;|&<>*?]", string)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "method: must be one of apk, archive, debootstrap, dnf, skeleton"),
        ({"method": "rpm"}, "method: must be one of apk, archive, debootstrap, dnf, skeleton, not 'rpm'"),
        ({"method": ["debootstrap"]}, "method: must be one of"),
        ({"method": "debootstrap"}, "suite: method debootstrap needs one, such as bookworm"),
        ({"method": "debootstrap", "suite": "bookworm\n"}, "suite: 'bookworm\\n' is not a suite"),
        ({"method": "debootstrap", "suite": "../x"}, "suite: '../x' is not a suite"),
        ({"method": "debootstrap", "suite": "--help"}, "suite: '--help' is not a suite"),
        ({"method": "debootstrap", "suite": "sid", "packages": ["-x"]}, "packages: '-x' is not a package name"),
        ({"method": "debootstrap", "suite": "sid", "packages": ["a,b"]}, "packages: 'a,b' is not a package name"),
        ({"method": "debootstrap", "suite": "sid", "packages": "nginx"}, "packages: 'nginx' is not a list"),
        ({"method": "debootstrap", "suite": "sid", "packages": [None]}, "packages: an item of the list is empty"),
        ({"method": "debootstrap", "suite": "sid", "components": []}, "components: the list is empty"),
        ({"method": "debootstrap", "suite": "sid", "variant": "fakechroot"}, "variant: must be one of minbase"),
        ({"method": "debootstrap", "suite": "sid", "mirror": "ftp://x/y"}, "mirror: 'ftp://x/y' is not a mirror"),
        ({"method": "debootstrap", "suite": "sid", "mirror": "http://u:p@x/y"}, "without user or password"),
        ({"method": "debootstrap", "suite": "sid", "mirror": "http://x/\ndeb evil"}, "is not a mirror"),
        ({"method": "debootstrap", "suite": "sid", "keyring": "x.gpg"}, "keyring: 'x.gpg' is not an absolute path"),
        ({"method": "debootstrap", "suite": "sid", "keyring": "/a/../b"}, "which is /b"),
        (
            {"method": "debootstrap", "suite": "sid", "binaries": ["sh"]},
            "binaries: means nothing to method debootstrap",
        ),
        ({"method": "skeleton", "suite": "sid"}, "suite: means nothing to method skeleton, leave it out"),
        ({"method": "skeleton", "binaries": ["bin/sh"]}, "binaries: 'bin/sh' is not a program's name or absolute path"),
        ({"method": "skeleton", "binaries": ["/bin/../sh"]}, "which is /sh"),
        ({"method": "skeleton", "binaries": ["//bin/sh"]}, "is not an absolute path"),
        ({"method": "archive", "path": "/x"}, "checksum: method archive needs one with url"),
        ({"method": "archive", "path": "x", **SUM}, "path: 'x' is not an absolute path"),
        ({"method": "archive", "path": "/x", "url": "http://x/", **SUM}, "url: path says already where the archive is"),
        ({"method": "archive", "url": "ftp://x/", **SUM}, "url: 'ftp://x/' is not a URL"),
        ({"method": "archive", "url": "file:///etc/passwd", **SUM}, "is not a URL"),
        ({"method": "archive", "url": "http://me:secret@x/", **SUM}, "without user or password"),
        ({"method": "archive", "url": "http://x/ HTTP/1.0\r\nX: y", **SUM}, "is not a URL"),
        ({"method": "archive", "url": "http://x/", "checksum": "md5:" + "0" * 32}, "checksum: 'md5:"),
        ({"method": "archive", "url": "http://x/", "checksum": "sha256:" + "0" * 63}, "is not a checksum"),
        ({"method": "archive", "url": "http://x/", "checksum": "sha256:" + "g" * 64}, "is not a checksum"),
        ({"method": "archive", "url": "http://x/", "checksum": "0" * 64}, "is not a checksum"),
        ({"method": "archive", "suite": "sid", **SUM}, "suite: means nothing to method archive"),
        ({"method": "skeleton", "trust_group": ""}, "trust_group: '' is not a name"),
        (
            {"method": "debootstrap", "suite": "sid", "packages": ["vim"], "exclude": ["vim"]},
            "exclude: vim is in packages too",
        ),
    ],
)
def test_messages(options: Options, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        recipes.parse(options)


def test_a_mirror_with_and_without_a_slash_is_one() -> None:
    keys = {
        recipes.key(recipes.parse({"method": "debootstrap", "suite": "sid", "mirror": mirror}))
        for mirror in ("http://mirror.example/debian", "http://mirror.example/debian/")
    }
    assert len(keys) == 1


def test_the_key_of_a_released_recipe_stays() -> None:
    """A key that changes makes every host build every template again: raise the method's version when that is meant."""
    recipe = recipes.parse({"method": "debootstrap", "suite": "bookworm", "packages": ["nginx-light"]})
    assert recipes.key(recipe) == "debootstrap-bookworm-d2d5d5a74991c333"
