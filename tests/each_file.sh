#!/usr/bin/env bash
# Runs each test file by itself with no kernel compiled before, and names those that fail:
#   tests/each_file.sh [FILE...]
set -uo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
files=("$@")
if [ "$#" -eq 0 ]; then mapfile -t files < <(find tests -name 'test_*.py' | sort); fi
cold=$(mktemp -d)
trap 'rm -rf "$cold"' EXIT
failed=()
for file in "${files[@]}"; do
  rm -rf "$cold/kernels"
  NUMBA_CACHE_DIR="$cold/kernels" "$python" -m pytest -q -p no:cacheprovider "$file" >"$cold/said" 2>&1
  code=$?
  printf '%s: %s\n' "$file" "$(tail -n 1 "$cold/said")"
  if [ "$code" -ne 0 ] && [ "$code" -ne 5 ]; then  # 5: all of its tests are slow
    cat "$cold/said"
    failed+=("$file")
  fi
done
[ "${#failed[@]}" -eq 0 ] || { printf 'failed: %s\n' "${failed[*]}"; exit 1; }
