"""What is shipped to put the node to work is checked as far as this machine allows."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from node.settings.settings import Settings, example, load

DEPLOY = Path(__file__).parents[2] / "deploy"
UNIT = DEPLOY / "systemd" / "heatproof.service"


def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text()))


def has_compose() -> bool:
    docker = shutil.which("docker")
    return docker is not None and subprocess.run([docker, "compose", "version"], capture_output=True).returncode == 0


def settings(name: str) -> Settings:
    return load(DEPLOY / name)


def test_the_example_settings_are_the_ones_the_command_prints() -> None:
    assert (DEPLOY / "heatproof.toml").read_text() == example(Path("/var/lib/heatproof"), 11112)
    assert settings("heatproof.toml").node.ae_title == "HEATPROOF"


def test_orthanc_and_the_node_know_each_other_by_default() -> None:
    node, (pacs,) = settings("heatproof.toml").node, settings("heatproof.toml").destinations
    text = (DEPLOY / "orthanc" / "orthanc.json").read_text()
    defaults = dict(re.findall(r"\$\{(\w+):-(.*?)\}", text))
    known = (defaults["HEATPROOF_AET"], defaults["HEATPROOF_HOST"], int(defaults["HEATPROOF_PORT"]))
    assert known == (node.ae_title, node.host, node.port)
    assert (pacs.ae_title, pacs.port) == (defaults["ORTHANC_AET"], int(defaults["ORTHANC_DICOM_PORT"]))


def test_every_variable_of_the_orthanc_file_is_documented_with_its_default() -> None:
    text = (DEPLOY / "orthanc" / "orthanc.json").read_text()
    comment, body = text.split("**/")
    for name, default in set(re.findall(r"\$\{(\w+):-(.*?)\}", body)):
        assert re.search(rf"{name} .*\({re.escape(default)}[,)]", comment), name
    json.loads("{" + re.sub(r"\$\{\w+:-(.*?)\}", r"\1", body))


def test_the_compose_file_has_the_three_services_and_every_file_it_names() -> None:
    if has_compose():
        command = ["docker", "compose", "-f", str(DEPLOY / "compose.yaml"), "config", "--quiet"]
        subprocess.run(command, check=True)
    services = compose()["services"]
    assert set(services) == {"orthanc", "heatproof", "ohif"}
    for service in services.values():
        build = service["build"]
        context, dockerfile = (
            (build, "Dockerfile") if isinstance(build, str) else (build["context"], build["dockerfile"])
        )
        folder = (DEPLOY / context).resolve()
        assert (folder / dockerfile).is_file()
        for source in re.findall(r"^COPY (?!--)(.+) \S+$", (folder / dockerfile).read_text(), flags=re.MULTILINE):
            for name in source.split():
                assert name in ("README.md", "LICENSE") or (folder / name).exists(), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (DEPLOY / source).exists() if source.startswith(".") else source in compose()["volumes"]


def test_compose_publishes_on_this_machine_only() -> None:
    published = [port for service in compose()["services"].values() for port in service["ports"]]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_the_settings_inside_compose_name_its_services_and_its_secret() -> None:
    inside, whole = settings("compose.toml"), compose()
    assert inside.destinations[0].host in whole["services"]
    assert inside.http.token_file.name in whole["secrets"]
    assert inside.http.token_file.name in whole["services"]["heatproof"]["secrets"]
    assert whole["services"]["orthanc"]["environment"]["HEATPROOF_HOST"] in whole["services"]
    assert inside.rules[0].when == settings("heatproof.toml").rules[0].when


def test_the_viewer_asks_no_other_host() -> None:
    configuration = (DEPLOY / "ohif" / "app-config.js").read_text()
    assert "window.location.origin + '/dicom-web'" in configuration
    assert "http" not in configuration.replace("https://www.dicomstandard.org", "")
    assert re.findall(r"http://\S+", (DEPLOY / "ohif" / "nginx.conf").read_text()) == [
        "http://orthanc:8042/dicom-web/;"
    ]


def test_the_unit_starts_the_command_with_the_settings_that_are_shipped() -> None:
    unit = UNIT.read_text()
    start = "ExecStart=/opt/heatproof/.venv/bin/heatproof serve --config /etc/heatproof/heatproof.toml"
    assert start in unit
    assert f"StateDirectory={settings('heatproof.toml').node.home.name}" in unit
    assert "RestartPreventExitStatus=78" in unit


@pytest.mark.peers
def test_systemd_finds_no_fault_in_the_unit_and_calls_it_safe(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/heatproof/.venv/bin/heatproof", "/bin/true"))
    verify = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True)
    assert (verify.returncode, verify.stdout, verify.stderr) == (0, "", "")
    command = [analyze, "security", "--offline=true", "--threshold=20", "--no-pager", str(unit)]  # 2.0 of 10
    assert subprocess.run(command, capture_output=True).returncode == 0
