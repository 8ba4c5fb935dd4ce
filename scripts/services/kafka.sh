#!/bin/sh
# Fetch Apache Kafka's server jars (for tests and benchmarks) through Maven.
#
#   scripts/services/kafka.sh            the default version
#   KAFKA_VERSION=3.9.1 scripts/services/kafka.sh
#
# They end in .services/kafka/VERSION/libs; when they are there, this returns at once.
# Where Maven gets them from is Maven's own settings (a mirror, a proxy): nothing here names it.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
repo=$(CDPATH='' cd -- "$here/../.." && pwd)
version=${KAFKA_VERSION:-4.1.1}
target="${FORESTALL_SERVICES:-$repo/.services}/kafka/$version"

if [ -e "$target/complete" ]; then
    exit 0
fi
for program in java mvn; do
    if ! command -v "$program" >/dev/null 2>&1; then
        echo "kafka.sh: '$program' is not installed; install it (Debian: openjdk-17-jre-headless, maven)" >&2
        exit 1
    fi
done

case $version in
    3.*) binding="-Dbinding.group=org.slf4j -Dbinding.artifact=slf4j-reload4j -Dbinding.version=1.7.36" ;;
    *) binding="" ;;
esac

echo "kafka.sh: fetching Apache Kafka $version"
mkdir -p "$target"
work=$(mktemp -d "$target/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM
# $binding is several words on purpose.
# shellcheck disable=SC2086
mvn --batch-mode --quiet --file "$here/kafka-pom.xml" -Dkafka.version="$version" $binding \
    dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$work/libs"
rm -rf "$target/libs"
mv "$work/libs" "$target/libs"
touch "$target/complete"
echo "kafka.sh: $(find "$target/libs" -name '*.jar' | wc -l) jars in $target/libs"
