#!/usr/bin/env bash
# Install what the tests need and run them all: linters, types, units, and a real browser.
# Needs python3 (3.11 or newer); Chromium is installed through apt where there is none.
set -euo pipefail
cd "$(dirname "$0")/.."
export HF_HUB_OFFLINE=1 GRADIO_ANALYTICS_ENABLED=False

say() { printf '\n== %s\n' "$*"; }

if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "Python 3.11 or newer is needed; this is $(python3 --version)." >&2
    exit 1
fi
if [ -z "${VIRTUAL_ENV:-}" ]; then
    say "virtual environment in .venv"
    python3 -m venv .venv
    . .venv/bin/activate
fi
say "installing requirements-dev.txt"
python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt

if ! command -v chromium >/dev/null && ! command -v google-chrome >/dev/null \
    && ! command -v chromium-browser >/dev/null; then
    say "installing Chromium for the browser tests"
    as_root=""
    [ "$(id -u)" -eq 0 ] || as_root="sudo"
    if ! command -v apt-get >/dev/null || { [ -n "$as_root" ] && ! command -v sudo >/dev/null; }; then
        echo "Chromium cannot be installed from here: install it so that it is on the PATH, then run this again." >&2
        exit 1
    fi
    $as_root apt-get update -qq
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null
fi

say "ruff"
ruff check .
ruff format --check .
say "mypy"
mypy
say "import contract"
lint-imports
tests=(python -m pytest -m "not slow and not gpu")
say "known vulnerabilities of what requirements.lock pins"
if ! command -v pip-audit >/dev/null; then
    echo "not looked for: pip-audit is not installed (pip install pip-audit)"
else
    found=$(pip-audit -r requirements.lock --require-hashes --disable-pip --progress-spinner off 2>&1) || true
    if grep -q '^Found [0-9]* known vulnerabilit' <<<"$found"; then
        echo "$found"
        exit 1
    elif grep -q 'No known vulnerabilities found' <<<"$found" && ! grep -q 'could not be audited' <<<"$found"; then
        echo "none"
    else
        echo "not looked for in all: $(grep . <<<"$found" | tail -n 1)"
    fi
fi
say "front end: types and unit tests of web/"
if ! command -v npm >/dev/null || ! node -e 'process.exit(process.versions.node.split(".")[0] < 20 ? 1 : 0)'; then
    echo "not run: Node 20 or newer and npm are not installed"
elif ! (cd web && npm ci --silent --no-audit --no-fund) 2>/dev/null; then
    echo "not run: the packages of web/package-lock.json cannot be installed from here"
else
    (cd web && npm run --silent check && npm run --silent test)
fi
say "pytest, all but the browser: two processes of one thread each"
OMP_NUM_THREADS=1 "${tests[@]}" -n 2 --dist loadfile --ignore tests/browser
say "pytest, the browser: one at a time, as its pages must answer while a microphone plays"
exec "${tests[@]}" tests/browser
