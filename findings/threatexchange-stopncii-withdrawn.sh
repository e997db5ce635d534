#!/usr/bin/env bash
# python-threatexchange 1.2.17: hashes that StopNCII has withdrawn stay in the list.
#
# Expected: a record whose hashStatus is Withdrawn or Deleted is taken out, as the comment beside
# these states in exchanges/clients/stopncii/api.py says ("should be deleted by client"). An update
# of an exchange takes an entry out by giving None for it.
# Seen: exchanges/impl/stop_ncii_api.py compares the state with hashValue, which is the hash. So no
# record ever gives None, and whoever took their picture back is matched for ever.
#
# By hand, not in CI: findings/threatexchange-stopncii-withdrawn.sh. Needs a C++ compiler, for what
# the package depends on. Fails once it is otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q threatexchange==1.2.17 pdqhash==0.2.8 numpy==2.4.6 pillow==13.0.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version

from threatexchange.exchanges.collab_config import CollaborationConfigBase
from threatexchange.exchanges.impl.stop_ncii_api import (
    StopNCIICredentials,
    StopNCIISignalExchangeAPI,
)


def record(letter: str, status: str) -> dict[str, object]:
    """A record as the service sends it, of a made-up hash."""
    return {
        "lastModtimestamp": 1_700_000_000,
        "signalType": "ImagePDQ",
        "hashValue": letter * 64,
        "hashStatus": status,
        "caseNumbers": {f"case-{letter}": status},
        "CSPFeedbacks": [],
    }


STATES = {"a": "Active", "b": "Withdrawn", "c": "Deleted"}
PAGE = {
    "count": len(STATES),
    "nextPageToken": None,
    "nextSetTimestamp": 1_700_000_001,
    "hasMoreRecords": False,
    "hashRecords": [record(letter, state) for letter, state in STATES.items()],
}


class Service(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps(PAGE).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


server = HTTPServer(("127.0.0.1", 0), Service)
threading.Thread(target=server.serve_forever, daemon=True).start()
credentials = StopNCIICredentials("key", "key", f"http://127.0.0.1:{server.server_port}")
exchange = StopNCIISignalExchangeAPI.for_collab(
    CollaborationConfigBase(name="demo", api="stopncii", enabled=True), credentials
)
(delta,) = exchange.fetch_iter([], None)
server.shutdown()
print("threatexchange", version("threatexchange"))
kept = set()
for (_, value), found in delta.updates.items():
    print(f"{STATES[value[0]]}: {'taken out' if found is None else 'kept'}")
    kept |= {STATES[value[0]]} if found is not None else set()
assert kept == set(STATES.values()), "what is withdrawn is taken out: this finding is out of date"
PYTHON
