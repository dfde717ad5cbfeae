"""Each route that takes a body has a door that says how large it may be."""

import pytest

from api.doors import doors, raw
from api.routes import ROUTES
from serving.settings import Settings

pytestmark = pytest.mark.security


def test_every_route_that_takes_a_body_has_a_door():
    assert set(doors(Settings())) == {path for method, path in ROUTES if method == "POST"}


def test_a_body_with_a_subject_is_small_json_and_files_are_the_largest():
    of = dict(doors(Settings()))
    assert of["/v1/subjects:delete"].json_only
    streamed = of.pop("/v1/jobs")  # never the whole in memory
    assert max(door.limit_bytes for door in of.values()) == raw(Settings()).limit_bytes
    assert streamed.limit_bytes > raw(Settings()).limit_bytes
