"""Certificates for tests, made by openssl: of our authority, of another, and expired."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from node.associations.tls import fingerprint
from node.settings.tls import TlsSettings

CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True)
class Paper:
    """A certificate and its key."""

    certificate: Path
    key: Path

    @property
    def sha256(self) -> str:
        pem = self.certificate.read_text()
        der = subprocess.run(
            ["openssl", "x509", "-outform", "DER"], input=pem.encode(), capture_output=True, check=True
        ).stdout
        return fingerprint(der)


class Authority:
    """Signs what is asked of it."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        if shutil.which("openssl") is None:
            pytest.skip("openssl is not installed")
        self._folder = folder
        self.own = Paper(folder / f"{name}.crt", folder / f"{name}.key")
        self._make(self.own, name, "-x509", "-days", "2")

    def issue(self, name: str) -> Paper:
        paper = Paper(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        authority = ("-CA", str(self.own.certificate), "-CAkey", str(self.own.key))
        names = ("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-addext", "basicConstraints=CA:FALSE")
        self._make(paper, name, "-x509", "-days", "2", *authority, *names)
        return paper

    def issue_expired(self, name: str) -> Paper:
        paper, request = Paper(self._folder / f"{name}.crt", self._folder / f"{name}.key"), self._folder / "request"
        self._make(Paper(request, paper.key), name, "-new")
        authority = ("-CA", str(self.own.certificate), "-CAkey", str(self.own.key))
        _openssl("x509", "-req", "-in", str(request), *authority, "-out", str(paper.certificate), "-days", "-1")
        return paper

    def revocation_list(self, *revoked: Paper) -> Path:
        """Return the list of what this authority has revoked, these among it."""
        configuration, list_file = self._folder / "ca.cnf", self._folder / "revoked.pem"
        (self._folder / "index.txt").touch()
        keys = f"certificate = {self.own.certificate}\nprivate_key = {self.own.key}\n"
        configuration.write_text(
            f"[ca]\ndefault_ca = d\n[d]\ndatabase = {self._folder}/index.txt\ndefault_md = sha256\n"
            f"default_crl_days = 1\n{keys}"
        )
        for paper in revoked:
            _openssl("ca", "-config", str(configuration), "-revoke", str(paper.certificate))
        _openssl("ca", "-config", str(configuration), "-gencrl", "-out", str(list_file))
        return list_file

    def settings(self, paper: Paper, **changes: object) -> TlsSettings:
        """The node's table [tls]; the port is one that the system chooses."""
        made = TlsSettings(certificate=paper.certificate, key=paper.key, ca_file=self.own.certificate)
        return made.model_copy(update={"port": 0, **changes})

    def _make(self, paper: Paper, name: str, *options: str) -> None:
        files = ("-keyout", str(paper.key), "-out", str(paper.certificate))
        _openssl("req", *options, *CURVE, "-subj", f"/CN={name}", *files)


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], capture_output=True, check=True)
