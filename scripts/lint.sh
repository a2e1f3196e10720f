#!/usr/bin/env bash
# Checks what needs no build: formatting, shell scripts, spelling, file sizes, and words that do not belong.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
failed=0
complain() {
  echo "lint: $*"
  failed=1
}

mapfile -t sources < <(git ls-files '*.cc' '*.h' '*.c')
clang-format --dry-run -Werror "${sources[@]}" || complain "run clang-format -i on the files above"
mapfile -t shell < <(git ls-files 'scripts/*' | xargs grep -lE '^#!.*(bash|sh)$')
shellcheck "${shell[@]}" .ci/run || complain "shellcheck found the above"
for file in "${sources[@]}"; do
  lines=$(wc -l <"$file")
  [ "$lines" -le 600 ] || complain "$file has $lines lines; one file, one idea: 600 at most"
done
grep -nE '\b(TODO|FIXME|XXX)\b' "${sources[@]}" && complain "unfinished work is written down as an issue"
codespell -q 3 --ignore-words-list=kno,inout,ect,clas,nd,sav,te,crypted,ue,sade README.md docs dataplane config ike_bridge bench/README.md tests/README.md scripts ||
  complain "spelling"
exit "$failed"
