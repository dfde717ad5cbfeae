"""A path with an id in it is known by its template, and an id is nothing but what the server makes."""

import pytest

from serving.routes import Paths, new_id

pytestmark = pytest.mark.security
PATHS = Paths(["/analyze", "/v1/jobs", "/v1/jobs/{id}", "/v1/jobs/{id}/result"])
ID = "a-b_" * 5 + "zz"


def test_ids_are_random_and_as_long_as_templates_take_them():
    made = {new_id() for _ in range(100)}
    assert len(made) == 100
    assert {PATHS.of(f"/v1/jobs/{one}") for one in made} == {"/v1/jobs/{id}"}


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/analyze", "/analyze"),
        ("/v1/jobs", "/v1/jobs"),
        (f"/v1/jobs/{ID}", "/v1/jobs/{id}"),
        (f"/v1/jobs/{ID}/result", "/v1/jobs/{id}/result"),
    ],
)
def test_a_path_means_the_route_that_it_is_of(path, route):
    assert PATHS.of(path) == route


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "/v1/jobs/", "/v1/jobs/{id}", "/v1/jobs/anna-1970", f"/v1/jobs/{ID}/", f"/v1/jobs/{ID}x"),
        *(f"/v1/jobs/{ID[1:]}", f"/v1/jobs/{ID}/results", f"/v1/jobs/{ID}/{ID}", f"//v1/jobs/{ID}"),
        *(f"/v1/jobs/{ID[:-1]}é", f"/v1/jobs/{ID}\n", f"/v1/jobs/{ID[:11]}/{ID[:10]}", f"/x/v1/jobs/{ID}"),
    ],
)
def test_anything_else_means_nothing(path):
    assert PATHS.of(path) is None
