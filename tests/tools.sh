#!/usr/bin/env bash
# Makes sure that everything `make test` needs is there: as root it installs what is missing from
# Debian, otherwise it says exactly what to install, and fails.
set -euo pipefail

packages=()
need() { # need PACKAGE COMMAND-OR-PATTERN
  local found
  found=$(compgen -G "$2" || true)
  if [[ -z $found ]] && ! command -v "$2" >/dev/null; then packages+=("$1"); fi
}

need build-essential cc
need curl curl
need postgresql '/usr/lib/postgresql/*/bin/initdb'
need chromium chromium
need chromium-driver chromedriver
need prometheus promtool
python3 -c 'import venv, ensurepip' 2>/dev/null || packages+=(python3-venv)

if ((${#packages[@]})); then
  if [[ $(id -u) != 0 ]]; then
    echo "These Debian packages are missing: ${packages[*]}." >&2
    echo "Install them, for example with: sudo apt-get install ${packages[*]}" >&2
    exit 1
  fi
  echo "Installing ${packages[*]}."
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  # The tests start servers of their own; a system-wide cluster is not wanted.
  mkdir -p /etc/postgresql-common
  [[ -e /etc/postgresql-common/createcluster.conf ]] || echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
  # Nor is a Prometheus: its package has the checker of metrics. In this runlevel nothing is started.
  export RUNLEVEL=1
  apt-get install -y -qq --no-install-recommends "${packages[@]}"
fi

if ! command -v cargo >/dev/null; then
  echo "Rust is missing: install it from https://rustup.rs, then open a new shell." >&2
  exit 1
fi
for component in fmt clippy; do
  if ! cargo "$component" --version >/dev/null 2>&1; then
    command -v rustup >/dev/null || { echo "cargo $component is missing: install it." >&2; exit 1; }
    rustup component add "${component/fmt/rustfmt}"
  fi
done
