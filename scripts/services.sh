#!/usr/bin/env bash
# Fetch the real servers that tests and benchmarks talk to. Quick where they are there already.
# Debian's packages need root (or sudo without a password); the rest goes into .services/.
set -euo pipefail
cd "$(dirname "$0")/.."

# program that must be there → Debian package that brings it
packages=(
    mosquitto:mosquitto
    postgres:postgresql
    victoria-metrics:victoria-metrics
    chromium:chromium
    java:default-jre-headless
    mvn:maven
    fc-list:fontconfig
)
# fonts, not programs: for screenshots of the Chinese pages; for PDFs in Chinese, which need TrueType outlines
font=fonts-noto-cjk
pdf_font=fonts-wqy-microhei

there() {
    PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1 ||
        compgen -G "/usr/lib/postgresql/*/bin/$1" >/dev/null
}

missing=()
for entry in "${packages[@]}"; do
    there "${entry%%:*}" || missing+=("${entry##*:}")
done
if ! there fc-list || [ -z "$(fc-list ':lang=zh-cn' family 2>/dev/null)" ]; then missing+=("$font"); fi
if [ ! -e /usr/share/fonts/truetype/wqy/wqy-microhei.ttc ]; then missing+=("$pdf_font"); fi

install_debian() {
    local root=()
    if [ "$(id -u)" -ne 0 ]; then
        sudo -n true 2>/dev/null || return 1
        root=(sudo -n)
    fi
    command -v apt-get >/dev/null || return 1
    local log
    log=$(mktemp)
    echo "services: installing ${missing[*]}"
    if ! { "${root[@]}" apt-get update &&
        "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; } \
        >"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}

failed=0
if [ ${#missing[@]} -gt 0 ] && ! install_debian; then
    echo "services: missing: ${missing[*]}" >&2
    echo "services: run:  sudo apt-get update && sudo apt-get install --no-install-recommends ${missing[*]}" >&2
    failed=1
fi

if ! bash scripts/services/kafka.sh; then
    echo "services: Apache Kafka could not be fetched (see above)" >&2
    failed=1
fi

# InfluxDB 2 has no Debian package; its Go module builds in 5 to 8 minutes, so only where that is asked for.
without=""
if [ -n "${FORESTALL_INFLUXDB:-}" ] || compgen -G ".services/influxdb/*/influxd" >/dev/null; then
    bash scripts/services/influxdb.sh || without=" but InfluxDB 2, which is not to be had here: its tests are left out"
else
    without=" but InfluxDB 2: its tests are left out; FORESTALL_INFLUXDB=1 make services builds it (5 to 8 minutes)"
fi

[ "$failed" -eq 0 ] && echo "services: all there$without"
exit "$failed"
