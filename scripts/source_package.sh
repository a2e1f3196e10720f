#!/usr/bin/env bash
# Fetches the original tarball of a Debian source package, outside the tree, and prints its path. Keeps it for
# the next time.
#   source_package.sh PACKAGE [VERSION]      VERSION: of upstream; default: the one that the archive has
# Into ${XDG_CACHE_HOME:-~/.cache}/penstock/sources. Takes the machine's own package sources, with source packages
# switched on, in a place of their own: the system's package lists stay as they are.
set -euo pipefail
if [ $# -lt 1 ]; then
  echo "source_package.sh: no package named; expected PACKAGE [VERSION]" >&2
  exit 2
fi
package=$1
version=${2:-}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/penstock/sources
mkdir -p "$cache"

# The tarball, not its detached signature.
cached() { find "$cache" -maxdepth 1 -name "${package}_${version:-*}*.orig.tar.*" ! -name '*.asc' | sort | tail -n 1; }

found=$(cached)
if [ -n "$found" ]; then
  echo "$found"
  exit 0
fi
work=$(mktemp -d "$cache/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir -p lists/partial sources.d
for file in /etc/apt/sources.list.d/*.sources; do
  if [ -f "$file" ]; then sed 's/^Types:.*/Types: deb-src/' "$file" >"sources.d/$(basename "$file")"; fi
done
for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
  if [ -f "$file" ]; then sed -n 's/^deb /deb-src /p' "$file" >"sources.d/$(basename "$file" .list).list"; fi
done
apt=(apt-get -q -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$work/sources.d"
  -o "Dir::State::lists=$work/lists" -o APT::Sandbox::User=root)
{
  # A foreign repository without source packages is no obstacle.
  "${apt[@]}" update || true
  { [ -n "$version" ] && "${apt[@]}" source --download-only --tar-only "$package=$version*"; } ||
    "${apt[@]}" source --download-only --tar-only "$package"
} >log 2>&1 || {
  tail -n 20 log >&2
  echo "source_package.sh: the source package of $package cannot be fetched; see above" >&2
  exit 1
}
rm -f ./*.asc
mv "${package}"_*.orig.tar.* "$cache/"
found=$(cached)
if [ -z "$found" ]; then
  version='' found=$(cached)
fi
echo "$found"
