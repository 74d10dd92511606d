"""Models: the bundles installed, their passports of this site, and what keeps their maps from being TRUSTED."""

import base64
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from fastapi.responses import FileResponse, HTMLResponse

from inference.bundle.bundle import Bundle, load_bundle
from inference.bundle.discovery import Discovered, discover
from inference.bundle.identity import BundleIdentity
from inference.bundle.manifest import Manifest
from inference.bundle.manifest_input import InputEntry
from inference.errors import PassportRefused, UnknownName
from inference.passport.passport import Passport, load_passport
from inference.passport.rules import RULES
from inference.statistics.risk_control import Certificate
from inference.trust.judge import promise, uncertified, uncertified_class
from inference.trust.versions import fit_anew
from inference.trust.warrant import Warrant
from node.audit.audit import Audit
from node.settings.inference import InferenceSettings
from node.settings.rule import Rule
from node.web.access.caller import Principal
from node.web.guard import Guard
from node.web.pages import Pages
from reports.passport.page import passport_page
from reports.passport.tables import method_order
from reports.passport.words import margin

LEFT_OUT: dict[str, Any] = {
    "passport": {
        "methods": {"__all__": {"criteria": {"__all__": {"curve", "also", "settings"}}}},
        **dict.fromkeys(("gallery", "sample", "references", "settings", "verdict", "run"), True),
    }
}
"""Parts of a passport that are not in a model's JSON for their size; /api/models/{name}/passport.json has them."""


@dataclass(frozen=True)
class RouteUse:
    """A rule that routes studies to the bundle; its clauses are left out, since they may ask about a patient."""

    route: str
    method: str
    destinations: tuple[str, ...]


@dataclass(frozen=True)
class Missing:
    """What keeps maps of this bundle from being TRUSTED, and what to do about it."""

    sentence: str
    cure: str = ""


@dataclass(frozen=True)
class Model:
    """One bundle."""

    name: str
    state: str
    """sealed or refused."""
    problem: str
    """Why it is refused; empty where it is sealed."""
    identity: BundleIdentity | None = None
    manifest: Manifest | None = None
    accepts: str = ""
    """The input it accepts, in words."""
    routes: tuple[RouteUse, ...] = ()
    passport: Passport | None = None
    certificate: Certificate | None = None
    """Threshold of TRUSTED at this node; None: no route uses the bundle, or it is not commissioned."""
    promise: str = ""
    """What TRUSTED promises here, or why no threshold is certified."""
    missing: tuple[Missing, ...] = ()


class Models:
    """Every bundle of this node, read again for each request: what is shown is what is on disk."""

    def __init__(
        self,
        settings: InferenceSettings,
        rules: Callable[[], Sequence[Rule]],
        warrants: Mapping[str, Warrant],
    ) -> None:
        """Bind to one node.

        Args:
            settings: where its bundles and passports are.
            rules: returns those in force.
            warrants: what its passports allow, by bundle.
        """
        self._settings = settings
        self._rules = rules
        self._warrants = warrants

    def all(self) -> tuple[Model, ...]:
        """List all of them, those in use first."""
        models = [self._model(bundle) for bundle in discover(self._settings.bundle_folders)]
        return tuple(sorted(models, key=lambda model: (not model.routes, model.name)))

    def named(self, name: str) -> Model:
        """Find one of them.

        Raises:
            UnknownName: there is none of this name.
        """
        for model in self.all():
            if model.name == name:
                return model
        raise UnknownName("There is no such bundle.", cure="Take its name from the page of models.")

    def passport(self, name: str) -> tuple[Path, Passport]:
        """Find the file of a bundle's passport, and load it.

        Raises:
            UnknownName: it has none.
            PassportRefused: it is altered, or cannot be read.
        """
        folder = self._settings.passport_folder
        known = [bundle.name for bundle in discover(self._settings.bundle_folders)]
        path = folder / name / "passport.json" if folder and name in known else None
        if path is None or not path.is_file():
            raise UnknownName("There is no passport of such a bundle.", cure=_how_to_commission(name, folder))
        return path, load_passport(path)

    def _model(self, found: Discovered) -> Model:
        if found.identity is None:
            return Model(found.name, found.state, found.reason)
        bundle = load_bundle(found.folder)
        manifest = bundle.manifest
        passport, missing = self._commissioned(bundle)
        warrant = self._warrants.get(manifest.name)
        uses = tuple(
            RouteUse(route=rule.name, method=rule.method or manifest.method, destinations=rule.destinations)
            for rule in self._rules()
            if manifest.name in rule.bundles
        )
        if passport is not None and uses and warrant is None:
            sentence = "The passport was written after the node was started."
            missing = (*missing, Missing(sentence, "Accept it (`heatproof passport accept`), and restart the node."))
        return Model(
            name=manifest.name,
            state=found.state,
            problem="",
            identity=bundle.identity,
            manifest=manifest,
            accepts="; ".join(_accepted(manifest.input)),
            routes=uses,
            passport=passport,
            certificate=warrant.certificate if warrant else None,
            promise=_promise(warrant) if warrant else "",
            missing=(*missing, *_lacks(bundle, warrant, uses)),
        )

    def _commissioned(self, bundle: Bundle) -> tuple[Passport | None, tuple[Missing, ...]]:
        name = bundle.manifest.name
        try:
            passport = self.passport(name)[1]
        except UnknownName as error:
            return None, (Missing("No passport: overlays are marked UNCOMMISSIONED.", error.cure),)
        except PassportRefused as error:
            return None, (Missing(str(error.args[0]), error.cure),)
        if passport.bundle.digest != bundle.identity.digest:
            sentence = "The passport is of another version of this bundle: overlays are marked UNCOMMISSIONED."
            return passport, (Missing(sentence, _how_to_commission(name, self._settings.passport_folder)),)
        return passport, ()


def model_routes(audit: Audit, pages: Pages, guard: Guard) -> APIRouter:
    """Make ``/models``, a page for each bundle and for its passport, and ``/api/models``."""
    models = Models(audit.settings.inference, audit.rules, audit.warrants)
    routes = APIRouter()
    routes.include_router(_api(models, guard))

    @routes.get("/models")
    def show(caller: Annotated[Principal, Depends(guard.page)]) -> Response:
        return pages.show("models.html", caller=caller, here="/models", models=models.all())

    @routes.get("/models/{name}")
    def show_one(name: str, caller: Annotated[Principal, Depends(guard.page)]) -> Response:
        model = models.named(name)
        names = method_order(model.passport) if model.passport else []
        return pages.show(
            "model.html", caller=caller, here="/models", model=model, methods=names, rules=RULES, margin=margin
        )

    @routes.get("/models/{name}/passport", dependencies=[Depends(guard.page)])
    def passport(name: str) -> Response:
        page = passport_page(models.passport(name)[1])
        return HTMLResponse(page, headers={"Content-Security-Policy": policy_of(page)})

    return routes


def _api(models: Models, guard: Guard) -> APIRouter:
    routes = APIRouter(prefix="/api/models", dependencies=[Depends(guard.read)])

    @routes.get("", response_model_exclude={"__all__": LEFT_OUT})
    def all_models() -> tuple[Model, ...]:
        return models.all()

    @routes.get("/{name}", response_model_exclude=LEFT_OUT)
    def one_model(name: str) -> Model:
        return models.named(name)

    @routes.get("/{name}/passport.json")
    def passport(name: str) -> FileResponse:
        return FileResponse(models.passport(name)[0], media_type="application/json")

    return routes


def policy_of(page: str) -> str:
    """Write the content security policy of a page that allows its own styles, by digest, and inline pictures alone."""
    styles = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() for style in styles]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; img-src data:; style-src {allowed}; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; sandbox"
    )


def _promise(warrant: Warrant) -> str:
    return uncertified(warrant) if warrant.certificate.threshold is None else promise(warrant)


def _lacks(bundle: Bundle, warrant: Warrant | None, uses: Sequence[RouteUse]) -> Iterator[Missing]:
    if bundle.manifest.localiser is None:
        yield Missing(
            "No independent localiser: no map is TRUSTED, CAUTION at most.", "Add one to the bundle as [localiser]."
        )
    if warrant is None:
        return
    if warrant.changed:
        yield Missing(f"No map is TRUSTED. {fit_anew(warrant.changed)}")
    if warrant.gate_failures:
        yield Missing("The maps do not clearly beat every control: every map is WITHHELD.")
    if warrant.certificate.threshold is None:
        lacking = warrant.certificate.groups_lacking
        more = f"At least {lacking} more patients are needed. " if lacking else ""
        cure = f"{more}`heatproof commission --plan --patients N` shows how many patients give which guarantee."
        yield Missing(uncertified(warrant), cure)
    for label in () if warrant.certificate.threshold is None else warrant.by_class:
        if warrant.certified.threshold_of(label) is None:
            yield Missing(uncertified_class(warrant, label), "Add patients with it, or set inference.certify_classes.")
    if warrant.believed:
        sentence = f"The budget {warrant.budget} accepted bogus maps too often: no map is TRUSTED."
        yield Missing(sentence, "Use a larger inference.trust_budget.")
    others = [use.route for use in uses if use.method != warrant.method]
    if others:
        sentence = f"The passport is about {warrant.method}; overlays of {', '.join(others)} are UNCOMMISSIONED."
        yield Missing(sentence, "Leave the method out of the rule.")


def _how_to_commission(name: str, folder: Path | None) -> str:
    out = folder / name if folder else f"PASSPORTS/{name}"
    settings = "" if folder else ", and PASSPORTS as inference.passport_folder in the settings"
    commission = f"`heatproof commission {name} --data FOLDER --methods all --out {out}`{settings}"
    return f"{commission}; `heatproof passport accept {out}/passport.json --by NAME`; then restart the node."


def _accepted(entry: InputEntry) -> Iterator[str]:
    yield " or ".join(entry.modality)
    for names in (entry.body_part, entry.plane):
        if names:
            yield " or ".join(name or "unnamed" for name in names)
    if entry.description_contains:
        yield f"named {' or '.join(entry.description_contains)}"
    if entry.series:
        yield f"together {', '.join(channel.name for channel in entry.series)}"
    yield f"at least {entry.minimum_frames} image{'s' if entry.minimum_frames > 1 else ''}"
