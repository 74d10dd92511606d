"""Where a configuration has its preprocessing, where that is not under the key of MONAI's convention.

A configuration that is written as a program (as MONAI's tutorials have it) gives the transforms to the dataset of the
evaluator's data loader; nothing of that is built here, its references are followed as they are written.
"""

from typing import Any

from inference.bundle.dialect.objections import CannotResolve
from inference.bundle.dialect.references import REFERENCE, SEPARATOR, ConfigTree

USUAL = "preprocessing"
"""Its id by MONAI's convention."""
_OF_EVALUATOR = ("evaluator", "val_data_loader", "dataset", "transform")
_MOST_HOPS = 20


def preprocessing_ids(tree: ConfigTree) -> tuple[str, ...]:
    """Return the ids at which the preprocessing may stand; one alone where it is plain.

    By MONAI's convention; else what the evaluator's dataset is given; else every key at the top that has a list of
    transforms with a reader among them.
    """
    if USUAL in tree:
        return (USUAL,)
    path = _OF_EVALUATOR[0]
    try:
        for key in _OF_EVALUATOR[1:]:
            path = f"{_referred(tree, path)}{SEPARATOR}{key}"
        tree.raw(path)
    except CannotResolve:
        return tuple(str(key) for key in tree if _reads(tree.raw(str(key))))
    return (path,)


def _referred(tree: ConfigTree, path: str) -> str:
    """Return the id that a reference at an id leads to, through further references."""
    for _ in range(_MOST_HOPS):
        node = tree.raw(path)
        text = node.removeprefix("$").strip() if isinstance(node, str) else ""
        if not (REFERENCE.fullmatch(text) and len(text) > 1):
            break
        path = text[1:]
    return path


def _reads(node: Any) -> bool:
    """Whether a node is a list of transforms, or a composition of one, that reads an image."""
    steps = node.get("transforms") if isinstance(node, dict) else node
    held = [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []
    targets = (str(step.get("_target_", "")) for step in held)
    return any(target.rpartition(".")[2].startswith("LoadImage") for target in targets)
