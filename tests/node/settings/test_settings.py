from pathlib import Path

import pytest

from inference.errors import SettingsInvalid
from node.settings.problems import section_in
from node.settings.section import Section
from node.settings.settings import example, load, reference
from tests.node.settings.minimal import MINIMAL


def written(folder: Path, text: str) -> Path:
    path = folder / "heatproof.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(folder: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(SettingsInvalid) as caught:
        load(written(folder, text))
    return caught.value.problems


def test_the_example_is_good_as_it_is(tmp_path: Path) -> None:
    settings = load(written(tmp_path, example(tmp_path / "home", 11199)))
    assert (settings.node.ae_title, settings.node.port) == ("HEATPROOF", 11199)
    assert settings.node.home == tmp_path / "home"
    assert settings.http.token_file.is_relative_to(settings.node.home)
    assert settings.rules[0].bundles == ("glioma_flair",)
    assert settings.rules[0].destinations == settings.unrouted.destinations == ("pacs",)


def test_relative_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    settings = load(written(tmp_path, MINIMAL))
    assert settings.node.home == tmp_path / "home"
    assert settings.http.token_file == tmp_path / "token"


def test_the_environment_overrides_a_single_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEATPROOF_NODE__PORT", "1104")
    monkeypatch.setenv("HEATPROOF_INFERENCE__DEVICE", "cpu")
    settings = load(written(tmp_path, MINIMAL))
    assert (settings.node.port, settings.inference.device) == (1104, "cpu")
    monkeypatch.setenv("HEATPROOF_NODE__PROT", "1")
    assert any("did you mean 'port'" in problem for problem in problems(tmp_path, MINIMAL))


def test_every_problem_is_listed_at_once(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        MINIMAL.replace(
            'home = "home"', 'prot = 1\nport = 8080\nquiet_seconds = 0\nae_title = "A TITLE TOO LONG FOR IT"'
        )
        + """
[[destinations]]
name = "pacs"
ae_title = "BACK\\\\SLASH"
host = "127.0.0.1"
port = 70000
[[rules]]
name = "twice"
bundles = ["glioma_flair"]
destinations = ["pasc"]
when = [{ attribute = "Modalty", matches = "(" }, { attribute = "Modality" }]
[[rules]]
name = "twice"
bundles = []
destinations = ["pacs"]
[unrouted]
destinations = ["nowhere"]
[completeness]
ask = [
    { sender = "CT", destination = "pacs", by = "qido" },
    { sender = "CT", destination = "pasc" },
]
""",
    )
    expected = (
        "node.home: is missing",
        "node.prot: there is no such setting; did you mean 'port'?",
        "node.quiet_seconds: input should be greater than 0",
        "node.ae_title: is not a valid AE title; 1 to 16 characters",
        "destinations[1].ae_title: is not a valid AE title",
        "destinations[1].port: input should be less than or equal to 65535",
        "destinations: 2 are named 'pacs'",
        "rules: 2 are named 'twice'",
        "rules[0].when[0].attribute: 'Modalty' is not a DICOM keyword or tag; did you mean 'Modality'?",
        "rules[0].when[0].matches: is not a valid regular expression",
        "rules[0].when[1]: asks nothing; give equals, matches, excludes, at_least, at_most or exists",
        "rules[0].destinations: there is no destination 'pasc'; did you mean 'pacs'?",
        "rules[1].bundles:",
        "unrouted.destinations: there is no destination 'nowhere'; known: pacs",
        "http.port: 8080 is the DICOM port too",
        "completeness.ask[0].by: destination 'pacs' has no url to be asked at",
        "completeness.ask[1].destination: there is no destination 'pasc'; did you mean 'pacs'?",
    )
    for start in expected:
        assert sum(problem.startswith(start) for problem in found) == 1, start
    assert len(found) == len(expected)


@pytest.mark.parametrize("text", ["[node", "node = 1", "rules = 3", "[[rules]]\ndestinations = 1", ""])
def test_what_is_no_settings_file_gives_a_list_too(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="config example"):
        load(tmp_path / "none.toml")


def test_the_reference_explains_every_setting() -> None:
    lines = reference().splitlines()
    assert lines[0] == "| Setting | Type | Default | Meaning |"
    for line in lines[2:]:
        setting, kind, default, meaning = (cell.strip() for cell in line.strip("|").split(" | "))
        assert setting.startswith("`")
        assert all((kind, default, meaning)), line
    fields = [field for section in Section.__subclasses__() for field in section.model_fields.values()]
    assert sum(section_in(field.annotation) is None for field in fields) == len(lines) - 2


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:1"])
def test_a_device_may_be_a_certain_card(tmp_path: Path, device: str) -> None:
    written_settings = f'{MINIMAL}\n[inference]\ndevice = "{device}"\n'
    assert load(written(tmp_path, written_settings)).inference.device == device


@pytest.mark.parametrize("device", ["tpu", "cuda:", "cuda:one", "CUDA"])
def test_a_device_that_no_machine_has_is_answered_with_those_there_are(tmp_path: Path, device: str) -> None:
    (problem,) = problems(tmp_path, f'{MINIMAL}\n[inference]\ndevice = "{device}"\n')
    assert problem == f"inference.device: {device!r} is not a device; choose auto, cpu, cuda or cuda:N"
