"""What is probably wrong with settings that are valid: files that are missing or open to others, mail to nobody."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from node.settings.settings import Settings

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def advice(settings: Settings) -> tuple[str, ...]:
    """Return a sentence for everything that the node would start with and somebody would regret."""
    return (
        *_folders(settings),
        *_secrets(settings),
        *_files(settings),
        *_notices(settings),
        *_unused(settings),
    )


def _folders(settings: Settings) -> Iterator[str]:
    node, inference = settings.node, settings.inference
    for name, folder in (("node.home", node.home), ("node.shared_folder", node.shared_folder)):
        if folder is not None and not folder.is_dir():
            nearest = next(above for above in folder.absolute().parents if above.exists())
            if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
                yield f"{name}: {folder} does not exist, and this user cannot make it in {nearest}"
    searched = [(f"inference.bundle_folders[{n}]", folder) for n, folder in enumerate(inference.bundle_folders)]
    searched += [
        (name, folder)
        for name, folder in (
            ("inference.passport_folder", inference.passport_folder),
            ("audit.golden_folder", settings.audit.golden_folder),
        )
        if folder is not None
    ]
    for name, folder in searched:
        if not folder.is_dir():
            yield f"{name}: there is no folder {folder}"


def _secrets(settings: Settings) -> Iterator[str]:
    """Check that what identifies this node or opens it is its user's alone, who is the owner of its home."""
    owner = _owner(settings.node.home)
    for name, path, needed in _secret_files(settings):
        try:
            status = path.stat()
        except PermissionError:
            yield f"{name}: {path} is closed to this user; run the check as the node's user, or as root"
            continue
        except OSError:
            if needed:
                yield f"{name}: there is no file {path}"
            continue
        if status.st_mode & _OTHERS:
            yield f"{name}: {path} can be read by others (mode {stat.S_IMODE(status.st_mode):04o}); chmod 600"
        elif owner is not None and status.st_uid != owner:
            yield f"{name}: {path} belongs to another user than {settings.node.home}: the node cannot read it; chown it"


def _is_missing(path: Path) -> bool:
    """Whether there is no such file; one in a folder that is closed to this user counts as there."""
    try:
        return not path.is_file()
    except PermissionError:
        return False


def _owner(home: Path) -> int | None:
    """Return the number of the user that a home belongs to; None: it is not there yet."""
    try:
        return home.stat().st_uid
    except OSError:
        return None


def _secret_files(settings: Settings) -> Iterator[tuple[str, Path, bool]]:
    """Yield the setting, the file, and whether it must be there before the first start."""
    yield "http.token_file", settings.http.token_file, False
    yield "the site's key", settings.node.files / "site.key", False
    if settings.http.proxy.secret_file is not None:
        yield "http.proxy.secret_file", settings.http.proxy.secret_file, True
    if settings.tls is not None:
        yield "tls.key", settings.tls.key, True
    for destination in settings.destinations:
        if destination.token_file is not None:
            yield f"destinations[{destination.name!r}].token_file", destination.token_file, True
    for peer in settings.peers:
        if peer.passcode_file is not None:
            yield f"peers[{peer.name!r}].passcode_file", peer.passcode_file, True


def _files(settings: Settings) -> Iterator[str]:
    tls = settings.tls
    public = [
        (f"destinations[{destination.name!r}].ca_file", destination.ca_file) for destination in settings.destinations
    ]
    if tls is not None:
        public += [("tls.certificate", tls.certificate), ("tls.ca_file", tls.ca_file), ("tls.crl_file", tls.crl_file)]
    for name, path in public:
        if path is not None and _is_missing(path):
            yield f"{name}: there is no file {path}"


def _notices(settings: Settings) -> Iterator[str]:
    audit = settings.audit
    if audit.mail_to and audit.mail_host is None:
        yield "audit.mail_to: no e-mail is sent without audit.mail_host"
    if audit.mail_host is not None and not audit.mail_to:
        yield "audit.mail_host: no e-mail is sent without audit.mail_to"
    if not (audit.mail_to or audit.webhook) and audit.on_alarm != "warn":
        yield f"audit.on_alarm: nobody is told of a route that stops ({audit.on_alarm}); set webhook or mail_to"


def _unused(settings: Settings) -> Iterator[str]:
    used = {name for rule in settings.rules for name in rule.destinations} | set(settings.unrouted.destinations)
    used |= {rule.priors_from for rule in settings.rules if rule.priors_from} | {settings.audit.report_to or ""}
    for destination in settings.destinations:
        if destination.name not in used:
            yield f"destinations[{destination.name!r}]: no rule sends anything there"
    if not settings.rules:
        yield "rules: there are none, so no study is analysed"
