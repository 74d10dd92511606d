"""What companions cost and reach, before any training: memory, hours, and the alpha of so many patients."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from scipy.stats import binom

from inference.bundle.bundle import Bundle
from inference.companions.architectures import (
    ALTERNATES,
    NetworkSize,
    alternate_definition,
    build,
    halvings,
    localiser_definitions,
    size_of,
)
from inference.companions.budget import SizedTraining, fitting_batch, free_bytes, trainings, within
from inference.companions.planning import SiteSizes, plan_companions, sizes_of_data, sizes_of_patients
from inference.companions.settings import CompanionSettings, Schedule
from inference.errors import UnknownName, Unsuitable
from inference.statistics.bounds import expected_alpha
from tests.inference.companions.own_site import without_masks, write_site

CPU = torch.device("cpu")
ASKED = CompanionSettings(alternate="resnet_small", device="cpu")


def test_the_expected_alpha_is_the_exact_binomial_bound() -> None:
    counting, alpha = expected_alpha(300, 0.05, 0.10)
    assert counting == 120
    assert alpha is not None
    assert binom.cdf(6, 120, alpha) == pytest.approx(0.10)
    assert expected_alpha(300, 0.0, 0.10)[1] == pytest.approx(1 - 0.1 ** (1 / 120))
    assert expected_alpha(2, 0.0, 0.10) == (0, None)
    alphas = [expected_alpha(count, 0.10, 0.10)[1] or 1.0 for count in (17, 34, 60, 120, 300, 800)]
    assert alphas == sorted(alphas, reverse=True)


def test_a_plan_counts_patients_by_their_splits_and_trains_nothing(own: Bundle, data: Path) -> None:
    sizes = sizes_of_data(data, own.manifest, ("train",))
    assert (sizes.trained, sizes.commissioned, sizes.finding_cases + sizes.other_cases) == (12, 2, 36)
    assert sizes.masks
    made = plan_companions(own, sizes, ASKED)
    assert [(entry.kind, entry.times) for entry in made.trainings] == [
        ("replicate", 2), ("alternate", 1), ("localiser", 1)
    ]  # fmt: skip
    assert made.hours == pytest.approx(sum(entry.hours for entry in made.trainings))
    assert all(entry.memory_gib > 0 and entry.hours > 0 for entry in made.trainings)
    assert [expected.misses for expected in made.alphas] == [0.0, 0.05, 0.10]
    assert any("are left to commission with" in line for line in made.lines)


def test_a_plan_without_masks_has_no_localiser_and_says_so_first(own: Bundle, tmp_path: Path) -> None:
    data = write_site(tmp_path / "site", without_masks)
    made = plan_companions(own, sizes_of_data(data, own.manifest, ("train",)), replace(ASKED, guide=True))
    assert made.lines[0].startswith("No masks")
    assert {entry.kind for entry in made.trainings} == {"replicate", "alternate"}


def test_a_plan_for_patients_to_come_needs_no_data_and_refuses_too_few(own: Bundle) -> None:
    sizes = sizes_of_patients(100, 4, masks=True)
    assert (sizes.trained, sizes.commissioned) == (40, 60)
    assert sizes.finding_cases + sizes.other_cases == 160
    with pytest.raises(Unsuitable, match=r"8 patients are too few"):
        plan_companions(own, sizes_of_patients(20, 4, masks=True), ASKED)


def test_guidance_costs_a_training_for_each_fold_and_one_more(own: Bundle) -> None:
    made = trainings(own, replace(ASKED, guide=True), masks=True, device=CPU)
    assert [(entry.kind, entry.times) for entry in made][:2] == [("guided", 4), ("replicate", 2)]


def test_what_does_not_fit_the_memory_is_refused_with_the_sizes_and_the_cure(own: Bundle) -> None:
    with pytest.raises(Unsuitable, match=r"replicate \(ResNet\) on one image of 32 x 32 needs .* GiB.*--replicates 0"):
        trainings(own, ASKED, masks=True, device=CPU, memory_bytes=1 << 16)
    made = trainings(own, ASKED, masks=True, device=CPU)
    size = size_of(own.primary().module, own.manifest)
    less = trainings(own, replace(ASKED, alternate="none", localiser="none"), masks=True, device=CPU,
                     memory_bytes=size.bytes_of(4))  # fmt: skip
    assert made[0].schedule.batch == 8
    assert less[0].schedule.batch == 4


def test_the_memory_of_a_training_grows_with_its_batch() -> None:
    size = NetworkSize(parameters=1000, saved_bytes=1 << 20)
    assert size.bytes_of(4) - size.bytes_of(2) == 4 << 20
    assert fitting_batch(size, 8, size.bytes_of(8)) == 8
    assert fitting_batch(size, 8, size.bytes_of(8) - 1) == 4
    assert fitting_batch(size, 8, 1 << 10) == 0
    assert free_bytes(CPU) > 1 << 20


def test_hours_cut_the_epochs_of_all_alike_and_too_few_are_refused() -> None:
    schedule = Schedule(epochs=40, batch=8, learning_rate=1e-3, patience=5)
    entry = SizedTraining("replicate", "given", "ResNet", None, 2, schedule, 1, 1, seconds_per_image=0.1)
    whole = entry.seconds(1000, 300)
    assert whole == pytest.approx(2 * 40 * 0.1 * 1100)
    (cut,) = within([entry], whole / 3600 / 2, 1000, 300)
    assert cut.schedule.epochs == 18
    assert within([entry], 10 * whole, 1000, 300) == (entry,)
    with pytest.raises(Unsuitable, match=r"0\.01 hours are too few: 4 epochs of everything asked for take 0\.2"):
        within([entry], 0.01, 1000, 300)


def test_the_alternate_is_of_another_family_and_near_in_size(own: Bundle) -> None:
    name, definition = alternate_definition("auto", own.primary().module, own.manifest)
    assert name == "densenet_small"
    assert build(definition)(torch.zeros(1, 1, 32, 32)).shape == (1, 2)
    with pytest.raises(UnknownName, match=r"no alternate 'vgg'"):
        alternate_definition("vgg", own.primary().module, own.manifest)
    assert all(call(3, 2, 4)["spatial_dims"] == 3 for call in ALTERNATES.values())


@pytest.mark.parametrize("size", [(32, 32), (50, 45), (32, 24, 16)])
def test_every_localiser_gives_a_mask_of_the_input(own: Bundle, size: tuple[int, ...]) -> None:
    entry = own.manifest.input.model_copy(update={"spatial_size": size})
    manifest = own.manifest.model_copy(update={"input": entry})
    for _, definition in localiser_definitions("unet", manifest):
        assert build(definition).eval()(torch.zeros(1, 1, *size)).shape == (1, 1, *size)
    assert halvings((32, 24)) == 2
    assert halvings((50, 45)) == 0


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(UnknownName, match=r"9 is not a valid number of replicates\. Choose 0 to 8"):
        CompanionSettings(replicates=9)
    with pytest.raises(UnknownName, match=r"--hours must be above 0"):
        CompanionSettings(hours=0.0)


def test_an_epoch_of_a_site_has_few_more_images_without_a_finding_than_with_one() -> None:
    sizes = SiteSizes(trained=50, commissioned=50, finding_cases=100, other_cases=1000, masks=True)
    assert sizes.learning == round(0.8 * 220)
    assert sizes.stopping == 220
