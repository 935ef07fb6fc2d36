# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics come back from a parser as they went into the text, whatever is in them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics import parser

from ansible_collections.cellblock.jails.plugins.module_utils import openmetrics
from ansible_collections.cellblock.jails.plugins.module_utils.openmetrics import Family, Sample

_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=20)
_VALUES = st.one_of(st.integers(0, 1 << 62), st.floats(0, 1e300), st.just(float("inf")))


@given(
    st.dictionaries(_TEXT, _VALUES, max_size=5),
    st.text('ab \\"\n', max_size=9).map("x{}x".format),
    st.sampled_from(["counter", "gauge"]),
)
def test_what_is_written_is_read(values: dict[str, float], text: str, kind: str) -> None:
    """Labels with quotes, backslashes and line ends, large and small numbers; the type, unit and help."""
    family = Family(
        "jail_x_seconds", kind, "seconds", text, [Sample({"jail": key}, each) for key, each in values.items()]
    )
    (found,) = parser.text_string_to_metric_families(openmetrics.text([family]))
    assert (found.name, found.type, found.unit) == ("jail_x_seconds", kind, "seconds")
    assert found.documentation == text
    assert {sample.labels["jail"]: sample.value for sample in found.samples} == values


def test_no_family_is_a_whole_text_too() -> None:
    """It ends as it has to."""
    assert openmetrics.text([]) == "# EOF\n"
    assert list(parser.text_string_to_metric_families("# EOF\n")) == []
