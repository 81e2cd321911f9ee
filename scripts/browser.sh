#!/usr/bin/env bash
# Install what `make browser` and `make screenshots` need beside .venv: Chromium, letters for every language of the page,
# zbar (reads bar codes), and the npm package standardwebhooks as tests/browser/package-lock.json names it.
#
# On Debian and Ubuntu, as root, it installs what is missing. Elsewhere it says what is missing; nothing else is touched.
# CARDRAIL_CHROMIUM names another browser of Chromium's kind.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
[ -n "${CARDRAIL_CHROMIUM:-}" ] || command -v chromium >/dev/null || command -v chromium-browser >/dev/null \
    || command -v google-chrome >/dev/null || missing+=(chromium)
command -v zbarimg >/dev/null || missing+=(zbar-tools)
if command -v fc-list >/dev/null; then
    [ -n "$(fc-list :lang=ar)" ] && [ -n "$(fc-list :lang=hi)" ] || missing+=(fonts-noto-core)
else
    missing+=(fonts-noto-core fontconfig)
fi
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)

if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing ${missing[*]}."
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    else
        echo "Please install: ${missing[*]} (names of Debian's packages)." >&2
        exit 1
    fi
fi

mkdir -p .venv/node
cp tests/browser/package.json tests/browser/package-lock.json .venv/node/
npm ci --prefix .venv/node --ignore-scripts --no-audit --no-fund --loglevel=error
