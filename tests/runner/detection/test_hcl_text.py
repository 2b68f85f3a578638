from __future__ import annotations

from runner.detection.hcl_text import hcl_string


def test_nothing_in_a_value_is_code() -> None:
    assert hcl_string('a"b\\c\n') == '"a\\"b\\\\c\\n"'
    assert hcl_string("${x}%{y}$$%%") == '"\\u0024{x}\\u0025{y}$$%%"'
