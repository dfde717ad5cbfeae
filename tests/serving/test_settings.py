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


GUARDED = {**PRODUCTION, "PAT_PROFILE": "development"}
SMART = {
    "PAT_FHIR_SERVER_URL": "https://fhir.example/r4",
    "PAT_FHIR_CLIENT_ID": "pat-service",
    "PAT_FHIR_KEY_FILE": "/key",
    "PAT_FHIR_KEY_ID": "key-1",
}
CACHED = {"PAT_CACHE_URL": "rediss://r", "PAT_MASTER_KEYS_FILE": "/k"}
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
        ({**PRODUCTION, "PAT_STORE_URL": "rediss://redis"}, "PAT_STORE_URL needs PAT_KEYS_URL in production"),
        ({"PAT_KEYS_URL": "rediss://redis"}, "PAT_KEYS_URL needs PAT_STORE_URL"),
        ({"PAT_STORE_URL": "rediss://r/1", "PAT_KEYS_URL": "rediss://R:6379/2"}, "expected another server"),
        ({"PAT_STORE_URL": "unix:///run/r", "PAT_KEYS_URL": "unix:///run/r"}, "expected another server"),
        (
            {"PAT_STORE_URL": "rediss://r", "PAT_KEYS_URL": "rediss://u:p@k"},
            "PAT_KEYS_URL: .* file of their own$",
        ),
        ({**PRODUCTION, "PAT_CACHE_URL": "redis://127.0.0.1"}, "PAT_CACHE_URL: .* not encrypted"),
        ({"PAT_CACHE_URL": "rediss://u:p@redis"}, "PAT_CACHE_URL: .* file of their own$"),
        ({"PAT_CACHE_URL": "rediss://redis"}, "PAT_CACHE_URL needs PAT_MASTER_KEYS_FILE"),
        ({"PAT_CACHE_CREDENTIALS_FILE": "/c"}, "PAT_CACHE_CREDENTIALS_FILE needs PAT_CACHE_URL"),
        ({**CACHED, "PAT_STORE_URL": "rediss://r:6379/2"}, "PAT_CACHE_URL: .* that of PAT_STORE_URL"),
        ({**CACHED, "PAT_STORE_URL": "rediss://s", "PAT_KEYS_URL": "rediss://r"}, "that of PAT_KEYS_URL"),
        ({"PAT_CACHE_BYTES": "-1"}, "PAT_CACHE_BYTES: expected a whole number of at least 0"),
        ({"PAT_CACHE_ANALYSIS_SECONDS": "0"}, "PAT_CACHE_ANALYSIS_SECONDS: .* at least 1"),
        ({**PRODUCTION, "PAT_FHIR_SERVER_URL": "http://127.0.0.1"}, "PAT_FHIR_SERVER_URL: expected an"),
        ({**GUARDED, "PAT_FHIR_SERVER_URL": "http://fhir.example"}, "PAT_FHIR_SERVER_URL: expected an"),
        ({**GUARDED, "PAT_FHIR_SERVER_URL": "https://u:p@fhir"}, "PAT_FHIR_SERVER_URL: expected only"),
        ({**GUARDED, "PAT_FHIR_SERVER_URL": "https://fhir.example"}, "which must be told who comes"),
        ({"PAT_FHIR_SERVER_URL": "http://127.0.0.1"}, "PAT_FHIR_SERVER_URL needs PAT_FIREBASE_PROJECT"),
        ({**PRODUCTION, **SMART, "PAT_FHIR_TOKEN_URL": "http://127.0.0.1"}, "PAT_FHIR_TOKEN_URL: expected"),
        ({**PRODUCTION, **SMART, "PAT_FHIR_KEY_ID": ""}, "go together"),
        ({**PRODUCTION, **SMART, "PAT_FHIR_SERVER_URL": ""}, "go together"),
        ({**GUARDED, "PAT_FHIR_TOKEN_URL": "https://token.example"}, "go together"),
        (
            {"PAT_HEALTH_DATA_URL": "http://hds.example"},
            "PAT_HEALTH_DATA_URL: expected an address that begins",
        ),
        ({**PRODUCTION, "PAT_HEALTH_DATA_URL": "http://127.0.0.1:8000"}, "PAT_HEALTH_DATA_URL: expected an"),
        ({"PAT_HEALTH_DATA_URL": "ftp://127.0.0.1"}, "PAT_HEALTH_DATA_URL: expected an address"),
        ({"PAT_HEALTH_DATA_URL": "https://["}, "PAT_HEALTH_DATA_URL: expected an address"),
        ({"PAT_HEALTH_DATA_URL": "https://u:p@hds.example"}, "PAT_HEALTH_DATA_URL: expected only"),
        ({"PAT_HEALTH_DATA_URL": "https://hds.example/?x=1"}, "PAT_HEALTH_DATA_URL: expected only"),
        ({"PAT_HEALTH_DATA_CA_FILE": "/c"}, "need PAT_HEALTH_DATA_URL"),
        ({"PAT_HEALTH_DATA_USERS_FILE": "/u"}, "need PAT_HEALTH_DATA_URL"),
        ({"PAT_HEALTH_DATA_URL": "https://h", "PAT_HEALTH_DATA_SECONDS": "30"}, "less than half"),
        ({"PAT_HOST": "0.0.0.0"}, "PAT_HOST must be"),
        ({**TLS, "PAT_HOST": "0.0.0.0"}, "PAT_HOST must be"),
        ({"PAT_HOST": "localhost"}, "PAT_HOST: expected an address"),
        ({"PAT_METRICS_ADDRESS": "9464"}, "PAT_METRICS_ADDRESS: expected an address and a port"),
        ({"PAT_METRICS_ADDRESS": "localhost:9464"}, "PAT_METRICS_ADDRESS: expected an address and a port"),
        ({"PAT_METRICS_ADDRESS": "127.0.0.1:0"}, "PAT_METRICS_ADDRESS: expected an address and a port"),
        ({"PAT_METRICS_ADDRESS": "127.0.0.1:3000"}, "PAT_METRICS_ADDRESS: expected another port"),
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


def test_results_go_to_a_server_that_is_told_who_comes_or_to_this_machine_while_nothing_is_real():
    assert Settings.from_environment({**PRODUCTION, **SMART}).fhir_client_id == "pat-service"
    for url in ("http://127.0.0.1:8099/fhir/R4", "http://localhost:8099", "https://127.0.0.1/r4"):
        Settings.from_environment({**GUARDED, "PAT_FHIR_SERVER_URL": url})


def test_a_health_data_service_is_spoken_to_over_tls_or_on_this_machine():
    for environ in ({**PRODUCTION, "PAT_HEALTH_DATA_URL": "https://hds.example/base"},):
        assert Settings.from_environment(environ).health_data_url == "https://hds.example/base"
    for url in ("http://127.0.0.1:8000", "http://[::1]:8000"):
        assert Settings.from_environment({"PAT_HEALTH_DATA_URL": url}).health_data_url == url


@pytest.mark.parametrize("url", ["rediss://redis", "rediss://redis:6390/1", "unix:///run/redis/redis.sock"])
def test_production_takes_a_redis_over_tls_or_a_socket(url):
    named = {"PAT_STORE_URL": url, "PAT_RATES_URL": url, "PAT_KEYS_URL": "unix:///run/redis/keys.sock"}
    settings = Settings.from_environment({**PRODUCTION, **named})
    assert (settings.store_url, settings.rates_url) == (url, url)


def test_the_test_profile_alone_may_name_an_emulator():
    Settings.from_environment({"PAT_PROFILE": "test", "FIREBASE_AUTH_EMULATOR_HOST": "127.0.0.1:9099"})


def test_every_setting_has_a_heading_in_the_documentation():
    text = (ROOT / "docs" / "settings.md").read_text()
    headings = {line.removeprefix("## ").strip("` ") for line in text.splitlines() if line.startswith("## ")}
    assert headings == {f"PAT_{field.name.upper()}" for field in fields(Settings)}
