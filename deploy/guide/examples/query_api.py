"""Ask a running node for its newest studies over the REST API; the standard library is enough.

    heatproof token add worklist --scope read > token     # on the node's host, once
    python query_api.py http://127.0.0.1:8080 token

Prints one line for each job: the study's key (a keyed hash, no identity), the bundle, how the job ended, and the
verdicts of its maps. `/api/openapi.json` describes every route.
"""

import json
import sys
import urllib.request
from pathlib import Path


def main(url: str, token_file: Path) -> None:
    """Print the jobs of the newest 20 studies."""
    headers = {"Authorization": f"Bearer {token_file.read_text().strip()}"}
    request = urllib.request.Request(f"{url}/api/studies?limit=20", headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        studies = json.load(answer)
    for study in studies:
        for job in study["jobs"]:
            explanations = (job["summary"] or {}).get("explanations", [])
            verdicts = ", ".join(item["verdict"] for item in explanations) or job["reason"] or "no map"
            print(f"{study['key'][:12]}  {job['bundle'] or '-'}  {job['state']}  {verdicts}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
