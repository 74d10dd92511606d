"""Every signal by name: its tier, its meaning, and the sentence shown where it speaks against the map.

Tier A looks at the map and the model, B at the image under the map's peak, C at an independent localiser.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """Definition of one signal, and the sentences for low and high values."""

    name: str
    tier: str
    meaning: str
    low: str
    """Sentence shown where a low value speaks against the map; empty: none."""
    high: str
    """Sentence shown where a high value does; empty: none."""
    turn: float = 0.5
    """Threshold between ``low`` and ``high``: a value below it is called low, any other high."""
    referenced: bool = False
    """Whether it is an agreement, which maps of different subjects have too: it needs a null (``nulls.py``)."""
    version: int = 1
    """Of its definition: whoever changes what the signal means raises it (``versions.py``)."""

    @property
    def part(self) -> str:
        """The part of the evidence it is read from (``budgets.py``); empty: what every budget has."""
        return _PARTS.get(self.name.partition("_")[0], "")


_PARTS = {
    "replicate": "replicates",
    "alternate": "alternates",
    "twin": "twin",
    "contrast": "contrast",
    "moved": "moved",
    "gradient": "gradient",
    "deletion": "covered",
    "insertion": "covered",
}


KINDS: tuple[Kind, ...] = (
    Kind("probability", "A", "probability of the finding", "The model is unsure of the finding.", ""),
    Kind("margin", "A", "lead over the next class", "Another class is nearly as probable.", ""),
    Kind("peak_height", "A", "height of the map's peak (logarithm)", "The map is faint.", "", turn=1e09),
    Kind("concentration", "A", "share of the map in its hottest 5 %", "The map is spread out.", ""),
    Kind("second_peak", "A", "height of the second spot, as a share of the first", "", "The map has several spots."),
    Kind(
        "edge_distance", "A", "distance of the peak from the image's edge", "The peak lies at the edge.", "", turn=0.1
    ),
    Kind(
        "replicate_rank",
        "A",
        "rank of the peak in the replicates' maps",
        "Other trainings look elsewhere.",
        "",
        turn=0.9,
    ),
    Kind(
        "replicate_spearman",
        "A",
        "agreement with the replicates (Spearman)",
        "Other trainings disagree.",
        "",
        referenced=True,
    ),
    Kind(
        "replicate_overlap",
        "A",
        "overlap with the replicates' hottest 10 %",
        "Other trainings disagree.",
        "",
        turn=0.3,
        referenced=True,
    ),
    Kind(
        "replicate_distance", "A", "distance to the replicates' peaks", "", "Other trainings point elsewhere.", turn=0.1
    ),
    Kind(
        "alternate_rank",
        "A",
        "rank of the peak in the alternates' maps",
        "Another architecture looks elsewhere.",
        "",
        turn=0.9,
    ),
    Kind(
        "alternate_spearman",
        "A",
        "agreement with the alternates (Spearman)",
        "Another architecture disagrees.",
        "",
        referenced=True,
    ),
    Kind(
        "alternate_distance",
        "A",
        "distance to the alternates' peaks",
        "",
        "Another architecture points elsewhere.",
        turn=0.1,
    ),
    Kind(
        "twin_spearman", "A", "likeness to the untrained twin's map (Spearman)", "", "An untrained network draws this."
    ),
    Kind(
        "contrast_spearman",
        "A",
        "likeness to the next class' map (Spearman)",
        "",
        "It looks the same for another class.",
    ),
    Kind(
        "contrast_rank",
        "A",
        "rank of the peak in the next class' map",
        "",
        "Another class claims the same place.",
        turn=0.9,
    ),
    Kind(
        "moved_rank",
        "A",
        "rank of the peak when the image is moved",
        "The peak wanders as the image moves.",
        "",
        turn=0.9,
        version=2,
    ),
    Kind(
        "moved_spearman",
        "A",
        "stability when the image is moved (Spearman)",
        "The map changes as the image moves.",
        "",
        referenced=True,
        version=2,
    ),
    Kind("gradient_rank", "A", "rank of the peak in the gradient", "The gradient says otherwise.", "", turn=0.8),
    Kind(
        "deletion",
        "A",
        "fall of the probability when the map's place is blurred",
        "The place hardly matters.",
        "",
        turn=0.1,
    ),
    Kind("insertion", "A", "probability by the map's place alone", "The place alone does not show it.", ""),
    Kind(
        "peak_brightness", "B", "rank of the grey value at the peak", "The spot is dark.", "The spot is the brightest."
    ),
    Kind("peak_contrast", "B", "contrast of the peak with its surroundings", "Nothing stands out there.", "", turn=0.2),
    Kind(
        "peak_texture",
        "B",
        "texture at the peak, against the image's",
        "The spot is smooth.",
        "The spot is an edge.",
        1.0,
    ),
    Kind("peak_asymmetry", "B", "difference from the mirrored place", "The other side looks the same.", "", turn=0.2),
    Kind("witness_at_peak", "C", "localiser's probability at the peak", "The localiser sees no finding there.", ""),
    Kind(
        "witness_share",
        "C",
        "share of the map where the localiser sees a finding",
        "Much of the map lies where the localiser sees nothing.",
        "",
        turn=0.3,
    ),
    Kind(
        "witness_distance",
        "C",
        "distance of the peak from the localiser's finding",
        "",
        "The localiser points elsewhere.",
        turn=0.05,
    ),
    Kind("witness_certainty", "C", "localiser's highest probability", "The localiser sees no finding at all.", ""),
)
NAMES = tuple(kind.name for kind in KINDS)
TIERS = tuple(kind.tier for kind in KINDS)
DISSENTING = ("replicate_spearman", "alternate_spearman")
"""Agreements of which a map is withheld that does not lie above the null."""
