"""deploy/secrets.sh: what it makes is what the service takes, and it overwrites nothing."""

import subprocess

import pytest
from cryptography import x509

from serving.keys import MasterKeys
from serving.redis_address import RedisAddress
from tests.deploy.parts import DEPLOY

pytestmark = pytest.mark.security
SERVERS = ("store", "keys", "rates", "cache")


def test_the_master_keys_and_credentials_are_such_as_the_service_takes(secrets):
    assert MasterKeys.read(secrets / "master.keys")
    for server in SERVERS:
        options = RedisAddress("rediss://x:1", str(secrets / f"redis-{server}.credentials")).options()
        assert options["username"].startswith("pat-")
        assert len(options["password"]) == 64
        assert options["password"] not in (secrets / f"redis-{server}.acl").read_text()


def test_nobody_else_reads_them_and_each_is_its_own(secrets):
    assert {path.stat().st_mode & 0o777 for path in secrets.iterdir()} == {0o400}
    passwords = {(secrets / f"redis-{server}.credentials").read_text().split()[1] for server in SERVERS}
    assert len(passwords) == len(SERVERS)


def test_each_certificate_is_of_the_authority_and_for_its_own_name(secrets):
    authority = x509.load_pem_x509_certificate((secrets / "ca.pem").read_bytes())
    for name in ("pat-service", "collector", *(f"redis-{server}" for server in SERVERS)):
        made = x509.load_pem_x509_certificate((secrets / f"{name}.pem").read_bytes())
        made.verify_directly_issued_by(authority)
        names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert name in names.get_values_for_type(x509.DNSName)


def test_what_is_there_is_not_overwritten(secrets):
    before = (secrets / "master.keys").read_bytes()
    again = subprocess.run([DEPLOY / "secrets.sh", secrets], capture_output=True, text=True, check=False)
    assert again.returncode != 0
    assert "nothing is overwritten" in again.stderr
    assert (secrets / "master.keys").read_bytes() == before
