import json

import pytest

from backend.documents import marked

STATE = {
    "outputs": {
        "password": {"value": "correct-horse", "sensitive": True},
        "nested": {"value": {"a": ["battery-staple", 7, "on"]}, "sensitive": True},
        "open": {"value": "everybody-knows", "sensitive": False},
    },
    "resources": [
        {
            "instances": [
                {
                    "attributes": {"user": "administrator", "login": {"key": ["one-time-key"]}},
                    "sensitive_attributes": [
                        [
                            {"type": "get_attr", "value": "login"},
                            {"type": "get_attr", "value": "key"},
                            {"type": "index", "value": {"value": 0, "type": "number"}},
                        ],
                        [{"type": "get_attr", "value": "missing"}],
                    ],
                }
            ]
        }
    ],
}


def test_what_a_state_marks_is_known_and_nothing_else() -> None:
    found = marked.values(json.dumps(STATE).encode())

    assert found == {"correct-horse", "battery-staple", "one-time-key"}


def test_a_state_with_many_secrets_gives_so_many_at_most() -> None:
    many = {str(n): {"value": f"secret-{n:06}", "sensitive": True} for n in range(marked.MOST + 9)}

    assert len(marked.values(json.dumps({"outputs": many}).encode())) == marked.MOST


@pytest.mark.parametrize(
    "document",
    [b"", b"[]", b"{", b'{"outputs": 1, "resources": [1, {"instances": 2}]}', b"\xff"],
)
def test_what_is_no_state_has_no_secrets(document: bytes) -> None:
    assert marked.values(document) == frozenset()
