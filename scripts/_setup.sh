# shellcheck shell=bash
# Sourced by the scripts here and by .ci/run. It makes the environments they run in, once:
#
#   require_system_packages PACKAGE...   checks for them; installs them where it may
#   require_test_packages                the same for what every test needs
#   use_core_env    sets CORE_PYTHON: .venv, the newest release of every dependency
#   use_dimos_env   sets DIMOS_PYTHON: .venv-dimos, with the real dimos (Python 3.10 to 3.12, 3 GB)
#
# An environment is kept as long as pyproject.toml and the compiled part stay as they are.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$ROOT" || exit 1
export PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf '%s\n' "$*" >&2; }
die() {
  say "$*"
  exit 1
}

# Before an environment is made: the compiled part is built along with it, or left out.
require_test_packages() {
  require_system_packages liblcm-bin tmux git-lfs gcc libc6-dev python3-dev
}

use_core_env() {
  local python
  python="$(find_python 10 99)" || die "dimos-record needs Python 3.10 or newer, with its venv" \
    "module (Debian, Ubuntu: sudo apt-get install python3-venv); none was found."
  make_env .venv "$python" -e '.[dev]'
  CORE_PYTHON="$ROOT/.venv/bin/python"
}

use_dimos_env() {
  local python sqlite=()
  require_test_packages
  require_system_packages libusb-1.0-0 libturbojpeg0 libgl1 libegl1
  python="$(find_python 10 12)" || die "dimos 0.0.15 needs Python 3.10, 3.11 or 3.12, with its" \
    "venv module; none was found as python3, python3.12, python3.11, python3.10 or in pyenv." \
    "Install one, or test without dimos: scripts/test --env core"
  "$python" tests/dimos_env/sitecustomize.py || sqlite=(pysqlite3-binary)
  make_env .venv-dimos "$python" -e '.[dimos,dev]' "${sqlite[@]}"
  DIMOS_PYTHON="$ROOT/.venv-dimos/bin/python"
}

# find_python MIN MAX: prints a Python 3.MIN to 3.MAX that can make environments; python3 first.
find_python() {
  local candidate
  for candidate in python3 python3.1{3,2,1,0} "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1*/bin/python; do
    if "$candidate" -c "
import sys, venv, ensurepip
sys.exit(not (3, $1) <= sys.version_info[:2] <= (3, $2))" 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

# make_env FOLDER PYTHON PIP-ARGUMENTS...
make_env() {
  local folder="$1" python="$2" version stamp
  local version_with_pip='import pip, platform; print("Python", platform.python_version())'
  shift 2
  version="$("$python" --version)"
  stamp="$({ printf '%s\n' "$ROOT" "$version" "$@" &&
    cat pyproject.toml setup.py dimos_record/bus/native/*; } | sha256sum)"
  if [ -x "$folder/bin/python" ] && [ "$(cat "$folder/.stamp" 2>/dev/null)" = "$stamp" ]; then
    return
  fi
  say "Setting up $folder with $version; this takes some minutes, once."
  rm -f "$folder/.stamp"
  if [ "$("$folder/bin/python" -c "$version_with_pip" 2>/dev/null)" != "$version" ]; then
    "$python" -m venv --clear "$folder"
  fi
  "$folder/bin/python" -m pip install --quiet "$@"
  printf '%s\n' "$stamp" >"$folder/.stamp"
}

# require_system_packages PACKAGE...: by Debian's names. Installs what is missing only as root.
require_system_packages() {
  local package missing=()
  for package in "$@"; do
    has_system_package "$package" || missing+=("$(name_here "$package")")
  done
  if [ ${#missing[@]} -eq 0 ]; then
    return
  fi
  if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    say "Installing ${missing[*]}"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
      apt-get install -qq -y --no-install-recommends "${missing[@]}"; } </dev/null >&2 && return
  fi
  die "System packages are missing; install them with: sudo apt-get install ${missing[*]}"
}

has_system_package() {
  case "$1" in
    liblcm-bin) command -v lcm-logger >/dev/null ;;
    tmux) command -v tmux >/dev/null ;;
    git-lfs) command -v git-lfs >/dev/null ;;
    gcc) command -v cc >/dev/null ;;
    libc6-dev) echo '#include <stdio.h>' | cc -E - >/dev/null 2>&1 ;;
    python3-dev) has_python_headers ;;
    libusb-1.0-0) has_library libusb-1.0.so.0 ;;
    libturbojpeg0) has_library libturbojpeg.so.0 ;;
    libgl1) has_library libGL.so.1 ;;
    libegl1) has_library libEGL.so.1 ;;
    *) die "has_system_package does not know $1" ;;
  esac
}

has_library() { python3 -c "import ctypes; ctypes.CDLL('$1')" 2>/dev/null; }

has_python_headers() {
  local python
  python="$(find_python 10 99)" || return 0 # there will be another complaint
  "$python" -c "
import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path('include'), 'Python.h')))"
}

# name_here PACKAGE: Ubuntu's name of a Debian package.
name_here() {
  if [ "$1" = libturbojpeg0 ] && grep -qs '^ID=ubuntu' /etc/os-release; then
    echo libturbojpeg
  else
    echo "$1"
  fi
}
