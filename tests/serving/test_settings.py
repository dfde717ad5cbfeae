"""The environment is read once, checked, and refused when it asks for something unsafe."""

from dataclasses import fields

import pytest

from serving.settings import Profile, Settings, SettingsError
from tests.shared import ROOT

TLS = {"PAT_TLS_CERTIFICATE_FILE": "/c", "PAT_TLS_KEY_FILE": "/k"}
PRODUCTION = {
    "PAT_PROFILE": "production",
    "PAT_FIREBASE_PROJECT": "p",
    "PAT_MASTER_KEYS_FILE": "/k",
    "PAT_STATE_FOLDER": "/s",
}


OIDC = {
    "PAT_OIDC_ISSUER": "https://issuer.example",
    "PAT_OIDC_AUDIENCE": "https://pat.example",
    "PAT_OIDC_JWKS_URL": "https://issuer.example/keys",
}


def test_production_starts_with_an_issuer_of_systems_tokens():
    settings = Settings.from_environment({**PRODUCTION, **OIDC})
    assert (settings.oidc_issuer, settings.oidc_tenant_claim) == ("https://issuer.example", "tenant")


def test_a_place_for_tokens_belongs_to_an_issuer_and_is_https():
    told = {"PAT_OIDC_TOKEN_URL": "https://issuer.example/token"}
    assert (
        Settings.from_environment({**PRODUCTION, **OIDC, **told}).oidc_token_url == told["PAT_OIDC_TOKEN_URL"]
    )
    with pytest.raises(SettingsError, match="PAT_OIDC_TOKEN_URL needs PAT_OIDC_ISSUER"):
        Settings.from_environment({**PRODUCTION, **told})
    with pytest.raises(SettingsError, match="PAT_OIDC_TOKEN_URL"):
        Settings.from_environment({**PRODUCTION, **OIDC, "PAT_OIDC_TOKEN_URL": "http://issuer.example/token"})


@pytest.mark.parametrize("profile", list(Profile))
def test_only_the_test_profile_is_ever_emulated(monkeypatch, profile):
    assert not Settings(profile=profile).emulated
    monkeypatch.setenv("FIREBASE_AUTH_EMULATOR_HOST", "127.0.0.1:9099")
    assert Settings(profile=profile).emulated == (profile is Profile.TEST)


def test_production_starts_with_identity_keys_and_a_place_for_its_state():
    assert Settings.from_environment(PRODUCTION).guarded
    assert not Settings.from_environment({}).guarded


def test_others_may_be_answered_where_they_are_identified_over_tls():
    settings = Settings.from_environment({**PRODUCTION, **TLS, "PAT_HOST": "0.0.0.0"})
    assert settings.open_to_others
    assert not Settings.from_environment(TLS).open_to_others
    assert not Settings.from_environment(PRODUCTION).open_to_others


def test_an_empty_environment_is_development_on_loopback():
    settings = Settings.from_environment({})
    assert (settings.profile, settings.host, settings.port) == (Profile.DEVELOPMENT, "127.0.0.1", 3000)


def test_values_are_read_with_their_type():
    settings = Settings.from_environment({"PAT_PROFILE": "test", "PAT_PORT": "4000", "PAT_CHECKPOINT": "a:b"})
    assert (settings.profile, settings.port, settings.checkpoint) == (Profile.TEST, 4000, "a:b")


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"PAT_PROFILE": "production"}, "needs PAT_FIREBASE_PROJECT"),
        ({"PAT_PROFILE": "production", "PAT_FIREBASE_PROJECT": "p"}, "needs PAT_MASTER_KEYS_FILE"),
        ({"PAT_FIREBASE_PROJECT": "p", "PAT_STATE_FOLDER": "/s"}, "needs PAT_MASTER_KEYS_FILE"),
        ({**PRODUCTION, "BENTOML_DEBUG": "True"}, "BENTOML_DEBUG is on"),
        ({**PRODUCTION, "PAT_HOST": "0.0.0.0"}, "PAT_HOST must be"),
        ({**PRODUCTION, "PAT_CERTIFICATES_URL": "http://x"}, "outside the test profile"),
        ({**PRODUCTION, "FIREBASE_AUTH_EMULATOR_HOST": "127.0.0.1:9099"}, "is set outside"),
        ({**PRODUCTION, "PAT_AUDIT_DAYS": "2191"}, "2192 days or more"),
        ({**PRODUCTION, "PAT_OIDC_ISSUER": "https://i"}, "set all"),
        ({**PRODUCTION, "PAT_OIDC_AUDIENCE": "a", "PAT_OIDC_JWKS_URL": "https://i/k"}, "set all"),
        ({**PRODUCTION, **OIDC, "PAT_OIDC_ISSUER": "http://i"}, "PAT_OIDC_ISSUER: expected an address"),
        ({**PRODUCTION, **OIDC, "PAT_OIDC_JWKS_URL": "http://i/k"}, "PAT_OIDC_JWKS_URL: expected an address"),
        ({**PRODUCTION, **OIDC, "PAT_OIDC_JWKS_URL": "https://"}, "PAT_OIDC_JWKS_URL: expected an address"),
        ({**PRODUCTION, **OIDC, "PAT_OIDC_JWKS_URL": "file:///k"}, "PAT_OIDC_JWKS_URL: expected an address"),
        ({**PRODUCTION, **OIDC, "PAT_OIDC_JWKS_URL": "https://["}, "PAT_OIDC_JWKS_URL: expected an address"),
        ({**PRODUCTION, **OIDC, "PAT_PROFILE": "development", "PAT_OIDC_ISSUER": "http://i"}, "expected an"),
        ({**PRODUCTION, **OIDC, "PAT_OIDC_ISSUER": "https://securetoken.google.com/p"}, "is Firebase's"),
        (OIDC, "need PAT_FIREBASE_PROJECT"),
        ({"PAT_FIREBASE_CREDENTIALS_FILE": "/c"}, "need PAT_FIREBASE_PROJECT"),
        ({**PRODUCTION, "PAT_STORE_URL": "redis://127.0.0.1"}, "PAT_STORE_URL: .* not encrypted"),
        ({**PRODUCTION, "PAT_RATES_URL": "redis://10.0.0.1:6379"}, "PAT_RATES_URL: .* not encrypted"),
        ({"PAT_STORE_URL": "rediss://u:p@redis"}, "user and password have a file of their own$"),
        ({"PAT_STORE_URL": "rediss://redis?ssl_cert_reqs=none"}, "PAT_STORE_URL: expected only an address"),
        ({"PAT_RATES_URL": "unix://run/redis.sock"}, "PAT_RATES_URL: expected an address"),
        ({"PAT_RATES_URL": "rediss://redis:port"}, "PAT_RATES_URL: expected an address"),
        ({"PAT_RATES_URL": "rediss:///0"}, "PAT_RATES_URL: expected an address"),
        ({"PAT_STORE_URL": "http://redis"}, "PAT_STORE_URL: expected an address"),
        ({"PAT_HOST": "0.0.0.0"}, "PAT_HOST must be"),
        ({**TLS, "PAT_HOST": "0.0.0.0"}, "PAT_HOST must be"),
        ({"PAT_HOST": "localhost"}, "PAT_HOST: expected an address"),
        ({"PAT_TLS_CERTIFICATE_FILE": "/c"}, "need each other"),
        ({"PAT_TLS_KEY_FILE": "/k"}, "need each other"),
        ({"PAT_TLS_CLIENT_CA_FILE": "/a"}, "need each other"),
        ({"PAT_PORT": "many"}, "PAT_PORT: expected a whole number"),
        ({"PAT_PORT": "0"}, "PAT_PORT: expected a whole number of at least 1"),
        ({"PAT_PROFILE": "prod"}, "expected one of development, test, production"),
        ({"PAT_FEATURE_X": "1"}, "unknown setting PAT_FEATURE_X"),
        ({"FIREBASE_AUTH_EMULATOR_HOST": "127.0.0.1:9099"}, "FIREBASE_AUTH_EMULATOR_HOST is set outside"),
    ],
)
def test_what_must_not_start_is_refused(environ, message):
    with pytest.raises(SettingsError, match=message):
        Settings.from_environment(environ)


@pytest.mark.parametrize("url", ["rediss://redis", "rediss://redis:6390/1", "unix:///run/redis/redis.sock"])
def test_production_takes_a_redis_over_tls_or_a_socket(url):
    settings = Settings.from_environment({**PRODUCTION, "PAT_STORE_URL": url, "PAT_RATES_URL": url})
    assert (settings.store_url, settings.rates_url) == (url, url)


def test_the_test_profile_alone_may_name_an_emulator():
    Settings.from_environment({"PAT_PROFILE": "test", "FIREBASE_AUTH_EMULATOR_HOST": "127.0.0.1:9099"})


def test_every_setting_has_a_heading_in_the_documentation():
    text = (ROOT / "docs" / "settings.md").read_text()
    headings = {line.removeprefix("## ").strip("` ") for line in text.splitlines() if line.startswith("## ")}
    assert headings == {f"PAT_{field.name.upper()}" for field in fields(Settings)}
