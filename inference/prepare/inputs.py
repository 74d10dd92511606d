"""From a stack to the input of a network, as the bundle's manifest and its own preprocessing say."""

from collections.abc import Sequence

import numpy as np
import torch

from inference.bundle.bundle import Bundle
from inference.bundle.manifest_input import InputEntry
from inference.bundle.scope import too_many_missing
from inference.errors import BundleRefused, OutOfScope
from inference.prepare.channels import planes_of, volumes_of, with_neighbours
from inference.prepare.laid import Laid, coloured, input_values, laid_plane, several
from inference.prepare.model_input import ModelInput
from inference.prepare.walk import StepFailed, TookTooLong, Walk, Watch
from inference.reading.image import Image
from inference.upright import Matrix


def prepare(bundle: Bundle, image: Image, watch: Watch | None = None) -> ModelInput:
    """Bring a stack into the form the bundle's networks take, as ``[input]`` of its manifest says.

    Values are modality or display values; padding is replaced (black in display values) or as stored. The layout is
    that of MONAI's PydicomReader (x, y and z with its affine), or rows and columns laid out as on a light box (axial:
    rows to the patient's left, columns to the back) by exact flips and a transposition, with the spacing alone. The
    bundle's own preprocessing sees one plane at a time; all planes of the stack as channels (``statistics =
    "series"``); or a volume whose planes are evenly spaced and upright. Where it begins with MONAI's ``LoadImage`` it
    gets what that would have given: (x, y) or (x, y, z), (x, y, 3) in colour; else the same with the channels first.

    Args:
        bundle: whose networks are to see it.
        image: the stack.
        watch: told what was read, then each transform and what came out of it.

    Raises:
        OutOfScope: a volume whose planes are duplicated, unevenly spaced, or missing inside; an image that has not the
            networks' size after the preprocessing; a preprocessing that takes too long.
        BundleRefused: the preprocessing fails, or does not give the channels that the networks take.
    """
    entry, prepared = bundle.manifest.input, _Prepared(bundle, watch)
    count, rows, columns = image.values.shape[:3]
    if bundle.manifest.missing_allowed < 1 and (reason := too_many_missing(bundle.manifest, image)):
        raise OutOfScope(reason)
    if bundle.manifest.kind == "volume":
        volumes, places = volumes_of(image, entry)
        tensor, matrix = prepared.of([coloured(laid, entry) for laid in volumes])
        return ModelInput(tensor[None].contiguous(), matrix[None], (count, rows, columns), True, places)
    if entry.statistics == "series":
        tensor, matrix = prepared.of([several(_planes(image, entry))], channels=count)
        tensors, matrices = tensor[:, None].repeat(1, entry.channel_count, 1, 1), np.repeat(matrix[None], count, axis=0)
    else:
        laid = planes_of(image, entry) if entry.series else [[plane] for plane in _planes(image, entry)]
        done = [prepared.of(channels) for channels in laid]
        tensors, matrices = torch.stack([tensor for tensor, _ in done]), np.stack([matrix for _, matrix in done])
    return ModelInput(tensors.contiguous(), matrices, (count, rows, columns), is_volume=False)


def _planes(image: Image, entry: InputEntry) -> list[Laid]:
    """Lay every plane of one series out with its channels."""
    values = input_values(entry, image)
    channels_first = np.moveaxis(values, -1, 1) if entry.colour is True else values[:, None]
    laid = [laid_plane(plane, image, index, entry) for index, plane in enumerate(channels_first)]
    if entry.statistics == "series":
        return laid
    return with_neighbours(laid, entry.neighbours) if entry.neighbours else [coloured(plane, entry) for plane in laid]


class _Prepared:
    """The preprocessing of one bundle, run on input after input."""

    def __init__(self, bundle: Bundle, watch: Watch | None) -> None:
        self._name, self._entry = bundle.manifest.name, bundle.manifest.input
        self._keys = bundle.preprocessing.keys
        self._walk = Walk(bundle.preprocessing, watch)

    def of(self, channels_of: Sequence[Laid], channels: int | None = None) -> tuple[torch.Tensor, Matrix]:
        """Return the network's input, (channels, *spatial), and the map from its indices to source indices.

        Args:
            channels_of: the image; of several series, each.
            channels: that the result must have; None: as the manifest says.
        """
        given = self._by_key(channels_of)
        shapes = " and ".join(dict.fromkeys(str(laid.values.shape) for laid in given.values()))
        try:
            tensor, matrix = self._walk.run(given)
        except TookTooLong as error:
            raise OutOfScope(f"The preprocessing of {self._name} {error}, on an input of shape {shapes}.") from error
        except StepFailed as error:
            raise BundleRefused(
                f"{self._name}: the preprocessing {error}, on an input of shape {shapes}.",
                cure="Correct the preprocessing in the bundle's configuration.",
            ) from error
        self._check(tensor, channels or self._entry.channel_count)
        return tensor, channels_of[0].to_source @ matrix

    def _by_key(self, channels_of: Sequence[Laid]) -> dict[str, Laid]:
        """Return what lies under each key: the image under ``image``, or each series under its own."""
        by_series = {channel.key: laid for channel, laid in zip(self._entry.series, channels_of, strict=False)}
        if all(by_series) and len(by_series) == len(channels_of) > 1:
            return {str(key): laid for key, laid in by_series.items()}
        whole = several(channels_of) if len(channels_of) > 1 else channels_of[0]
        main = "image" if "image" in self._keys else next(iter(self._keys), "")
        lacking = [key for key in self._keys if key != main]
        if lacking:
            raise BundleRefused(
                f"{self._name}: the preprocessing takes {' and '.join(self._keys)}; there is but one image.",
                cure=f"Take {', '.join(lacking)} out of the keys of the transforms used for inference.",
            )
        return {main: whole}

    def _check(self, tensor: torch.Tensor, channels: int) -> None:
        given, expected = tuple(tensor.shape), (channels, *self._entry.spatial_size)
        if given[1:] != expected[1:]:
            made, taken = (" x ".join(map(str, shape[1:])) for shape in (given, expected))
            raise OutOfScope(f"After the preprocessing of {self._name} the image is {made}; its networks take {taken}.")
        if given != expected:
            raise BundleRefused(
                f"{self._name}: the preprocessing gives {given[0]} channels, the networks take {expected[0]}.",
                cure='Say where the channels come from: input.colour = "grey as RGB" for a grey image in three equal '
                "channels, input.colour = true for images in colour, input.neighbours for neighbouring planes, "
                "[[input.channels]] for several series, or RepeatChannel in the preprocessing.",
            )
