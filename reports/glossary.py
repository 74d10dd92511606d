"""What the words beside a map mean, in plain sentences: one source for console, reports and guide.

``python -m reports.glossary`` prints the page of the guide.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

PAGE = "/glossary"
"""Of the console."""


@dataclass(frozen=True)
class GlossaryTerm:
    """One word, and what it means."""

    anchor: str
    """Of its place on the page."""
    name: str
    meaning: str


TERMS = (
    GlossaryTerm(
        "probability", "Probability of the class",
        "How probable it is that the finding is of this class. A percentage is calibrated on the site's own cases: "
        "of calls with 97 %, about 97 in 100 were right at commissioning. A number such as 0.97 is what the network "
        "gives; networks are often surer than right.",
    ),
    GlossaryTerm(
        "p", "P (trust score)",
        "How probable it is that the map's highest value lies in a true finding, calibrated on this site's own cases. "
        "It is another question than whether the class is right.",
    ),
    GlossaryTerm(
        "verdict", "Verdict",
        "What may be done with a map, decided from P and from fixed rules; one of the five words listed below.",
    ),
    GlossaryTerm(
        "passport", "Passport, commissioned",
        "The record of how well a model's maps did on this site's own cases, and from which P on they are TRUSTED. A "
        "model without one is not commissioned here.",
    ),
    GlossaryTerm(
        "envelope", "Envelope",
        "The range of images that the model was commissioned on. An image outside of it is unlike all of them, so "
        "nothing measured then says how reliable the result is.",
    ),
    GlossaryTerm(
        "signal", "Signal",
        "One measurement that speaks for or against a map, such as how far it agrees with the maps of other trainings "
        "of the same network.",
    ),
    GlossaryTerm(
        "null", "Null",
        "The value that a signal has by chance: the same measurement between maps of different patients, with its 95 % "
        "interval.",
    ),
    GlossaryTerm(
        "a", "a*",
        "A signal set against its null: (value - null) / (1 - null). 0 is no better than chance, 1 is full agreement.",
    ),
    GlossaryTerm(
        "tier", "Tier",
        "Where a signal comes from. A: the map and the model. B: the image at the map's highest value. C: the "
        "localiser, an independent network that was trained on outlined findings.",
    ),
    GlossaryTerm(
        "part", "Part",
        "What a signal adds to the trust score, in log-odds: above 0 it speaks for the map, below 0 against it.",
    ),
)  # fmt: skip
"""At most ten: what a person meets on any page."""
VERDICTS: Mapping[str, str] = {
    "TRUSTED": "The map passed what it had to pass at this site: of such maps at most a stated share miss, "
    "over patients and with a stated confidence.",
    "CAUTION": "The map may be right; look at the image first.",
    "WITHHELD": "The finding stands, and no map is shown: it would point no better than chance, or a check failed.",
    "OUT OF ENVELOPE": "The image is unlike those of commissioning: how reliable the result is, is not known.",
    "UNCOMMISSIONED": "Nothing has been measured at this site, and no trust is claimed.",
}


def guide_page() -> Iterator[str]:
    """Yield the lines of the guide's page."""
    yield "# Glossary"
    yield ""
    yield "The words beside a map, on the console's pages and in the reports. This page is printed by"
    yield "`python -m reports.glossary`; the console has it under `/glossary`."
    for term in TERMS:
        yield from ("", f'<a id="{term.anchor}"></a>', f"**{term.name}.** {term.meaning}")
    yield from ("", "| Verdict | What it means |", "|---|---|")
    for verdict, meaning in VERDICTS.items():
        yield f"| {verdict} | {meaning} |"


if __name__ == "__main__":
    import sys

    sys.stdout.writelines(f"{line}\n" for line in guide_page())
