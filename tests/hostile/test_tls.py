"""Who may speak: TLS of the right kind, the right certificate, title and address together, identities only over TLS
(rows 4, 34, 35 and 36)."""

import logging
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from inference.errors import SettingsInvalid
from node.associations.peers import Peers
from node.associations.request import Refusal
from node.associations.tls import TLS_1_2_SUITES, client_context, server_context
from node.settings.peer import Peer
from node.settings.tls import TlsSettings
from tests.hostile.certificates import Authority, Paper
from tests.hostile.raw_peer import (
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    P_DATA,
    RawPeer,
    echo_request,
    identity,
    request,
    user,
)
from tests.node.receiving.intake import Intake
from tests.patience import patient, wait_until

NOT_RECOGNISED = (ASSOCIATE_RJ, bytes((0, 1, 1, 3)))
NO_REASON = (ASSOCIATE_RJ, bytes((0, 1, 2, 1)))


@dataclass(frozen=True)
class Site:
    """A node with TLS, an allow-list, and the papers of those on it."""

    intake: Intake
    authority: Authority
    ct1: Paper
    ct2: Paper
    stranger: Paper
    expired: Paper

    def context(self, paper: Paper | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.authority.own.certificate)
        if paper is not None:
            context.load_cert_chain(paper.certificate, paper.key)
        return context

    def ask(self, content: bytes, paper: Paper | None, *, source: str = "127.0.0.1") -> tuple[int, bytes]:
        """Send an association request over TLS; give the answer, or (0, b"") where the connection is ended."""
        assert self.intake.listener.tls_port is not None
        with RawPeer(self.intake.listener.tls_port, source=source) as peer:
            try:
                peer.socket = self.context(paper).wrap_socket(peer.socket, server_hostname="127.0.0.1")
                return peer.send(content).answer()
            except OSError:
                return 0, b""

    def refusal(self) -> Refusal:
        wait_until(lambda: bool(self.intake.refusals.latest(1)), 2, "the record of a refusal")
        return self.intake.refusals.latest(1)[0]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, migrated_store: Path) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("papers")
    (folder / "passcode").write_text("open sesame\n")
    ours, theirs = Authority(folder), Authority(folder, "another")
    ct1, ct2 = ours.issue("ct1"), ours.issue("ct2")
    peers = Peers(
        [
            Peer(name="ct 1", ae_title="CT1", certificate_sha256=ct1.sha256.upper()),
            Peer(name="ct 2", ae_title="CT2", certificate_name="ct2", addresses=("127.0.0.0/30",)),
            Peer(name="old", ae_title="OLD", addresses=("127.0.0.2",)),
            Peer(
                name="workstation", ae_title="WS", addresses=("127.0.0.1",),
                user="reader", passcode_file=folder / "passcode",
            ),
        ],
        known_only=True,
    )  # fmt: skip
    home = tmp_path_factory.mktemp("secure")
    shutil.copy(migrated_store, home)
    intake = Intake(home, peers=peers, tls=ours.settings(ours.issue("node")))
    intake.listener.start()
    yield Site(intake, ours, ct1, ct2, theirs.issue("stranger"), ours.issue_expired("expired"))
    intake.close()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_tls_below_1_2_is_refused_and_recorded(site: Site, version: ssl.TLSVersion) -> None:
    context = site.context(site.ct1)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    assert not shakes_hands(site, context)
    wait_until(lambda: "handshake failed" in site.refusal().problem, 2, "the record")


@pytest.mark.parametrize(
    "suite",
    ["eNULL", "AES128-GCM-SHA256", "AES256-SHA256", "ECDHE-ECDSA-AES256-SHA384", "DHE-RSA-AES256-GCM-SHA384", "aNULL"],
)
def test_suites_without_forward_secrecy_and_authenticated_encryption_are_refused(site: Site, suite: str) -> None:
    context = site.context(site.ct1)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{suite}:@SECLEVEL=0")
    assert not shakes_hands(site, context)


@pytest.mark.parametrize("suite", [suite for suite in TLS_1_2_SUITES if "ECDSA" in suite])
def test_every_suite_of_the_profile_is_taken_over_tls_1_2(site: Site, suite: str) -> None:
    context = site.context(site.ct1)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(suite)
    assert shakes_hands(site, context) == "TLSv1.2"


def test_tls_1_3_is_preferred(site: Site) -> None:
    assert shakes_hands(site, site.context(site.ct1)) == "TLSv1.3"


def shakes_hands(site: Site, context: ssl.SSLContext) -> str | None:
    """The version that was agreed on, or nothing."""
    assert site.intake.listener.tls_port is not None
    with RawPeer(site.intake.listener.tls_port) as peer:
        try:
            with context.wrap_socket(peer.socket, server_hostname="127.0.0.1") as secure:
                return secure.version()
        except OSError:
            return None


@pytest.mark.parametrize("whose", ["none", "stranger", "expired"])
def test_a_certificate_that_no_authority_of_ours_vouches_for_is_refused_and_recorded(site: Site, whose: str) -> None:
    paper = {"none": None, "stranger": site.stranger, "expired": site.expired}[whose]
    before = site.intake.refusals.latest(1)
    assert site.ask(request(calling=b"CT1"), paper) == (0, b"")
    wait_until(lambda: site.intake.refusals.latest(1) != before, 2, "the record")
    refusal = site.refusal()
    assert "certificate" in refusal.problem
    assert "tls.ca_file" in refusal.cure


def test_title_and_certificate_that_belong_together_are_let_in(site: Site) -> None:
    assert site.ask(request(calling=b"CT1"), site.ct1)[0] == ASSOCIATE_AC
    assert site.ask(request(calling=b"CT2"), site.ct2)[0] == ASSOCIATE_AC


def test_the_right_title_with_the_certificate_of_another_is_rejected_and_counted(site: Site) -> None:
    before = outcomes(site)
    assert site.ask(request(calling=b"CT1"), site.ct2) == NOT_RECOGNISED
    assert outcomes(site) == before + 1
    assert "certificate of another (ct2)" in site.refusal().problem
    assert "association refused" in site.intake.events()


def outcomes(site: Site) -> float:
    page = site.intake.metrics.page().decode()
    lines = [line for line in page.splitlines() if line.startswith('heatproof_associations_total{outcome="rejected"}')]
    return float(lines[0].split()[1]) if lines else 0.0


def test_the_right_title_and_certificate_from_the_wrong_address_are_rejected(site: Site) -> None:
    assert site.ask(request(calling=b"CT2"), site.ct2, source="127.0.0.9") == NOT_RECOGNISED
    assert "127.0.0.9" in site.refusal().problem


def test_a_title_that_has_a_certificate_is_not_let_in_without_tls(site: Site) -> None:
    assert plainly(site, request(calling=b"CT1")) == NOT_RECOGNISED
    assert "without TLS" in site.refusal().problem


def test_the_right_title_from_the_wrong_address_is_rejected_and_from_the_right_one_let_in(site: Site) -> None:
    assert plainly(site, request(calling=b"OLD")) == NOT_RECOGNISED
    assert plainly(site, request(calling=b"OLD"), source="127.0.0.2")[0] == ASSOCIATE_AC


def test_a_stranger_is_rejected_and_told_of_the_title_that_is_near(site: Site) -> None:
    assert plainly(site, request(calling=b"CT3")) == NOT_RECOGNISED
    assert plainly(site, request(calling=b"OLDE"), source="127.0.0.2") == NOT_RECOGNISED
    assert "but OLD is" in site.refusal().problem


def plainly(site: Site, content: bytes, *, source: str = "127.0.0.1") -> tuple[int, bytes]:
    with RawPeer(site.intake.listener.port, source=source) as peer:
        return peer.send(content).answer()


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 5])
def test_a_user_identity_over_plain_tcp_is_refused_and_its_secret_is_nowhere(
    site: Site, kind: int, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    users = user(further=identity(kind, b"CANARY-user", b"CANARY-secret" if kind == 2 else b""))
    assert plainly(site, request(calling=b"OLD", users=users), source="127.0.0.2") == NO_REASON
    printed = capsys.readouterr()
    assert "CANARY" not in "".join([printed.out, printed.err, caplog.text, repr(site.refusal())])


@pytest.mark.parametrize(
    ("kind", "name", "secret", "answer"),
    [
        (2, b"reader", b"open sesame", ASSOCIATE_AC),
        (2, b"reader", b"CANARY", ASSOCIATE_RJ),
        (2, b"another", b"open sesame", ASSOCIATE_RJ),
        (1, b"reader", b"", ASSOCIATE_RJ),
        (5, b"CANARY.token", b"", ASSOCIATE_RJ),
    ],
)
def test_over_tls_user_name_and_passcode_must_be_right(
    site: Site, kind: int, name: bytes, secret: bytes, answer: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    users = user(further=identity(kind, name, secret))
    assert site.ask(request(calling=b"WS", users=users), site.ct2)[0] == answer
    assert "CANARY" not in caplog.text + repr(site.refusal())


def test_a_peer_that_must_give_an_identity_and_gives_none_is_rejected(site: Site) -> None:
    assert site.ask(request(calling=b"WS"), site.ct2) == NO_REASON


def test_a_handshake_that_never_ends_delays_nobody(site: Site) -> None:
    assert site.intake.listener.tls_port is not None
    silent = [RawPeer(site.intake.listener.tls_port) for _ in range(30)]
    for peer in silent[::2]:
        peer.send(bytes.fromhex("16030100f8010000f40303"))
    assert site.ask(request(calling=b"CT1"), site.ct1)[0] == ASSOCIATE_AC
    for peer in silent:
        peer.socket.close()


def test_an_association_over_tls_serves_as_any(site: Site) -> None:
    assert site.intake.listener.tls_port is not None
    with RawPeer(site.intake.listener.tls_port) as peer:
        peer.socket = site.context(site.ct1).wrap_socket(peer.socket, server_hostname="127.0.0.1")
        peer.associate(calling=b"CT1").send(b"".join(echo_request(number) for number in range(50)))
        assert [peer.answer()[0] for _ in range(50)] == [P_DATA] * 50


def test_the_plain_port_stays_shut_where_tls_is_required(tmp_path: Path, migrated_store: Path, site: Site) -> None:
    shutil.copy(migrated_store, tmp_path)
    settings = site.authority.settings(site.ct1, required=True)
    intake = Intake(tmp_path, tls=settings)
    intake.listener.start()
    assert intake.listener.running
    assert intake.listener._acceptor._plain is None
    intake.close()


@pytest.mark.peers
def test_echoscu_of_dcmtk_comes_in_by_tls_and_with_its_own_certificate_only(site: Site) -> None:
    echoscu = shutil.which("echoscu")
    if echoscu is None:
        pytest.skip("echoscu of DCMTK is not installed")
    for paper, title, code in ((site.ct1, "CT1", 0), (site.ct2, "CT1", 1)):
        arguments = ["-aec", "HEATPROOF", "-aet", title, "+tls", str(paper.key), str(paper.certificate)]
        place = ["127.0.0.1", str(site.intake.listener.tls_port)]
        done = subprocess.run(
            [echoscu, *arguments, "+cf", str(site.authority.own.certificate), *place],
            capture_output=True, text=True, check=False, env={"TCP_NODELAY": "1"}, timeout=patient(20),
        )  # fmt: skip
        assert done.returncode == code, done.stderr


def test_a_certificate_that_its_authority_has_revoked_is_refused_both_ways(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    good, revoked = authority.issue("good"), authority.issue("revoked")
    listed = authority.settings(good, crl_file=authority.revocation_list(revoked))

    def shake(server: TlsSettings, client: TlsSettings) -> str:
        """Shake hands in memory; give what the client's side, or the server's, says against it."""
        ways = ssl.MemoryBIO(), ssl.MemoryBIO()
        sides = (
            client_context(client, pinned=True).wrap_bio(ways[0], ways[1]),
            server_context(server).wrap_bio(ways[1], ways[0], server_side=True),
        )
        for _ in range(5):
            for side in sides:
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    continue
                except ssl.SSLError as error:
                    return str(error)
        return ""

    assert shake(listed, authority.settings(good)) == shake(authority.settings(good), listed) == ""
    assert "revoked" in shake(listed, authority.settings(revoked))
    assert "revoked" in shake(authority.settings(revoked), listed)


def test_a_list_that_cannot_be_read_is_said_at_the_start(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with pytest.raises(SettingsInvalid, match=r"tls\.crl_file"):
        server_context(authority.settings(authority.issue("node"), crl_file=tmp_path / "missing.pem"))
