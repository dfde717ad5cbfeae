"""Certificates that cannot be used, and keys that others may read, keep the service from starting."""

import pytest

from serving import tls
from serving.settings import Settings, SettingsError
from tests.certificates import Authority

pytestmark = pytest.mark.security


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"), "authority")


@pytest.fixture(scope="module")
def pair(authority):
    return authority.pair("server", "127.0.0.1")


def settings(pair, **more):
    return Settings(tls_certificate_file=str(pair.certificate), tls_key_file=str(pair.key), **more)


def test_a_pair_that_fits_is_used_with_modern_ciphers_only(pair, authority):
    tls.check(settings(pair))
    options = tls.options(settings(pair, tls_client_ca_file=str(authority.file)))
    assert options["ciphers"] == "ECDHE+AESGCM:ECDHE+CHACHA20"
    assert options["cert_reqs"] == 2
    assert "cert_reqs" not in tls.options(settings(pair))


def test_without_a_certificate_there_is_nothing_to_check():
    tls.check(Settings())
    assert tls.options(Settings()) == {}


def test_a_key_of_another_certificate_a_missing_file_and_no_pem_are_refused(pair, authority, tmp_path):
    other = authority.pair("other", "127.0.0.1")
    nothing = tmp_path / "nothing.pem"
    empty = tmp_path / "empty.pem"
    empty.touch()
    for certificate, key in ((pair.certificate, other.key), (nothing, pair.key), (pair.certificate, empty)):
        with pytest.raises(SettingsError, match="PAT_TLS_"):
            tls.check(Settings(tls_certificate_file=str(certificate), tls_key_file=str(key)))
    with pytest.raises(SettingsError, match="PAT_TLS_"):
        tls.check(settings(pair, tls_client_ca_file=str(empty)))


def test_a_key_under_a_password_is_refused_without_asking_for_it(pair, tmp_path):
    from cryptography.hazmat.primitives import serialization as s

    key = s.load_pem_private_key(pair.key.read_bytes(), None)
    sealed = tmp_path / "sealed.key"
    sealed.write_bytes(
        key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.BestAvailableEncryption(b"secret"))
    )
    with pytest.raises(SettingsError, match="unencrypted"):
        tls.check(Settings(tls_certificate_file=str(pair.certificate), tls_key_file=str(sealed)))


def test_a_key_that_others_may_read_is_refused(authority):
    pair = authority.pair("readable", "127.0.0.1")
    pair.key.chmod(0o440)
    with pytest.raises(SettingsError, match="chmod 400"):
        tls.check(settings(pair))
