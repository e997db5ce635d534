#!/bin/sh
# Fails if a pinned version has a known vulnerability, or was not asked about. Needs the network: by name.
set -eu
cd "$(dirname "$0")/.."
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
python3 -m venv "$made"
"$made/bin/pip" install -q pip-audit
"$made/bin/pip-audit" --strict --no-deps --disable-pip -r constraints.txt
