#!/bin/sh
# Puts ONNX Runtime's shared library for this platform into a cache folder and
# prints its path on stdout; progress and errors go to stderr.
#
#   model/runtime/fetch-onnxruntime.sh [CACHE]     default: .cache/onnxruntime at the repository's root
#
# The library comes by the first package client that works of pip, npm and
# Maven, from whatever registry that client is set up for, and is used only if
# it has a digest pinned below. A library that is there already is kept, so
# running this again costs one digest.
#
# ITRSTREAM_ONNXRUNTIME=/path/to/libonnxruntime.so uses that library instead
# (one with CUDA, say) and fetches nothing.
set -eu

version=1.29.0

say() { printf '%s\n' "fetch-onnxruntime: $*" >&2; }
fail() {
	say "$*"
	exit 1
}

if [ -n "${ITRSTREAM_ONNXRUNTIME:-}" ]; then
	[ -f "$ITRSTREAM_ONNXRUNTIME" ] ||
		fail "ITRSTREAM_ONNXRUNTIME=$ITRSTREAM_ONNXRUNTIME is not a file; point it to a libonnxruntime.so $version, or unset it to fetch one"
	printf '%s\n' "$ITRSTREAM_ONNXRUNTIME"
	exit 0
fi

# Each registry carries its own build; only on arm64 do npm and Maven share one.
case "$(uname -s)/$(uname -m)" in
Linux/x86_64 | Linux/amd64)
	platform=linux-amd64 pip_arch=x86_64 npm_arch=x64 mvn_arch=x64
	pip_digest=8902e52a04bf6bf26f1613746811d6194f9c97ce7a6a7a28452b48522d3bd8d0
	npm_digest=89688f5cf51c7e31befbb7b9101bc027799009b18d1baa9a5b1146a72e69538d
	mvn_digest=5715f06d8992ca8eeeddcce43df3a7d38f97d537052126f558e912cb312460ca
	;;
Linux/aarch64 | Linux/arm64)
	platform=linux-arm64 pip_arch=aarch64 npm_arch=arm64 mvn_arch=aarch64
	pip_digest=1444bdca675524f4d265f71397810c9b1f39164b6dccc8f1a39cd81d938e98f4
	npm_digest=a27d21126db312aa8f02f3d5eaebe466e991f51f469882e6d0407d5a8b64afda
	mvn_digest=a27d21126db312aa8f02f3d5eaebe466e991f51f469882e6d0407d5a8b64afda
	;;
*)
	fail "no ONNX Runtime is pinned for $(uname -s) on $(uname -m), only for Linux on x86-64 and arm64; set ITRSTREAM_ONNXRUNTIME to a library of your own"
	;;
esac

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
cache=${1:-$root/.cache/onnxruntime}
mkdir -p "$cache/$version-$platform"
folder=$(CDPATH='' cd -- "$cache/$version-$platform" && pwd)
library=$folder/libonnxruntime.so

digest() { sha256sum "$1" | cut -d' ' -f1; }
pinned() {
	case "$(digest "$1")" in
	"$pip_digest" | "$npm_digest" | "$mvn_digest") return 0 ;;
	esac
	return 1
}

if [ -f "$library" ]; then
	if pinned "$library"; then
		printf '%s\n' "$library"
		exit 0
	fi
	say "$library has a digest that is not pinned (damaged?): fetching it again"
fi

work=$(mktemp -d "$folder/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

by_pip() {
	for pip in 'python3 -m pip' pip3 pip; do
		$pip --version >/dev/null 2>&1 || continue
		# The wheel's C library is the same for every Python, so any one is named.
		# The first two variables undo settings of the user that forbid a plain target folder.
		PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 PIP_ROOT_USER_ACTION=ignore $pip install --quiet --disable-pip-version-check \
			--no-deps --no-compile --only-binary=:all: --implementation cp --python-version 3.12 \
			--platform "manylinux_2_28_$pip_arch" --target "$work/pip" "onnxruntime==$version" >&2 || return 1
		found=$work/pip/onnxruntime/capi/libonnxruntime.so.$version want=$pip_digest
		return 0
	done
	return 127
}

by_npm() {
	command -v npm >/dev/null || return 127
	mkdir -p "$work/npm"
	npm pack --loglevel=error --pack-destination "$work/npm" "onnxruntime-node@$version" >/dev/null || return 1
	found=$work/npm/package/bin/napi-v6/linux/$npm_arch/libonnxruntime.so.1 want=$npm_digest
	tar -xzf "$work/npm/onnxruntime-node-$version.tgz" -C "$work/npm" "package/bin/napi-v6/linux/$npm_arch"
}

by_mvn() {
	command -v mvn >/dev/null || return 127
	found=$work/mvn/ai/onnxruntime/native/linux-$mvn_arch/libonnxruntime.so want=$mvn_digest
	(cd "$work" && mvn -q -B -Dstyle.color=never dependency:unpack "-Dartifact=com.microsoft.onnxruntime:onnxruntime:$version" \
		"-DoutputDirectory=$work/mvn" "-Dmdep.unpack.includes=ai/onnxruntime/native/linux-$mvn_arch/libonnxruntime.so" >&2)
}

say "fetching ONNX Runtime $version for $platform by the first that works of pip, npm and mvn"
tried=''
for client in pip npm mvn; do
	code=0
	"by_$client" || code=$?
	case $code in
	0) ;;
	127) continue ;;
	*)
		say "$client did not deliver it (its own words are above)"
		tried="$tried $client"
		continue
		;;
	esac
	[ -f "$found" ] || fail "what $client delivered lacks ${found#"$work/"}"
	got=$(digest "$found")
	[ "$got" = "$want" ] || fail "the library that $client delivered has SHA-256 $got, pinned is $want: it is not used"
	chmod 755 "$found"
	mv -f "$found" "$library"
	say "fetched by $client"
	printf '%s\n' "$library"
	exit 0
done
[ -z "$tried" ] || fail "none of the clients here could fetch it (tried:$tried); see above, or set ITRSTREAM_ONNXRUNTIME to a libonnxruntime.so $version"
fail "one of pip, npm and mvn is needed to fetch ONNX Runtime $version; install one, or set ITRSTREAM_ONNXRUNTIME to a libonnxruntime.so"
