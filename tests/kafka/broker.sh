#!/usr/bin/env bash
# A real Kafka broker (KRaft, one node) on free loopback ports, for tests and for trying things out.
#
#   tests/kafka/broker.sh              prints its addresses, runs until it gets a signal
#   tests/kafka/broker.sh --until-eof  as well until standard input ends, as it does when the test that started it is gone; at a line `restart`
#                                      it kills the broker and starts it again
#   tests/kafka/broker.sh --fetch      only fetches Kafka
#
# Kafka comes from Maven Central, once, into ${XDG_CACHE_HOME:-~/.cache}/tidegate/kafka-<version>; what the broker writes goes into a temporary
# directory that is removed at the end. Needs Java 17 and, for the fetching, Maven.
#
#   plain=127.0.0.1:21234          PLAINTEXT
#   sasl=127.0.0.1:21235           SASL_PLAINTEXT with PLAIN, user `alice`, password `alice-secret`
#   tls=127.0.0.1:21236            SASL_SSL with SCRAM-SHA-256, the same user
#   ca=/tmp/.../ca.pem             the certificate to trust for `tls`
#   libs=/root/.cache/...          the jars, for Kafka's own tools
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
version="$(sed -n 's/.*<artifactId>kafka_2.13<.*<version>\(.*\)<\/version>.*/\1/p' "$here/pom.xml")"
libs="${XDG_CACHE_HOME:-$HOME/.cache}/tidegate/kafka-$version"

need() {
  command -v "$1" >/dev/null || { echo "the test broker needs $2 (\`make setup\` installs it)" >&2; exit 3; }
}

fetch() {
  [ -e "$libs/.complete" ] && return
  need java "Java 17 or newer"
  need mvn "Maven"
  # Two at once must not see half of it.
  mkdir -p "$(dirname "$libs")"
  local work
  work="$(mktemp -d "$libs.XXXXXX")"
  mvn -q -B -Dstyle.color=never -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$work" >&2
  touch "$work/.complete"
  mv -T "$work" "$libs" 2>/dev/null || rm -rf "$work"
}

# A port nobody listens on, below those that the system gives to clients.
free_port() {
  local port
  for _ in $(seq 100); do
    port=$((10000 + RANDOM % 20000))
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      echo "$port"
      return
    fi
  done
  echo "no free port was found" >&2
  exit 1
}

fetch
[ "${1:-}" = --fetch ] && exit
need java "Java 17 or newer"

dir="$(mktemp -d "${TMPDIR:-/tmp}/tidegate-kafka.XXXXXX")"
broker=
stop() {
  trap - EXIT INT TERM
  { [ -n "$broker" ] && kill -9 "$broker" && wait "$broker"; } 2>/dev/null || true
  rm -rf "$dir"
}
trap stop EXIT
trap 'exit 0' INT TERM

plain="$(free_port)" sasl="$(free_port)" tls="$(free_port)" controller="$(free_port)"
certificate() {
  keytool -genkeypair -alias broker -keyalg EC -dname CN=localhost -ext SAN=dns:localhost,ip:127.0.0.1 -validity 3650 \
    -keystore "$dir/broker.p12" -storepass test-secret &&
    keytool -exportcert -rfc -alias broker -keystore "$dir/broker.p12" -storepass test-secret -file "$dir/ca.pem"
}
certificate >"$dir/certificate.log" 2>&1 &
certificate=$!
cat >"$dir/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:$controller
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$plain,SASL_PLAINTEXT://127.0.0.1:$sasl,SASL_SSL://127.0.0.1:$tls,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$plain,SASL_PLAINTEXT://127.0.0.1:$sasl,SASL_SSL://127.0.0.1:$tls
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256
listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="alice-secret";
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.sasl.enabled.mechanisms=SCRAM-SHA-256
listener.name.sasl_plaintext.sasl.enabled.mechanisms=PLAIN
ssl.keystore.location=$dir/broker.p12
ssl.keystore.password=test-secret
log.dirs=$dir/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
log.cleaner.backoff.ms=200
PROPERTIES
cat >"$dir/log4j2.properties" <<PROPERTIES
rootLogger.level=WARN
rootLogger.appenderRef.file.ref=file
appender.file.type=File
appender.file.name=file
appender.file.fileName=$dir/broker.log
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=%d %p %c: %m%n
PROPERTIES

java=(java -Xms256m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 "-Dlog4j2.configurationFile=$dir/log4j2.properties" -cp "$libs/*")
"${java[@]}" kafka.tools.StorageTool format -t 5L6g3nShT-eMCtK--X86sw --standalone -g -c "$dir/server.properties" \
  --add-scram 'SCRAM-SHA-256=[name=alice,password=alice-secret]' >"$dir/format.log" 2>&1 || { cat "$dir/format.log" >&2; exit 1; }
wait "$certificate" || { cat "$dir/certificate.log" >&2; exit 1; }
# Starts the broker and waits until it takes connections.
start() {
  "${java[@]}" kafka.Kafka "$dir/server.properties" >"$dir/broker.out" 2>&1 </dev/null &
  broker=$!
  for _ in $(seq 600); do
    if ! kill -0 "$broker" 2>/dev/null; then
      echo "the broker ended while it started:" >&2
      tail -n 30 "$dir/broker.out" "$dir/broker.log" >&2
      exit 1
    fi
    if (exec 3<>"/dev/tcp/127.0.0.1/$plain" && exec 3<>"/dev/tcp/127.0.0.1/$tls") 2>/dev/null; then
      return
    fi
    sleep 0.1
  done
  echo "the broker did not start within a minute" >&2
  exit 1
}

start
printf 'plain=127.0.0.1:%s\nsasl=127.0.0.1:%s\ntls=127.0.0.1:%s\nca=%s\nlibs=%s\npid=%s\n' \
  "$plain" "$sasl" "$tls" "$dir/ca.pem" "$libs" "$broker"
echo ready
if [ "${1:-}" = --until-eof ]; then
  while read -r line; do
    if [ "$line" = restart ]; then
      { kill -9 "$broker" && wait "$broker"; } 2>/dev/null || true
      start
      echo ready
    fi
  done
else
  wait "$broker"
fi
