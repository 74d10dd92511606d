"""A deployment that is broken is not trusted: maps that are TRUSTED under the shipped passport lose the word."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import pytest
import torch

from inference.bundle.bundle import CPU, SHIPPED, Bundle, Network
from inference.bundle.digests import read_seal
from inference.cases.cases import AnnotatedSeries
from inference.cases.labels_folder import read_labels_folder
from inference.classify import classify
from inference.errors import Refused
from inference.explain import explain_findings
from inference.findings import Finding
from inference.options import AnalysisOptions
from inference.passport.passport import SHIPPED_PASSPORTS, load_passport
from inference.prepare import ModelInput, prepare
from inference.saliency.controls.random_weights import randomised
from inference.saliency.engine.maps import SaliencyMap
from inference.trust.assess import assess
from inference.trust.evidence import Examiner
from inference.trust.judge import ALTERED
from inference.trust.verdict import Trust, Verdict
from inference.trust.warrant import Warrant
from tests.development_data import FOLDER, needs_data

pytestmark = [pytest.mark.numerics, needs_data]
NAME = "brain_tumour_t1ce"
ONE_PLANE = AnalysisOptions(planes_explained=1, device="cpu")
KEPT = int(os.environ.get("HEATPROOF_TEST_BROKEN_CASES", "3"))
STEP = max(1, 120 // KEPT)
"""So many TRUSTED cases are broken, of every so manieth of the split."""
Spoil = Callable[[torch.Tensor], torch.Tensor]


class NoisyReplicates(Bundle):
    """Its replicates have random weights."""

    def replicates(self, device: torch.device = CPU) -> tuple[Network, ...]:
        known = enumerate(super().replicates(device))
        return tuple(replace(one, module=randomised(one.module, seed=seed)) for seed, one in known)


class WrongLayer(Bundle):
    """Its maps are taken one block too early."""

    layer = "layer4.0"

    def primary(self, device: torch.device = CPU) -> Network:
        return replace(super().primary(device), layer=self.layer)


class FarLayer(WrongLayer):
    """Its maps are taken from a layer of another width."""

    layer = "layer3"


@dataclass(frozen=True, eq=False)
class Deployment:
    """What happens to a case on its way, each step as it should be unless it is broken."""

    bundle: Bundle
    input: Spoil = lambda tensor: tensor
    finding: Callable[[Finding], Finding] = lambda finding: finding
    map: Callable[["Deployment", ModelInput, SaliencyMap], SaliencyMap] = lambda _deployment, _inputs, shown: shown

    def judge(self, series: AnnotatedSeries, warrant: Warrant) -> Trust | None:
        """Return the verdict; None: nothing is found, so nothing is shown."""
        inputs = prepare(self.bundle, series.image)
        inputs = replace(inputs, tensor=self.input(inputs.tensor).contiguous())
        findings = classify(self.bundle, inputs, options=ONE_PLANE).findings[:1]
        named = [self.finding(one) for one in findings]
        for made in explain_findings(self.bundle, series.image, inputs, named, options=ONE_PLANE):
            return assess(self.bundle, inputs, self.map(self, inputs, made), options=ONE_PLANE, warrant=warrant)
        return None


def loaded(kind: type[Bundle] = Bundle) -> Bundle:
    return kind(SHIPPED / NAME, read_seal(SHIPPED / NAME))


@pytest.fixture(scope="module")
def warrant() -> Warrant:
    return Warrant.of(load_passport(SHIPPED_PASSPORTS / "brisc" / NAME / "passport.json"), alpha=0.10, delta=0.10)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return loaded()


@pytest.fixture(scope="module")
def trusted(bundle: Bundle, warrant: Warrant) -> list[AnnotatedSeries]:
    """Cases whose maps are TRUSTED while nothing is broken."""
    every = read_labels_folder(FOLDER / "brain_t1ce", ["commissioning"], is_volume=False)
    good = (
        series
        for series in islice(every, 0, None, STEP)
        if isinstance(series, AnnotatedSeries) and word(Deployment(bundle), series, warrant) is Verdict.TRUSTED
    )
    found = list(islice(good, KEPT))
    assert len(found) == KEPT
    return found


def word(deployment: Deployment, series: AnnotatedSeries, warrant: Warrant) -> Verdict | None:
    trust = deployment.judge(series, warrant)
    return None if trust is None else trust.verdict


def off_by_one(finding: Finding) -> Finding:
    return replace(finding, class_index=(finding.class_index + 1) % 3)


def drawn_anew(layer: str | None = None, step: int = 0) -> Callable[[Deployment, ModelInput, SaliencyMap], SaliencyMap]:
    """Put in the displayed map's place one of another layer or class; the evidence is honest."""

    def change(deployment: Deployment, inputs: ModelInput, shown: SaliencyMap) -> SaliencyMap:
        primary = deployment.bundle.primary()
        examiner = Examiner(deployment.bundle, shown.method, shown.parameters, CPU)
        values = examiner.map(
            inputs.tensor, (shown.finding.class_index + step) % 3, seed=shown.seed,
            network=replace(primary, layer=layer or primary.layer),
        )  # fmt: skip
        return replace(shown, values=values)

    return change


def flipped(_deployment: Deployment, _inputs: ModelInput, shown: SaliencyMap) -> SaliencyMap:
    return replace(shown, values=np.ascontiguousarray(shown.values[:, ::-1]))


BROKEN: dict[str, Callable[[Bundle], Deployment]] = {
    "random weights in the replicates": lambda _: Deployment(loaded(NoisyReplicates)),
    "wrong layer of the displayed map": lambda one: Deployment(one, map=drawn_anew(layer="layer4.0")),
    "wrong layer everywhere": lambda _: Deployment(loaded(WrongLayer)),
    "displayed map of the next class": lambda one: Deployment(one, map=drawn_anew(step=1)),
    "class index off by one everywhere": lambda one: Deployment(one, finding=off_by_one),
    "displayed map flipped left to right": lambda one: Deployment(one, map=flipped),
    "grey levels of 0 to 255": lambda one: Deployment(one, input=lambda x: x * 255),
    "grey levels divided by 255 once more": lambda one: Deployment(one, input=lambda x: x / 255),
    "standardised grey levels": lambda one: Deployment(one, input=lambda x: (x - x.mean()) / x.std()),
    "black and white exchanged": lambda one: Deployment(one, input=lambda x: 1 - x),
}


@pytest.mark.parametrize("how", list(BROKEN))
def test_a_broken_deployment_loses_every_trusted(
    how: str, bundle: Bundle, trusted: list[AnnotatedSeries], warrant: Warrant
) -> None:
    deployment = BROKEN[how](bundle)
    assert Verdict.TRUSTED not in [word(deployment, one, warrant) for one in trusted]


def test_replicates_that_do_not_agree_are_named_as_the_reason(trusted: list[AnnotatedSeries], warrant: Warrant) -> None:
    trust = Deployment(loaded(NoisyReplicates)).judge(trusted[0], warrant)
    assert trust is not None
    assert trust.verdict is Verdict.WITHHELD
    assert trust.score is None
    assert trust.reasons[0].startswith("Other trainings draw maps no more like this one")


def test_a_map_of_another_layer_or_class_is_named_as_altered(
    bundle: Bundle, trusted: list[AnnotatedSeries], warrant: Warrant
) -> None:
    trust = Deployment(bundle, map=drawn_anew(step=1)).judge(trusted[0], warrant)
    assert trust is not None
    assert trust.reasons == (ALTERED,)


def test_features_of_another_width_are_refused(trusted: list[AnnotatedSeries], warrant: Warrant) -> None:
    with pytest.raises(Refused, match="has 128 figures"):
        Deployment(loaded(FarLayer)).judge(trusted[0], warrant)


def test_rows_and_columns_exchanged_lose_most_of_trusted(
    bundle: Bundle, trusted: list[AnnotatedSeries], warrant: Warrant
) -> None:
    """Not all: planes of three orientations are in this bundle's site, and model and localiser turn with the image."""
    words = [word(Deployment(bundle, input=lambda x: x.transpose(2, 3)), one, warrant) for one in trusted]
    assert words.count(Verdict.TRUSTED) <= len(words) / 2
