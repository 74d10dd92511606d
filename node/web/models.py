"""What is installed, what it says of itself, and what its maps are worth at this site."""

from pathlib import Path

from fastapi import APIRouter, Depends
from fastapi.responses import FileResponse

from inference.bundle.bundle import Bundle, discover, load_bundle
from inference.errors import PassportRefused, UnknownName
from inference.passport.passport import Passport, load_passport
from inference.trust.judge import uncertified
from inference.trust.warrant import Warrant
from node.audit.audit import Quality
from node.web.commissioned import PassportTold, ThresholdTold, Told, tell_passport, tell_threshold
from node.web.guard import Guard


class ModelClass(Told):
    """One output of the network."""

    name: str
    finding: bool
    threshold: float
    code: str
    """As VALUE SCHEME "MEANING" (PS3.3 8.8); empty: the bundle gives none."""


class RouteUse(Told):
    """A rule that routes studies to the bundle."""

    route: str
    method: str
    destinations: tuple[str, ...]


class Missing(Told):
    """What keeps maps of this bundle from being TRUSTED, and what to do about it."""

    sentence: str
    cure: str = ""


class Model(Told):
    """One bundle."""

    name: str
    state: str
    """sealed or refused."""
    problem: str
    """Why it is refused."""
    version: str = ""
    title: str = ""
    digest: str = ""
    weights_digest: str = ""
    kind: str = ""
    accepts: str = ""
    classes: tuple[ModelClass, ...] = ()
    method: str = ""
    replicates: int = 0
    alternates: int = 0
    witness: bool = False
    intended_use: str = ""
    not_for: str = ""
    licence: str = ""
    training_data: str = ""
    routes: tuple[RouteUse, ...] = ()
    passport: PassportTold | None = None
    threshold: ThresholdTold | None = None
    missing: tuple[Missing, ...] = ()


class Models:
    """Every bundle of this node, read anew each time: what is shown is what is on disk."""

    def __init__(self, quality: Quality) -> None:
        self._quality = quality
        self._settings = quality.settings.inference

    def all(self) -> tuple[Model, ...]:
        """Give all of them, those in use first."""
        found = [
            self._model(load_bundle(one.folder))
            if one.identity
            else Model(name=one.name, state=one.state, problem=one.reason)
            for one in discover(self._settings.bundle_folders)
        ]
        return tuple(sorted(found, key=lambda model: (not model.routes, model.name)))

    def one(self, name: str) -> Model:
        """Give one of them.

        Raises:
            UnknownName: there is none.
        """
        for model in self.all():
            if model.name == name:
                return model
        raise UnknownName("There is no such bundle.", cure="Take its name from the page of models.")

    def passport(self, name: str) -> tuple[Path, Passport]:
        """Give the file of a bundle's passport, and what is in it.

        Raises:
            UnknownName: it has none.
            PassportRefused: it is altered, or cannot be read.
        """
        folder = self._settings.passport_folder
        known = [one.name for one in discover(self._settings.bundle_folders)]
        path = folder / name / "passport.json" if folder and name in known else None
        if path is None or not path.is_file():
            raise UnknownName("There is no passport of such a bundle.", cure=_commission(name, folder))
        return path, load_passport(path)

    def _model(self, bundle: Bundle) -> Model:
        entry, identity = bundle.manifest, bundle.identity
        passport, missing = self._commissioned(bundle)
        warrant = self._quality.warrants.get(entry.name)
        uses = tuple(
            RouteUse(route=rule.name, method=rule.method or entry.method, destinations=rule.destinations)
            for rule in self._quality.rules()
            if entry.name in rule.bundles
        )
        if passport is not None and uses and warrant is None:
            missing = (*missing, Missing(sentence="The passport came after the node started.", cure="Restart it."))
        return Model(
            name=entry.name,
            state="sealed",
            problem="",
            version=entry.version,
            title=entry.title,
            digest=identity.digest,
            weights_digest=identity.weights_digest,
            kind=entry.kind,
            accepts=_accepts(bundle),
            classes=tuple(
                ModelClass(
                    name=one.name,
                    finding=one.finding,
                    threshold=one.threshold,
                    code=f'{one.code.value} {one.code.scheme} "{one.code.meaning}"' if one.code else "",
                )
                for one in entry.classes
            ),
            method=entry.method,
            replicates=len(entry.replicates),
            alternates=len(entry.alternates),
            witness=entry.localiser is not None,
            intended_use=entry.intended_use,
            not_for=entry.not_for,
            licence=entry.licence,
            training_data=entry.training_data,
            routes=uses,
            passport=tell_passport(passport) if passport else None,
            threshold=tell_threshold(warrant) if warrant else None,
            missing=(*missing, *_lacks(bundle, warrant, uses)),
        )

    def _commissioned(self, bundle: Bundle) -> tuple[Passport | None, tuple[Missing, ...]]:
        name = bundle.manifest.name
        try:
            passport = self.passport(name)[1]
        except UnknownName as error:
            sentence = "No passport: overlays are marked UNCOMMISSIONED."
            return None, (Missing(sentence=sentence, cure=error.cure),)
        except PassportRefused as error:
            return None, (Missing(sentence=str(error.args[0]), cure=error.cure),)
        if passport.bundle.digest != bundle.identity.digest:
            sentence = "The passport is about another state of this bundle: overlays are marked UNCOMMISSIONED."
            return passport, (Missing(sentence=sentence, cure=_commission(name, self._settings.passport_folder)),)
        return passport, ()


def model_routes(models: Models, guard: Guard) -> APIRouter:
    """Give ``/api/models``."""
    routes = APIRouter(prefix="/api/models", dependencies=[Depends(guard.read)])

    @routes.get("")
    def all_models() -> tuple[Model, ...]:
        return models.all()

    @routes.get("/{name}")
    def one_model(name: str) -> Model:
        return models.one(name)

    @routes.get("/{name}/passport.json")
    def passport(name: str) -> FileResponse:
        return FileResponse(models.passport(name)[0], media_type="application/json")

    return routes


def _lacks(bundle: Bundle, warrant: Warrant | None, uses: tuple[RouteUse, ...]) -> list[Missing]:
    found = []
    if bundle.manifest.localiser is None:
        sentence = "No independent localiser: no map is TRUSTED, CAUTION is the most."
        found.append(Missing(sentence=sentence, cure="Add one to the bundle as [localiser]."))
    if warrant is None:
        return found
    if warrant.gate_failures:
        found.append(Missing(sentence="The maps do not clearly beat every control: every map is WITHHELD."))
    if warrant.certificate.threshold is None:
        lacking = warrant.certificate.groups_lacking
        more = f"At least {lacking} more patients are needed. " if lacking else ""
        cure = f"{more}`heatproof commission --plan --patients N` tells how many patients buy which guarantee."
        found.append(Missing(sentence=uncertified(warrant), cure=cure))
    if warrant.believed:
        sentence = f"The budget {warrant.budget} believed bogus maps too often: no map is TRUSTED."
        found.append(Missing(sentence=sentence, cure="Take a larger inference.trust_budget."))
    others = [use.route for use in uses if use.method != warrant.method]
    if others:
        sentence = f"The passport is about {warrant.method}; overlays of {', '.join(others)} are UNCOMMISSIONED."
        found.append(Missing(sentence=sentence, cure="Leave the method out of the rule."))
    return found


def _commission(name: str, folder: Path | None) -> str:
    out = folder / name if folder else f"PASSPORTS/{name}"
    settings = "" if folder else ", and PASSPORTS as inference.passport_folder in the settings"
    return f"`heatproof commission {name} --data FOLDER --methods all --out {out}`{settings}; then restart the node."


def _accepts(bundle: Bundle) -> str:
    entry = bundle.manifest.input
    said = [
        " or ".join(entry.modality),
        *(" or ".join(one or "unnamed" for one in some) for some in (entry.body_part, entry.plane) if some),
        *(f"named {' or '.join(words)}" for words in [entry.description_contains] if words),
        f"at least {entry.minimum_frames} image{'s' if entry.minimum_frames > 1 else ''}",
    ]
    return "; ".join(said)
