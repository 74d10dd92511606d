"""The table [inference]: where and how the networks run, and the parameters of the verdict."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from inference.options import Budget
from node.settings.section import LocalPath, Section


def _device(name: str) -> str:
    if re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", name) is None:
        raise ValueError(f"{name!r} is not a device; choose auto, cpu, cuda or cuda:N")
    return name


class InferenceSettings(Section):
    """Where and how the networks run."""

    device: Annotated[str, AfterValidator(_device)] = "auto"
    """auto: CUDA where there is a device, else CPU; cuda: the first card, and none is an error; cuda:N: that card."""
    threads: Annotated[int, Field(ge=0)] = 0
    """CPU threads of a network; 0 leaves the choice to torch."""
    budget_mebibytes: Annotated[int, Field(ge=0)] = 0
    """Memory for one batch; 0: 2 GiB on a CPU, a quarter of a card's memory on CUDA. When memory runs out, the batch
    is halved and retried."""
    bundle_folders: tuple[LocalPath, ...] = ()
    """Folders with further sealed bundles, beside those shipped."""
    passport_folder: LocalPath | None = None
    """Folder of the site's passports, each as NAME/passport.json of the bundle NAME; without one no map is judged."""
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.10
    """Largest share of TRUSTED maps that may miss, counted by patients."""
    delta: Annotated[float, Field(gt=0, lt=1)] = 0.10
    """1 - confidence of the bound ``alpha``."""
    certify_classes: bool = True
    """Whether maps of a class are TRUSTED only where the patients with that class certify ``alpha`` by themselves."""
    trust_budget: Budget = "full"
    """Evidence gathered for one map, with or without a passport: fast (localiser and replicates), standard (and
    alternates), full (all)."""
