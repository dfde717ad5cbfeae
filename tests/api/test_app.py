"""The REST application: a body that is no JSON, or not ours, is refused without an echo, never a failure."""

import httpx
import pytest

from api.app import build

pytestmark = pytest.mark.security


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"subject": NaN}', 422),
        (b'{"subject": "canary", "x": Infinity}', 422),
        (b'{"subject": "\\ud800"}', 400),
        (b'{"subject": "canary", "\\ud800": 1}', 400),
        (b'{"subject": "can ary"}', 422),
        (b"canary", 400),
        (b"\xff\xfe", 400),
        (b"[" * 100_000, 400),
        (b'{"subject": ' + b"9" * 5_000 + b"}", 400),
    ],
)
async def test_it_is_a_refusal_that_repeats_nothing(body, status):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(build()), base_url="http://test") as client:
        answer = await client.post(
            "/v1/subjects:delete", content=body, headers={"content-type": "application/json"}
        )
    assert answer.status_code == status
    assert "canary" not in answer.text
    assert "can ary" not in answer.text
