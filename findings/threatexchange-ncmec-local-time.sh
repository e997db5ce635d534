#!/usr/bin/env bash
# python-threatexchange 1.2.17: NCMEC is asked for another span of time than was wanted.
#
# Expected: a time with a Z at its end is in UTC (ISO 8601), so that a timestamp is asked for as the
# same moment wherever the program runs. `_date_format` in exchanges/clients/ncmec/hash_api.py says
# that it writes ISO 8601.
# Seen: the local time is written, with a Z. The span asked for is shifted by as much as the zone of
# the machine is off: west of Greenwich its end lies hours in the past, so that what is new arrives
# late; east of it a beginning that is given in UTC lies hours too late.
#
# By hand, not in CI: findings/threatexchange-ncmec-local-time.sh. Needs a C++ compiler, for what
# the package depends on. Fails once it is otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q threatexchange==1.2.17 pdqhash==0.2.8 numpy==2.4.6 pillow==13.0.0
cd "$folder"
cat > asked.py <<'PYTHON'
from importlib.metadata import version
from unittest import mock

import requests
from threatexchange.exchanges.clients.ncmec.hash_api import NCMECEnvironment, NCMECHashAPI

START, END = 1_700_000_000, 1_700_086_400  # 2023-11-14T22:13:20Z and a day later
api = NCMECHashAPI("user", "password", NCMECEnvironment.test_Industry)
with mock.patch.object(requests.Session, "get", side_effect=requests.ConnectionError) as get:
    try:
        api.get_entries(start_timestamp=START, end_timestamp=END)
    except requests.ConnectionError:
        pass
asked = get.call_args.kwargs["params"]
print("threatexchange", version("threatexchange"), "asks", asked["from"], "to", asked["to"])
PYTHON
there=$(TZ=UTC venv/bin/python asked.py)
west=$(TZ=EST5 venv/bin/python asked.py)
east=$(TZ=UTC-9 venv/bin/python asked.py)
printf 'in UTC:      %s\nfive behind: %s\nnine ahead:  %s\n' "$there" "$west" "$east"
grep -q 'asks 2023-11-14T22:13:20Z' <<<"$there"
if ! grep -q 'asks 2023-11-14T17:13:20Z' <<<"$west" || ! grep -q 'asks 2023-11-15T07:13:20Z' <<<"$east"; then
  echo "it asks for the same moment everywhere: this finding is out of date"
  exit 1
fi
