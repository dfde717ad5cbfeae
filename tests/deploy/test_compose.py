"""deploy/compose.yml: production takes its settings, nobody but nginx is public, nothing is writable."""

import re

import pytest
import yaml

from serving.settings import Profile, Settings
from tests.deploy.parts import DEPLOY

pytestmark = pytest.mark.security
COMPOSE = yaml.safe_load((DEPLOY / "compose.yml").read_text())
SERVICES = COMPOSE["services"]
INSTANCES = ("pat-1", "pat-2")


def filled(text):
    """``text`` as compose reads it where nothing but what must be set is."""
    text = re.sub(r"\$\{\w+:\?[^}]*\}", "demo", str(text))
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def settings_of(name):
    return {key: filled(value) for key, value in SERVICES[name]["environment"].items()}


@pytest.mark.parametrize("name", INSTANCES)
def test_the_settings_of_an_instance_are_such_as_production_takes(name):
    settings = Settings.from_environment(settings_of(name))
    assert settings.profile is Profile.PRODUCTION
    assert settings.open_to_others
    assert settings.store_url
    assert settings.keys_url
    assert settings.rates_url


def test_both_instances_have_the_same_settings():
    assert settings_of("pat-1") == settings_of("pat-2")


def test_nobody_but_nginx_can_be_reached_from_outside():
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["nginx"]
    assert not any("network_mode" in service for service in SERVICES.values())
    for name, service in SERVICES.items():
        if name.startswith("redis-"):
            assert service["networks"] == ["stores"]
    for network in ("inside", "stores", "telemetry"):
        assert COMPOSE["networks"][network]["internal"] is True
    assert "stores" not in SERVICES["nginx"]["networks"]


@pytest.mark.parametrize("name", SERVICES)
def test_each_container_is_locked(name):
    service = SERVICES[name]
    assert service["user"] == "10001:10001"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert service["ulimits"]["core"] == 0
    limits = service["deploy"]["resources"]["limits"]
    assert {"cpus", "memory"} <= set(limits)


@pytest.mark.parametrize("name", SERVICES)
def test_each_secret_is_a_file_that_the_script_makes_and_that_somebody_reads(name, secrets):
    for secret in SERVICES[name].get("secrets", ()):
        path = filled(COMPOSE["secrets"][secret]["file"])
        assert path == f"./secrets/{secret}"
        assert (secrets / secret).is_file()
    for key, value in SERVICES[name].get("environment", {}).items():
        if key.endswith("_FILE"):
            assert value.removeprefix("/run/secrets/") in SERVICES[name]["secrets"]
        assert not re.search(r"PASSWORD|SECRET|TOKEN$", key)


def test_every_secret_that_is_named_is_used():
    used = {secret for service in SERVICES.values() for secret in service.get("secrets", ())}
    assert set(COMPOSE["secrets"]) == used
    assert "ca.key" not in used


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_mounted_is_there_and_read_only_but_the_state(name):
    for volume in SERVICES[name].get("volumes", ()):
        source, target, *mode = filled(volume).split(":")
        if target in ("/var/lib/pat", "/data"):
            assert source.startswith("./state/")
        else:
            assert mode == ["ro"]
            assert (DEPLOY / source).exists()


def test_every_server_of_the_settings_is_a_service():
    for key, value in settings_of("pat-1").items():
        if key.endswith(("_URL", "_ENDPOINT")):
            name, _, port = value.partition("://")[2].partition(":")
            assert name in SERVICES
            assert port == ("6390" if name.startswith("redis") else "4318")


def test_the_collector_has_a_pipeline_for_each_signal_that_is_sent_to_it():
    collector = yaml.safe_load((DEPLOY / "otel" / "collector.yaml").read_text())
    pipelines = collector["service"]["pipelines"]
    assert set(pipelines) == Settings.from_environment(settings_of("pat-1")).signals
    for pipeline in pipelines.values():
        assert set(pipeline["receivers"]) <= set(collector["receivers"])
        assert set(pipeline["processors"]) <= set(collector["processors"])
        assert set(pipeline["exporters"]) <= set(collector["exporters"])


def test_each_instance_keeps_its_own_trail():
    states = [volume for name in INSTANCES for volume in SERVICES[name]["volumes"]]
    assert len(states) == len(set(states)) == 2


def test_an_instance_has_time_to_end():
    settings = Settings.from_environment(settings_of("pat-1"))
    kept = re.search(
        r"keepalive_timeout (\d+)s;  # the service", (DEPLOY / "nginx" / "pat-service.conf").read_text()
    )
    assert settings.drain_seconds > int(kept.group(1))  # nginx keeps no connection that is cut off
    for name in INSTANCES:
        grace = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
        assert grace > settings.drain_seconds + settings.timeout_seconds


def test_nginx_knows_the_instances_and_they_know_nginx():
    upstream = (DEPLOY / "nginx" / "upstream.conf").read_text()
    assert re.findall(r"^server ([\w-]+:\d+) ", upstream, re.MULTILINE) == ["pat-1:3000", "pat-2:3000"]
    address = SERVICES["nginx"]["networks"]["inside"]["ipv4_address"]
    assert settings_of("pat-1")["FORWARDED_ALLOW_IPS"] == address
    assert SERVICES["nginx"]["ports"][0].endswith(":8443")
    assert "listen 8443 ssl;" in (DEPLOY / "nginx" / "pat-service.conf").read_text()
