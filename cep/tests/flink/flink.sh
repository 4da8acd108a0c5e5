#!/usr/bin/env bash
# FlinkCEP behind a pipe: a case per line of standard input, what Flink makes of it per line of standard output (FlinkCep.java).
#
# Flink comes from Maven Central, once, into ${XDG_CACHE_HOME:-~/.cache}/tidegate/flink-cep-<version>. Needs a JDK, 17 or newer, and, for the
# fetching, Maven.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
version="$(sed -n 's/.*<artifactId>flink-cep<.*<version>\(.*\)<\/version>.*/\1/p' "$here/pom.xml")"
libs="${XDG_CACHE_HOME:-$HOME/.cache}/tidegate/flink-cep-$version"

need() {
  command -v "$1" >/dev/null || { echo "comparing with Flink needs $2 (\`make setup-flink\` installs it)" >&2; exit 3; }
}

need javac "a JDK, 17 or newer"
if [ ! -e "$libs/.complete" ]; then
  need mvn "Maven"
  # Two at once must not see half of it.
  mkdir -p "$(dirname "$libs")"
  work="$(mktemp -d "$libs.XXXXXX")"
  mvn -q -B -Dstyle.color=never -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$work" >&2
  touch "$work/.complete"
  mv -T "$work" "$libs" 2>/dev/null || rm -rf "$work"
fi
classes="$(mktemp -d "${TMPDIR:-/tmp}/tidegate-flink.XXXXXX")"
trap 'rm -rf "$classes"' EXIT
javac -nowarn -cp "$libs/*" -d "$classes" "$here/FlinkCep.java" >&2
java -Xmx512m -XX:+UseSerialGC -cp "$libs/*:$classes" FlinkCep
