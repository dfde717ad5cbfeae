"""deploy/kubernetes: valid against the published schemas, and what it says agrees with the service."""

import itertools
import re
import shutil
import subprocess

import kubernetes_validate
import pytest
import yaml

from api.routes import PUBLIC
from serving.settings import Profile, Settings
from tests.deploy.parts import DEPLOY
from tests.shared import ROOT, missing

pytestmark = pytest.mark.security
FOLDER = DEPLOY / "kubernetes"
VERSIONS = ("1.31.0", "1.37.0")  # the oldest that is meant, and the newest schemas there are
FILES = sorted(
    path
    for path in FOLDER.rglob("*.yaml")
    if path.name not in ("kustomization.yaml", "prometheus-adapter-rules.yaml")
)
RESOURCES = {
    (found["kind"], found["metadata"]["name"]): found
    for path in FILES
    for found in yaml.safe_load_all(path.read_text())
}
PODS = {
    name: found["spec"]["template"]["spec"]
    for (kind, name), found in RESOURCES.items()
    if kind == "StatefulSet"
}
CONTAINERS = {
    f"{name}/{container['name']}": container
    for name, pod in PODS.items()
    for container in (*pod.get("initContainers", ()), *pod["containers"])
}
(SERVICE,) = PODS["pat-service"]["containers"]
ENVIRONMENT = {pair["name"]: pair["value"] for pair in SERVICE["env"]}


@pytest.mark.parametrize(("version", "resource"), itertools.product(VERSIONS, RESOURCES), ids=str)
def test_each_resource_is_valid_against_the_published_schema(version, resource):
    kubernetes_validate.validate(RESOURCES[resource], version, strict=True)


def test_the_schemas_refuse_what_is_wrong():
    wrong = yaml.safe_load(yaml.safe_dump(RESOURCES["StatefulSet", "pat-service"]))
    wrong["spec"]["replicaz"] = 2
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


def test_everything_is_applied_and_everything_applied_is_there():
    top = yaml.safe_load((DEPLOY / "kustomization.yaml").read_text())
    applied = set()
    for resource in top["resources"]:
        path = DEPLOY / resource
        inner = (
            yaml.safe_load((path / "kustomization.yaml").read_text())["resources"] if path.is_dir() else [""]
        )
        applied |= {(path / name).resolve() if name else path.resolve() for name in inner}
    assert applied == set(FILES)
    for generated in top["configMapGenerator"]:
        assert all((DEPLOY / file).is_file() for file in generated["files"])


def test_the_settings_are_such_as_production_takes():
    given = {name: value for name, value in ENVIRONMENT.items() if name.startswith("PAT_")}
    settings = Settings.from_environment(given)
    assert settings.profile is Profile.PRODUCTION
    assert settings.open_to_others
    assert set(ENVIRONMENT) - set(given) == {"FORWARDED_ALLOW_IPS"}
    grace = PODS["pat-service"]["terminationGracePeriodSeconds"]
    assert grace > settings.drain_seconds + settings.timeout_seconds


def test_a_service_of_that_name_adds_no_settings():
    """Kubernetes tells pods of each Service in variables: PAT_SERVICE_PORT would be an unknown setting."""
    assert ("Service", "pat-service") in RESOURCES
    assert all(pod["enableServiceLinks"] is False for pod in PODS.values())


def test_the_settings_of_compose_and_kubernetes_agree():
    compose = yaml.safe_load((DEPLOY / "compose.yml").read_text())["services"]["pat-1"]["environment"]
    own = {"PAT_FIREBASE_PROJECT", "PAT_STATE_FOLDER", "PAT_DRAIN_SECONDS", "FORWARDED_ALLOW_IPS"}
    both = (set(ENVIRONMENT) & set(compose)) - own
    assert {name: ENVIRONMENT[name] for name in both} == {name: compose[name] for name in both}
    assert set(compose) - set(ENVIRONMENT) == {"PAT_OTLP_ENDPOINT", "PAT_OTLP_CA_FILE", "PAT_OTLP_SIGNALS"}


def test_every_secret_is_a_file_of_the_script_that_the_service_s_user_alone_reads(secrets):
    (given,) = [volume["secret"] for volume in PODS["pat-service"]["volumes"] if "secret" in volume]
    names = {item["key"] for item in given["items"]}
    wanted = {value for name, value in ENVIRONMENT.items() if name.endswith("_FILE")}
    assert {f"/run/secrets/{name}" for name in names} == wanted
    assert all((secrets / name).is_file() for name in names)
    (copying,) = PODS["pat-service"]["initContainers"]
    assert copying["command"][-1] == "install -m 0400 /given/* /run/secrets/"
    assert not any("valueFrom" in pair or "envFrom" in pair for pair in SERVICE["env"])


def test_the_copies_of_the_secrets_are_such_as_the_service_takes(secrets, tmp_path):
    from serving.keys import MasterKeys

    for path in secrets.iterdir():
        shutil.copy(path, tmp_path)
        (tmp_path / path.name).chmod(0o440)  # as a Secret is mounted
    copies = tmp_path / "copies"
    copies.mkdir()
    line = PODS["pat-service"]["initContainers"][0]["command"][-1]
    line = line.replace("/given", str(tmp_path)).replace("/run/secrets/", f"{copies}/")
    subprocess.run(["/bin/sh", "-c", line.replace("* ", "*.* ")], check=True, timeout=30)
    assert MasterKeys.read(copies / "master.keys")


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_probes_ask_what_the_service_answers_to_everybody_over_tls(probe):
    asked = SERVICE[probe]["httpGet"]
    assert asked["path"] in PUBLIC
    assert (asked["scheme"], asked["port"]) == ("HTTPS", "https")
    assert ("ready" in asked["path"]) is (probe == "readinessProbe")


def test_ports_agree():
    ports = {port["name"]: port["containerPort"] for port in SERVICE["ports"]}
    assert ports["https"] == int(ENVIRONMENT["PAT_PORT"])
    assert ports["metrics"] == int(ENVIRONMENT["PAT_METRICS_ADDRESS"].rpartition(":")[2])
    policy = RESOURCES["NetworkPolicy", "pat-service"]["spec"]
    assert {port["port"] for rule in policy["ingress"] for port in rule["ports"]} == set(ports.values())
    redis = RESOURCES["NetworkPolicy", "redis"]["spec"]["ingress"][0]["ports"]
    assert [port["port"] for port in redis] == [6390]
    for name, value in ENVIRONMENT.items():
        if name.endswith("_URL"):
            server, port = value.removeprefix("rediss://").split(":")
            assert RESOURCES["Service", server]["spec"]["ports"][0]["port"] == int(port)
    for conf in (DEPLOY / "redis").glob("*.conf"):
        assert "tls-port 6390" in conf.read_text()


@pytest.mark.parametrize("name", PODS)
def test_each_pod_is_locked(name):
    pod = PODS[name]
    assert pod["automountServiceAccountToken"] is False
    secured = pod["securityContext"]
    assert secured["runAsNonRoot"] is True
    assert secured["runAsUser"] == 10_001
    assert secured["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not any("hostPath" in volume for volume in pod["volumes"])
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)


@pytest.mark.parametrize("name", CONTAINERS)
def test_each_container_is_locked_and_bounded(name):
    container = CONTAINERS[name]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"cpu", "memory"} == set(container["resources"]["limits"])


def test_the_namespace_takes_restricted_pods_only():
    labels = RESOURCES["Namespace", "pat"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_what_is_written_beside_the_state_is_in_memory():
    volumes = {volume["name"]: volume for volume in PODS["pat-service"]["volumes"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in SERVICE["volumeMounts"]}
    for name, path in mounts.items():
        if name != "state":
            assert volumes[name]["emptyDir"]["medium"] == "Memory", path
    assert ENVIRONMENT["PAT_STATE_FOLDER"].startswith(mounts["state"])


def test_the_trail_of_an_instance_outlives_it():
    spec = RESOURCES["StatefulSet", "pat-service"]["spec"]
    assert [claim["metadata"]["name"] for claim in spec["volumeClaimTemplates"]] == ["state"]
    assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}


def test_nobody_speaks_to_anybody_but_as_it_is_said():
    nobody = RESOURCES["NetworkPolicy", "nobody"]["spec"]
    assert nobody == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert "egress" not in RESOURCES["NetworkPolicy", "redis"]["spec"]
    for name in ("pat-service", "redis"):
        for rule in RESOURCES["NetworkPolicy", name]["spec"]["ingress"]:
            assert rule["from"]
            assert rule["ports"]


def test_an_instance_may_always_go_but_not_both():
    assert RESOURCES["PodDisruptionBudget", "pat-service"]["spec"]["maxUnavailable"] == 1
    assert RESOURCES["HorizontalPodAutoscaler", "pat-service"]["spec"]["minReplicas"] >= 2


def test_the_autoscaler_looks_at_a_metric_that_there_is(tmp_path):
    scaler = RESOURCES["HorizontalPodAutoscaler", "pat-service"]["spec"]
    assert scaler["scaleTargetRef"]["kind"] == "StatefulSet"
    (name,) = [metric["pods"]["metric"]["name"] for metric in scaler["metrics"] if metric["type"] == "Pods"]
    assert f'"{name}"' in (ROOT / "serving" / "telemetry.py").read_text()
    (rule,) = yaml.safe_load((FOLDER / "prometheus-adapter-rules.yaml").read_text())["rules"]["custom"]
    assert rule["name"]["as"] == name
    assert rule["seriesQuery"].startswith(name)
    filled = {"<<.GroupBy>>": "pod", "<<.Series>>": name, "<<.LabelMatchers>>": 'namespace="pat"'}
    query = rule["metricsQuery"]
    for placeholder, value in filled.items():
        query = query.replace(placeholder, value)
    assert "<<" not in query
    if shutil.which("promtool") is None:
        missing("promtool is not on this machine (Debian: apt-get install prometheus)")
    rules = {"groups": [{"name": "adapter", "rules": [{"record": "checked", "expr": query}]}]}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))
    done = subprocess.run(
        ["promtool", "check", "rules", tmp_path / "rules.yml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_weights_beside_those_that_serve_are_pinned_and_get_no_traffic():
    text = (FOLDER / "next" / "kustomization.yaml").read_text()
    after = yaml.safe_load(text)
    assert after["resources"] == ["../instances"]
    (patch,) = [yaml.safe_load(patch["patch"]) for patch in after["patches"]]
    added = {change["value"]["name"]: change["value"]["value"] for change in patch if change["op"] == "add"}
    assert set(added) == {"PAT_CHECKPOINT", "PAT_CHECKPOINT_SHA256"}
    assert re.fullmatch("[0-9a-f]{64}", added["PAT_CHECKPOINT_SHA256"])
    replaced = {change["path"] for change in patch if change["op"] == "replace"}
    assert len(replaced) == 2
    assert all(path.endswith("pat-service~1track") for path in replaced)
    selector = RESOURCES["Service", "pat-service"]["spec"]["selector"]
    assert selector["pat-service/track"] == "current"
