"""Fuzz the API by its own description, with a token of each scope and with none: ``python -m tests.fuzzing.api``.

schemathesis (from PyPI) makes the requests; give its program by ``--schemathesis`` where it is in another environment.
A 500 is a finding; what is refused, and how, is what tests/hostile/http holds.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from node.web.access.caller import Scope
from tests.node.web.web import WebServer, calling
from tests.node.web.web_site import Site


def main() -> int:
    """Serve a node with a day's studies, and run schemathesis once for each scope; 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schemathesis", default=shutil.which("schemathesis"))
    parser.add_argument("--examples", type=int, default=50, help="requests of each operation")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    if not chosen.schemathesis:
        parser.error("schemathesis is not installed; pip install schemathesis, or name its program")
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        tokens = {scope.value: site.add_token(scope.value, scope) for scope in Scope}
        with WebServer(site.application) as server:
            described = Path(folder) / "openapi.json"
            described.write_text(calling(server.url, site.token).get("/api/openapi.json").text)
            found = [
                name
                for name, token in {"all": site.token, **tokens, "none": ""}.items()
                if not _holds(chosen, described, server.url, token)
            ]
    sys.stdout.write(f"findings with the scopes: {', '.join(found) or 'none'}\n")
    return 1 if found else 0


def _holds(chosen: argparse.Namespace, described: Path, address: str, token: str) -> bool:
    command = [chosen.schemathesis, "run", str(described), "--url", address, "--checks", "not_a_server_error"]
    command += ["--max-examples", str(chosen.examples), "--seed", str(chosen.seed), "--suppress-health-check", "all"]
    command += ["--request-timeout", "120"]
    if token:
        command += ["--header", f"Authorization: Bearer {token}"]
    return subprocess.run(command, cwd=described.parent).returncode == 0  # it leaves a folder of its own


if __name__ == "__main__":
    sys.exit(main())
