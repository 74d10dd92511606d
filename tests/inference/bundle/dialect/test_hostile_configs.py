"""Hostile configurations are refused with their key, in bounded steps, and none of their code runs."""

import json
from pathlib import Path
from typing import Any

import pytest

from inference.bundle.configs import Config
from inference.errors import BundleRefused
from tests.inference.bundle.dialect.watched import watched

PLAIN = {"network_def": {"_target_": "UNet"}, "preprocessing": {"_target_": "Compose", "transforms": []}}

EXPRESSIONS = {
    "builtin import": "$__import__('os').system('touch CANARY')",
    "import statement with more": "$import os; os.system('touch CANARY')",
    "open": "$open('CANARY', 'w')",
    "eval": "$eval('1')",
    "exec of a built text": "$exec('open(' + repr('CANARY') + ')')",
    "getattr": "$getattr('', '__class__')",
    "class of a literal": "$().__class__.__base__.__subclasses__()",
    "class of a text by format": "$'{0.__class__}'.format(1)",
    "f-string": "$f'{().__class__}'",
    "format of percent": "$'%999999999d' % 1",
    "method of a reference": "$@preprocessing.__init__.__globals__",
    "globals": "$globals()['__builtins__']",
    "module attribute": "$monai.bundle.scripts.os.system('touch CANARY')",
    "torch load": "$torch.load('CANARY')",
    "torch hub": "$torch.hub.load('a/b', 'c')",
    "torch classes": "$torch.classes.load_library('CANARY')",
    "numpy load": "$np.load('CANARY', allow_pickle=True)",
    "path": "$pathlib.Path('CANARY').write_text('')",
    "walrus": "$(x := 1)",
    "lambda called at once": "$(lambda f: f(f))(lambda f: f(f))",
    "function through a name": "$[f('CANARY') for f in [open]]",
    "decorated name of a list": "$[len][0]('abc')",
    "await": "$[x async for x in [1]]",
    "starred mapping": "$dict(**{'a': 1})",
    "monai function by path": "$monai.utils.module.optional_import('os')",
    "environ": "$os.environ['HOME']",
    "power tower": "$9**9**9**9",
    "text times": "$'a' * 10**9",
    "nested lists times": "$[[[[0] * 9999] * 9999] * 9999] * 9999",
    "product of comprehensions": "$[0 for a in range(9999) for b in range(9999) for c in range(9999)]",
    "sum of ranges": "$[sum(range(9999)) for a in range(9999)]",
    "large range": "$range(10**15)",
    "rounding": "$round(5, -10**9)",
    "shift": "$1 << 10**9",
    "deep parentheses": "$" + "(" * 900 + "1" + ")" * 900,
    "long chain of signs": "$" + "-" * 1900 + "1",
    "long text": "$'" + "a" * 5000 + "'",
    "an at in a text": "$'@preprocessing'",
    "a mark of ours": "$__reference_0",
    "bytes": "$b'a'",
    "statement": "$x = 1",
}

TREES: dict[str, Any] = {
    "target outside": {"_target_": "os.system", "command": "touch CANARY"},
    "target by private path": {"_target_": "monai.networks.nets.resnet.os.system"},
    "target of a builtin": {"_target_": "builtins.exec"},
    "target as an expression": {"_target_": "$@preprocessing.__call__"},
    "target that downloads": {"_target_": "Transchex"},
    "target that downloads, as a function": {"_target_": "get_pretrained_resnet_medicalnet", "resnet_depth": 10},
    "own script": {"_target_": "scripts.net.Net"},
    "debugger": {"_target_": "UNet", "_mode_": "debug"},
    "requirement": {"_target_": "UNet", "_requires_": "$open('CANARY', 'w')"},
    "disabled by code": {"_target_": "UNet", "_disabled_": "$open('CANARY', 'w')"},
    "another file": "%/etc/passwd.json",
    "macro of itself": "%network_def",
    "reference to itself": "@network_def",
    "transform that writes": {"_target_": "SaveImage", "output_dir": "CANARY"},
    "transform that waits": {"_target_": "SimulateDelay", "delay_time": 1e9},
    "transform by name": {"_target_": "TorchVision", "name": "ColorJitter"},
    "transform that prints": {"_target_": "DataStats"},
    "random transform": {"_target_": "RandFlip", "prob": 1.0},
    "pattern of keys": {"_target_": "DeleteItemsd", "keys": "(a+)+$", "use_re": True},
    "reader's converter": {"_target_": "LoadImaged", "keys": "image", "converter": "$lambda x: x.save('CANARY')"},
}


def doubling(levels: int, sign: str) -> dict[str, Any]:
    """Return a file in which every key holds the next one twice."""
    tree: dict[str, Any] = {f"k{n}": [f"{sign}k{n + 1}", f"{sign}k{n + 1}"] for n in range(levels)}
    return {**tree, f"k{levels}": 1, "network_def": {"_target_": "UNet", "channels": f"{sign}k0"}}


def chained(length: int) -> dict[str, Any]:
    """Return a file in which every key refers to the next."""
    return {f"k{n}": f"@k{n + 1}" for n in range(length)} | {"network_def": {"_target_": "UNet", "channels": "@k0"}}


FILES: dict[str, tuple[str, bytes]] = {
    "long key over many values": (
        "a.json",
        json.dumps({**PLAIN, "network_def": {"_target_": "UNet", "k" * 400_000: ["a"] * 40_000}}).encode(),
    ),
    "long text of many relative ids": (
        "a.json",
        json.dumps(
            {**PLAIN, "network_def": {"_target_": "UNet", "x": "@" + " ".join("@" + "#" * n for n in range(1200))}}
        ).encode(),
    ),
    "long name": ("a.json", json.dumps({**PLAIN, "network_def": {"_target_": "x" * 900_000}}).encode()),
    "references that double": ("a.json", json.dumps({**PLAIN, **doubling(40, "@")}).encode()),
    "macros that double": ("a.json", json.dumps({**PLAIN, **doubling(40, "%")}).encode()),
    "long chain": ("a.json", json.dumps({**PLAIN, **chained(3000)}).encode()),
    "deep JSON": ("a.json", b'{"a":' * 5000 + b"1" + b"}" * 5000),
    "very deep JSON": ("a.json", b"[" * 200_000),
    "many values": ("a.json", json.dumps({"a": [0] * 60_000}).encode()),
    "huge JSON": ("a.json", b'{"a": "' + b"x" * (2 << 20) + b'"}'),
    "huge number": ("a.json", b'{"a": ' + b"9" * 10_000 + b"}"),
    "a list of files": ("a.json", b"[1, 2]"),
    "a key twice": ("a.json", b'{"network_def": 1, "network_def": 2}'),
    "YAML python tag": ("a.yaml", b"a: !!python/object/apply:os.system ['touch CANARY']"),
    "YAML python name": ("a.yaml", b"a: !!python/name:os.system"),
    "YAML own tag": ("a.yaml", b"a: !mine {b: 1}"),
    "YAML binary": ("a.yaml", b"a: !!binary aGVsbG8="),
    "YAML set": ("a.yaml", b"a: !!set {b, c}"),
    "YAML laughs": (
        "a.yaml",
        b"a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
        + b"".join(b"a%d: &a%d [%s]\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 10)),
    ),
    "YAML in itself": ("a.yaml", b"a: &a [*a]"),
    "YAML mapping in itself": ("a.yaml", b"&a {b: *a}"),
    "YAML deep": ("a.yaml", b"[" * 10_000),
    "YAML many aliases": ("a.yaml", b"a: &a 1\nb: [" + b", ".join([b"*a"] * 1000) + b"]"),
    "YAML merge": ("a.yaml", b"a: &a {x: 1}\nb: {<<: *a}"),
    "YAML key of a list": ("a.yaml", b"? [1, 2]\n: 3"),
    "YAML two documents": ("a.yaml", b"a: 1\n---\nb: 2"),
    "YAML not of text": ("a.yaml", b"\xff\xfe\x00"),
    "YAML many values": ("a.yaml", b"a: [" + b"1, " * 30_000 + b"1]"),
}


@pytest.fixture(autouse=True)
def tables() -> None:
    """Make the tables of names, and load what parsing needs, before anything is watched."""
    Config(b"a: 1", "a.yaml")
    Config(json.dumps({**PLAIN, "inferer": {"_target_": "SimpleInferer"}}).encode(), "a.json").check()


def refused(content: bytes, name: str, folder: Path) -> str:
    canary = folder / "canary"
    content = content.replace(b"CANARY", str(canary).encode())
    with watched() as watch, pytest.raises(BundleRefused) as caught:
        Config(content, name).check()
    assert not watch.events
    assert not canary.exists()
    return str(caught.value)


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_a_hostile_expression_is_refused_with_its_key_and_nothing_runs(name: str, tmp_path: Path) -> None:
    tree = {**PLAIN, "network_def": {"_target_": "UNet", "channels": EXPRESSIONS[name]}}
    message = refused(json.dumps(tree).encode(), "a.json", tmp_path)
    assert message.startswith("a.json, key network_def::channels: ")


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_a_function_on_the_image_does_no_more_than_any_expression(name: str, tmp_path: Path) -> None:
    function = "$lambda x: " + EXPRESSIONS[name].removeprefix("$")
    tree = {**PLAIN, "preprocessing": {"_target_": "Lambda", "func": function.replace("CANARY", str(tmp_path / "c"))}}
    try:
        preprocessing = Config(json.dumps(tree).encode(), "a.json").preprocessing()
    except BundleRefused:
        return
    with watched() as watch, pytest.raises((RuntimeError, ValueError, TypeError)):
        preprocessing(1)
    assert not set(watch.events) - {"import", "open"}
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("name", TREES)
def test_a_hostile_component_is_refused_with_its_key_and_nothing_runs(name: str, tmp_path: Path) -> None:
    message = refused(json.dumps({**PLAIN, "network_def": TREES[name]}).encode(), "a.json", tmp_path)
    assert message.startswith("a.json, key network_def")


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_is_refused_in_bounded_steps_and_nothing_runs(name: str, tmp_path: Path) -> None:
    file, content = FILES[name]
    message = refused(content, file, tmp_path)
    assert message.startswith(file)
    assert len(message) < 20_000


@pytest.mark.parametrize(
    "network",
    [
        {"_target_": "BasicUNet", "features": [10**5] * 6},
        {"_target_": "torch.nn.Linear", "in_features": 10**6, "out_features": 10**6},
        {"_target_": "SwinUNETR", "in_channels": 1, "out_channels": 10**9},
        {"_target_": "torch.nn.Embedding", "num_embeddings": 10**12, "embedding_dim": 10**6},
    ],
    ids=["BasicUNet", "Linear", "SwinUNETR", "Embedding"],
)
def test_a_network_larger_than_memory_is_refused_before_its_weights_are_made(network: dict[str, Any]) -> None:
    with pytest.raises(BundleRefused, match=r"key network_def: .*would make more than"):
        Config(json.dumps({"network_def": network}).encode(), "a.json").network("network_def")
