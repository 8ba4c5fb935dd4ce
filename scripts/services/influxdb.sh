#!/bin/sh
# Build InfluxDB 2 from its Go module (for tests): there is no Debian package of it.
#
#   scripts/services/influxdb.sh                    the default version
#   INFLUXDB_VERSION=2.10.0 scripts/services/influxdb.sh
#
# Needs Go ≥ 1.23 (2.10.0: ≥ 1.26.9), Rust ≥ 1.72 with cargo, a C compiler and pkg-config. The program ends in
# .services/influxdb/VERSION/influxd, without the web pages, which are not in the module; when it
# is there, this returns at once. About 3 GB of disk in Go's and cargo's own caches, and on two
# cores about five minutes.
#
# How it fits together: influxd's queries (Flux) are Rust, linked through cgo as «pkg-config: flux».
# InfluxData's own pkg-config, another Go module, builds that library with cargo when Go asks for
# it, and hands every other question to the system's pkg-config.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
repo=$(CDPATH='' cd -- "$here/../.." && pwd)
version=${INFLUXDB_VERSION:-2.7.12}
target="${FORESTALL_SERVICES:-$repo/.services}/influxdb/$version"

if [ -x "$target/influxd" ]; then
    exit 0
fi

fail() {
    echo "influxdb.sh: InfluxDB $version is not to be had here: $1" >&2
    exit 1
}

for program in go cargo cc pkg-config; do
    command -v "$program" >/dev/null 2>&1 || fail "'$program' is not installed"
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
mkdir -p "$target"
log="$target/build.log"
: >"$log"

# never another Go than the one that is here
export GOTOOLCHAIN=local GOFLAGS="${GOFLAGS:-} -buildvcs=false"
# no thin or fat LTO: it takes minutes, and makes a test server no better
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_BUILD_JOBS="${JOBS:-2}"
# Flux asks rustup for the compiler of its day; ours will do
if command -v rustup >/dev/null 2>&1; then
    toolchain=$(cd / && rustup show active-toolchain 2>>"$log") || fail "rustup has no active toolchain"
    export RUSTUP_TOOLCHAIN="${toolchain%% *}"
fi
# Flux's feature «strict» makes every warning an error, also the warnings of newer compilers
cat >"$work/cargo" <<'WRAPPER'
#!/bin/sh
exec cargo "$@" --locked --package flux --no-default-features --features cffi
WRAPPER
chmod +x "$work/cargo"

echo "influxdb.sh: building InfluxDB $version (some minutes; the log is $log)"
cd "$work"
module=$(go mod download -json "github.com/influxdata/influxdb/v2@v$version" 2>>"$log") ||
    fail "its Go module did not download, see $log"
source=$(printf '%s\n' "$module" | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",\{0,1\}$/\1/p')
[ -n "$source" ] || fail "Go did not say where it put the module"
# built where it lies, as the main module: only so do its own replacements and checksums hold
cd "$source"
nice -n 10 go build -p "${JOBS:-2}" -o "$work/pkg-config" github.com/influxdata/pkg-config >>"$log" 2>&1 ||
    fail "InfluxData's pkg-config did not build, see $log"
CARGO="$work/cargo" PKG_CONFIG="$work/pkg-config" PKG_CONFIG_LOG="$log" \
    nice -n 10 go build -p "${JOBS:-2}" -tags sqlite_foreign_keys,sqlite_json \
    -ldflags "-s -w -X main.version=v$version" -o "$work/influxd" ./cmd/influxd >>"$log" 2>&1 ||
    fail "it did not build, see $log"
mv "$work/influxd" "$target/influxd"
echo "influxdb.sh: $target/influxd"
