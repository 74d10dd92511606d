"""The doctor's check of a source of priors, by requests for a study that does not exist."""

import time
from collections.abc import Iterator

from pydicom.uid import generate_uid

from inference.errors import DeliveryFailed
from node.delivery import dicomweb
from node.delivery.reach import FAILS, NOTE, WORKS, Step
from node.priors.retrieve import MULTIPART, move
from node.priors.search import Prior
from node.settings.destination import Destination
from node.settings.settings import Settings

_SECONDS = 10.0


def examine_priors(peer: Destination, settings: Settings) -> Iterator[Step]:
    """Ask for a study that does not exist, in each way that the rules fetch priors from this peer."""
    ways = sorted({rule.priors_by for rule in settings.rules if rule.priors and rule.priors_from == peer.name})
    nothing = Prior(generate_uid(), (generate_uid(),))
    for way in ways:
        yield _by_web(peer, nothing) if way == "web" else _by_move(peer, nothing, settings)


def _by_move(peer: Destination, nothing: Prior, settings: Settings) -> Step:
    door = settings.priors
    if door.port is None:
        return Step("priors", FAILS, "This node has no port for priors.", "Set port under [priors].")
    title, until_seconds = settings.node.ae_title, time.monotonic() + _SECONDS
    try:
        move(peer, nothing, to=door.ae_title, calling_ae_title=title, until_seconds=until_seconds)
    except DeliveryFailed as error:
        if error.cure:
            return Step("priors", FAILS, str(error.args[0]), error.cure)
        said = f"{error.args[0]} It was for a study that does not exist, so this may mean nothing."
        cure = f"Check that it knows {door.ae_title} with the address of this node and port {door.port}."
        return Step("priors", NOTE, said, cure)
    return Step("priors", WORKS, f"Takes a C-MOVE to {door.ae_title}; whether it can connect to it is not tested.")


def _by_web(peer: Destination, nothing: Prior) -> Step:
    path = f"/studies/{nothing.study_instance_uid}/series/{nothing.series[0]}"
    try:
        dicomweb.exchange(peer, "GET", path, headers={"Accept": MULTIPART}, seconds=_SECONDS)
    except DeliveryFailed as error:
        return Step("priors", FAILS, str(error.args[0]), error.cure or "Have WADO-RS of whole series enabled there.")
    return Step("priors", WORKS, "Answers WADO-RS.")
