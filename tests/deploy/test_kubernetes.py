"""The Kubernetes manifests fit each other and the settings they hold, and run with no more rights than they need."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from node.settings.settings import Settings, load

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
MADE_BY_HAND = {"heatproof-token": {"token"}, "postgresql": {"password", "pgpass"}}
"""The secrets that README.md makes, with their keys."""


def documents() -> list[dict[str, Any]]:
    return [document for path in sorted(FOLDER.glob("*.yaml")) for document in yaml.safe_load_all(path.read_text())]


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [document for document in documents() if document["kind"] == kind]


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for workload in of_kind("StatefulSet"):
        yield workload["metadata"]["name"], workload["spec"]["template"]


def containers() -> Iterator[dict[str, Any]]:
    for _, pod in pods():
        yield from (*pod["spec"]["containers"], *pod["spec"].get("initContainers", ()))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (configured,) = of_kind("ConfigMap")
    (tmp_path / "heatproof.toml").write_text(configured["data"]["heatproof.toml"])
    return load(tmp_path / "heatproof.toml")


def test_everything_is_in_the_one_namespace_which_demands_restricted_pods() -> None:
    (namespace,) = of_kind("Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    others = [document for document in documents() if document is not namespace and document["kind"] != "Namespace"]
    assert {document["metadata"]["namespace"] for document in others} == {namespace["metadata"]["name"]}


def test_every_pod_meets_the_restricted_standard_and_has_bounds_and_probes() -> None:
    for name, pod in pods():
        inside = pod["spec"]["securityContext"]
        assert inside["runAsNonRoot"] is True, name
        assert inside["seccompProfile"]["type"] == "RuntimeDefault"
        assert pod["spec"]["automountServiceAccountToken"] is False
        for container in pod["spec"]["containers"]:
            assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container), name
    for container in containers():
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert "memory" in container["resources"]["limits"]


def test_every_volume_that_is_mounted_is_there_and_names_what_exists() -> None:
    claims = {claim["metadata"]["name"] for claim in of_kind("PersistentVolumeClaim")}
    maps = {configured["metadata"]["name"] for configured in of_kind("ConfigMap")}
    for workload in of_kind("StatefulSet"):
        pod = workload["spec"]["template"]["spec"]
        own = {claim["metadata"]["name"] for claim in workload["spec"]["volumeClaimTemplates"]}
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for container in (*pod["containers"], *pod.get("initContainers", ())):
            assert {mount["name"] for mount in container["volumeMounts"]} <= own | set(volumes)
        for volume in volumes.values():
            assert volume.get("persistentVolumeClaim", {}).get("claimName", next(iter(claims))) in claims
            assert volume.get("configMap", {}).get("name", next(iter(maps))) in maps
            secret = volume.get("secret")
            if secret:
                keys = {item["key"] for item in secret.get("items", ())}
                assert keys <= MADE_BY_HAND[secret["secretName"]]


def test_the_secrets_are_those_that_the_readme_makes() -> None:
    readme = (FOLDER / "README.md").read_text()
    for name, keys in MADE_BY_HAND.items():
        assert f"secret generic {name} " in readme
        assert all(f"--from-literal={key}=" in readme for key in keys)


def test_services_and_policies_select_pods_that_there_are() -> None:
    labels = [pod["metadata"]["labels"] for _, pod in pods()]
    selectors = [service["spec"]["selector"] for service in of_kind("Service")]
    selectors += [policy["spec"]["podSelector"].get("matchLabels", {}) for policy in of_kind("NetworkPolicy")]
    for selector in selectors:
        assert any(selector.items() <= of_pod.items() for of_pod in labels), selector
    ports = {port["name"] for container in containers() for port in container.get("ports", ())}
    assert {port["targetPort"] for service in of_kind("Service") for port in service["spec"]["ports"]} <= ports


def test_nothing_is_open_that_is_not_named() -> None:
    closed = [policy for policy in of_kind("NetworkPolicy") if not policy["spec"]["podSelector"]]
    assert [policy["spec"]["policyTypes"] for policy in closed] == [["Ingress", "Egress"]]
    assert not [policy for policy in closed if "ingress" in policy["spec"] or "egress" in policy["spec"]]


def test_the_settings_fit_the_ports_the_volumes_and_the_policy(settings: Settings) -> None:
    node = next(pod for name, pod in pods() if name == "heatproof")
    (container,) = node["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert (settings.node.port, settings.http.port) == (ports["dicom"], ports["http"])
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    for folder, volume in ((settings.node.home, "home"), (settings.node.shared_folder, "shared")):
        assert folder is not None
        assert mounts[str(folder.parent)] == volume  # the root of a volume is not the node's to close
    assert mounts[str(settings.http.token_file.parent)] == "token"
    policy = next(p for p in of_kind("NetworkPolicy") if p["metadata"]["name"] == "heatproof")["spec"]
    permitted = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
    assert {destination.port for destination in settings.destinations} <= permitted
    assert policy["ingress"][0]["from"][0]["ipBlock"]["cidr"] in settings.peers[0].addresses


def test_the_worker_has_a_gpu_and_a_slot_of_its_own_and_gets_no_studies() -> None:
    worker = next(pod for name, pod in pods() if name == "heatproof-worker")
    (container,) = worker["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    slot = next(entry for entry in container["env"] if entry["name"] == "HEATPROOF_NODE__SLOT")
    assert slot["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    dicom = next(service for service in of_kind("Service") if service["spec"].get("type") == "LoadBalancer")
    assert not dicom["spec"]["selector"].items() <= worker["metadata"]["labels"].items()


def test_the_schemas_of_kubernetes_take_every_manifest() -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    for document in documents():
        validator.validate(document, validator.latest_version(), strict=True)
