"""A small RetinaNet on lesion boxes: a detector as a reference for where maps could point (Arun et al. 2021).

MONAI's feature extractor and its matching for it need torchvision; the pyramid and the loss here do not.
"""

from collections import OrderedDict

import torch
import torch.nn.functional as F
from monai.apps.detection.networks.retinanet_network import RetinaNet
from monai.apps.detection.utils.anchor_utils import AnchorGeneratorWithAnchorShape
from monai.apps.detection.utils.box_coder import BoxCoder
from monai.data.box_utils import box_iou, non_max_suppression
from monai.networks.blocks.feature_pyramid_network import FeaturePyramidNetwork
from torch import nn

CHANNELS = (16, 32, 64, 64)
"""Of the stages of stride 2, 4, 8 and 16; the last two feed the pyramid."""
WIDTH = 32
"""Channels of the pyramid and of the heads."""
ANCHORS = ((20, 20), (16, 26), (26, 16), (34, 34))
"""Height and width in pixels at stride 8, doubled at stride 16."""
SURE = 0.05
"""Boxes of a lower score are dropped."""
MOST = 10
"""Boxes drawn in one slice."""


class Pyramid(nn.Module):
    """Convolutions of stride 2, 4, 8, 16, and a feature pyramid (Lin et al. 2017) over the last two."""

    out_channels = WIDTH

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            _stage(before, after) for before, after in zip((1, *CHANNELS[:-1]), CHANNELS, strict=True)
        )
        self.pyramid = FeaturePyramidNetwork(2, list(CHANNELS[2:]), WIDTH)

    def forward(self, inputs: torch.Tensor) -> list[torch.Tensor]:
        """Return features of each level, finest first: (N, 1, S, S) to (N, 32, S/8, S/8) and (N, 32, S/16, S/16)."""
        features: OrderedDict[str, torch.Tensor] = OrderedDict()
        for number, stage in enumerate(self.stages):
            inputs = stage(inputs)
            if number >= 2:
                features[str(number)] = inputs
        return list(self.pyramid(features).values())


def _stage(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels, stride in ((before, 2), (after, 1)):
        layers += [nn.Conv2d(channels, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers)


class Detector(nn.Module):
    """MONAI's RetinaNet (Lin et al. 2017, "Focal loss for dense object detection") with its anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.network = RetinaNet(2, 1, len(ANCHORS), Pyramid(), size_divisible=16)
        self._generator = AnchorGeneratorWithAnchorShape(feature_map_scales=(1, 2), base_anchor_shapes=ANCHORS)
        self.coder = BoxCoder(weights=(1.0, 1.0, 1.0, 1.0))

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Judge every anchor: (N, 1, S, S) to logits (N, A), box codes (N, A, 4); and the anchors, (A, 4)."""
        outputs = self.network(inputs)
        logits, codes = outputs[self.network.cls_key], outputs[self.network.box_reg_key]
        anchors = torch.cat(self._generator(inputs[:1], [level[:1] for level in logits]))
        return _by_anchor(logits, 1)[..., 0], _by_anchor(codes, 4), anchors


def _by_anchor(levels: list[torch.Tensor], values: int) -> torch.Tensor:
    """Lay (N, anchors * values, h, w) of every level out as (N, A, values)."""
    apart = [
        level.reshape(len(level), -1, values, *level.shape[2:]).permute(0, 3, 4, 1, 2).flatten(1, 3) for level in levels
    ]
    return torch.cat(apart, dim=1)


def box_of(mask: torch.Tensor) -> torch.Tensor:
    """Return the box round a mask, (S, S) bool to (1, 4): first row and column, last ones plus one; or (0, 4)."""
    rows, columns = (torch.nonzero(mask.any(dim=axis))[:, 0] for axis in (1, 0))
    if len(rows) == 0:
        return torch.zeros(0, 4)
    return torch.stack([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]).float()[None]


def detector_loss(detector: Detector, inputs: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Focal loss (alpha 0.25, gamma 2) of all anchors plus smooth L1 of matched ones, over the number matched.

    Anchors match the box round the mask from an overlap of 0.5, the best one always; from 0.4 to 0.5 they do not count.

    Args:
        detector: in training mode.
        inputs: (N, 1, S, S).
        masks: (N, 1, S, S) share of lesion.
    """
    logits, codes, anchors = detector(inputs)
    expected, counts, distance = torch.zeros_like(logits), torch.ones_like(logits), torch.zeros(())
    for number, mask in enumerate(masks[:, 0] > 0.5):
        box = box_of(mask)
        if len(box) == 0:
            continue
        overlap = box_iou(anchors, box)[:, 0]
        matched = overlap >= min(0.5, float(overlap.detach().max()))
        expected[number, matched] = 1.0
        counts[number, (overlap >= 0.4) & ~matched] = 0.0
        own = anchors[matched]
        code = detector.coder.encode_single(box.expand_as(own), own)
        distance = distance + F.smooth_l1_loss(codes[number, matched], code, beta=1 / 9, reduction="sum")
    surprise = F.binary_cross_entropy_with_logits(logits, expected, reduction="none")
    weight = torch.where(expected > 0, 0.25, 0.75) * (1 - (-surprise).exp()) ** 2 * counts
    return ((weight * surprise).sum() + distance) / expected.sum().clamp(min=1)


def detection_maps(detector: Detector, inputs: torch.Tensor) -> torch.Tensor:
    """Draw every box with its score, the higher over the lower: (N, 1, S, S) to (N, S, S), 0 outside all boxes.

    Of boxes that overlap by half, the best stays; of those left, the ten best of a score of 0.05 or more.
    """
    maps = torch.zeros(inputs.shape[0], *inputs.shape[2:])
    with torch.inference_mode():
        logits, codes, anchors = detector(inputs)
    for drawn, logit, code in zip(maps, logits, codes, strict=True):
        score = logit.sigmoid()
        sure = score >= SURE
        boxes = detector.coder.decode_single(code[sure], anchors[sure]).clamp(0, inputs.shape[2])
        kept = non_max_suppression(boxes, score[sure], 0.5, MOST) if bool(sure.any()) else []
        for index in kept:
            top, left, bottom, right = boxes[int(index)].round().long().tolist()
            drawn[top:bottom, left:right].clamp_(min=float(score[sure][int(index)]))
    return maps
