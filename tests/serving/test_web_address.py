"""An address leads to one server over TLS, or to this machine, and says nothing else."""

import pytest

from serving import web_address

WHO = "user:secret"


@pytest.mark.security
@pytest.mark.parametrize(
    ("url", "plain", "usable"),
    [
        ("https://fhir.example/r4", False, True),
        ("https://[::1]:8443/r4", False, True),
        ("http://127.0.0.1:8099/fhir/R4", True, True),
        ("http://localhost:8099", True, True),
        ("http://[::1]/", True, True),
        ("http://127.0.0.1:8099/fhir/R4", False, False),
        ("http://fhir.example/r4", True, False),
        ("http://127.0.0.1.example/r4", True, False),
        (f"https://{WHO}@fhir.example/r4", True, False),
        ("https://fhir.example/r4?x=1", True, False),
        ("https://fhir.example:99999/", True, False),
        ("https://fhir.example:0/", True, False),
        ("file:///etc/passwd", True, False),
        ("https:///r4", True, False),
        ("https://[::1/", True, False),
        ("", True, False),
    ],
)
def test_an_address_leads_to_one_server_over_tls_or_to_this_machine(url, plain, usable):
    found = web_address.fault(url, plain=plain)
    assert (found == "") == usable
    assert "secret" not in found
