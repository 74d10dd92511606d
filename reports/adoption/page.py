"""What adopting a network came to as one HTML page, and the lines for a node's settings."""

import json
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from inference.adopting.account import AdoptionAccount

ROWS = {
    "accuracy": "accuracy",
    "hit_rate": "hit rate: the map's peak lies in the finding",
    "hit_rate_of_best_control": "hit rate of the control that hits most often",
    "hit_rate_before_guidance": "hit rate before guidance, on patients left out",
    "hit_rate_guided": "hit rate guided, on patients left out",
    "hit_rate_of_average_mask": "hit rate of the average mask there",
    "hit_rate_of_localiser": "hit rate of the localiser",
    "alpha": "alpha asked for",
    "smallest_alpha": "smallest alpha that these patients certify",
    "threshold": "P from which on maps are TRUSTED",
    "share_trusted": "share of maps shown that are TRUSTED",
    "share_of_trusted_that_miss": "share of TRUSTED maps that miss, on patients judged",
}
"""Figures of the page, in its order."""


def adoption_page(account: AdoptionAccount, settings: str) -> str:
    """Return the whole page.

    Args:
        account: what is said.
        settings: lines for the node's settings; see ``settings_lines``.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    rows = [(title, _shown(account.figures.get(key))) for key, title in ROWS.items()]
    return environment.get_template("page.html").render(account=account, rows=rows, settings=settings)


def account_lines(account: AdoptionAccount) -> tuple[str, ...]:
    """Return the page as lines of text, the most important first."""
    lines = [account.first]
    lines += [f"Reached: {sentence}" for sentence in account.reached]
    lines += [f"Not reached: {sentence}" for sentence in account.missing]
    for number, step in enumerate(account.steps, start=1):
        lines.append(f"Next step {number}: {step.title}. {step.why} {step.how}")
    return tuple(lines)


def accept_command(account: AdoptionAccount, site: Path) -> str:
    """Return the command by which a person accepts the passport for a node: it takes no others.

    Args:
        account: of the bundle.
        site: the adoption's folder.
    """
    passport = site / "passports" / account.bundle / "passport.json"
    return f"heatproof passport accept {passport} --by YOUR_NAME --config heatproof.toml"


def settings_lines(account: AdoptionAccount, modalities: tuple[str, ...], site: Path, *, alpha: float) -> str:
    """Return what goes into a node's settings file (TOML): the bundle, its passport, and a rule to start from.

    A passport without a verdict is not named: with it the node would not start.

    Args:
        account: of the bundle.
        modalities: that it takes.
        site: the adoption's folder.
        alpha: largest share of TRUSTED maps that may miss.
    """
    passports = (
        f"passport_folder = {json.dumps(str(site / 'passports'))}\nalpha = {alpha:g}\n"
        f"# before the node starts: {accept_command(account, site)}\n"
        if account.is_deployable
        else "# no passport_folder: there is no verdict, and maps are shown as UNCOMMISSIONED\n"
    )
    return (
        f"[inference]\nbundle_folders = [{json.dumps(str(site / 'bundles'))}]\n{passports}\n"
        f'[[rules]]\nname = "{account.bundle}"\nbundles = ["{account.bundle}"]\n'
        'destinations = ["pacs"]               # a [[destinations]] of yours\n\n'
        f'[[rules.when]]\nattribute = "Modality"\nequals = {json.dumps(list(modalities))}\n'
    )


def _shown(value: str | float | int | bool | None) -> str:
    return f"{value:.3g}" if isinstance(value, float) else "-" if value is None else str(value)
