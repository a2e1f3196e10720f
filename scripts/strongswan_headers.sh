#!/usr/bin/env bash
# Makes the headers of the installed strongSwan, which Debian does not package, outside the tree, and prints
# their folder: its source package's original tarball, configured. Keeps them for the next time.
#   strongswan_headers.sh             fetches what is missing
#   strongswan_headers.sh --cached    fails if they are not there yet
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
version=$(dpkg-query -W -f '${Version}' strongswan-libcharon | sed 's/^[0-9]*://; s/-.*//')
folder=${XDG_CACHE_HOME:-$HOME/.cache}/penstock/strongswan-headers-$version

if [ ! -f "$folder/config.h" ]; then
  [ "${1:-}" != --cached ] || exit 1
  tarball=$("$here/source_package.sh" strongswan "$version")
  mkdir -p "$(dirname "$folder")"
  work=$(mktemp -d "$folder.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  tar -xf "$tarball" -C "$work" --strip-components=1
  # Debian builds with mediation, which adds methods to charon's objects: without it calls land beside.
  if ! (cd "$work" && ./configure --disable-defaults --enable-charon --enable-ikev2 --enable-ikev1 --enable-mediation \
    >configure.log 2>&1); then
    tail -n 20 "$work/configure.log" >&2
    echo "strongswan_headers.sh: strongSwan $version cannot be configured; see above" >&2
    exit 1
  fi
  # Only the headers are of use.
  find "$work" -type f ! -name '*.h' -delete
  chmod 755 "$work"
  mv -T "$work" "$folder" 2>/dev/null || [ -f "$folder/config.h" ] # another run was first
fi
echo "$folder"
