#!/usr/bin/env bash
# The lines that need a GPU, measured on a machine that may have no network, no Go and no Java.
#
#   gpu.sh pack KIT [PYTHON]   here, in a checkout, with package registries at hand: everything that travels, into the folder KIT,
#                              and as KIT.tar.xz in parts of 48 MB. PYTHON: the version of the other machine's Python, 3.12 by default
#   gpu.sh unpack PARTS KIT    there: the folder again, of KIT.tar.xz.* in the folder PARTS
#   KIT/gpu.sh run OUT [--device cpu] [FLAGS]
#                              there: one JSON in the folder OUT, named after the hardware; flags are those of bench. With the CPU it is a
#                              rehearsal: no figures to keep
#
# The other machine needs Linux on x86-64, the C library that this one has or a newer one, an NVIDIA driver for CUDA 13, CUDA 13's cuBLAS,
# cuRAND and cuFFT and cuDNN 9 (where ld.so finds them, below /usr/local/cuda, or as wheels of its Python: torch brings them), and Python
# with numpy. The kit brings the rest: bench, ONNX Runtime with its CUDA provider, libjpeg-turbo, bundle, photos, and what makes towers in
# full size. Kafka and Redis are the embedded ones, in the memory of bench: a backlog takes some 10 GB on 16 cores.
#
# What is measured: an interrupt ends the pipeline in order although CUDA takes over signal handlers; pipeline ÷ a bare loop of ONNX Runtime
# on the same device at equal batch, JPEG decode included; how many cores decode as fast as the device labels. Move the JSON to
# pipeline/bench/results, then: make bench-report.
set -euo pipefail
here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

fail() {
	printf 'gpu.sh: %s\n' "$*" >&2
	exit 1
}

usage() { sed -n '2,/^set/{/^#/!d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; }

pack() {
	local kit=${1:?pack needs a folder} python=${2:-3.12} root wheels
	root=$(CDPATH='' cd -- "$here/../.." && pwd)
	mkdir -p "$kit/lib" "$kit/wheels" "$kit/photos"
	kit=$(CDPATH='' cd -- "$kit" && pwd)
	cd "$root"
	pkg-config --exists libjpeg || fail "libjpeg-turbo's headers are missing: apt-get install libjpeg62-turbo-dev"
	go build -tags=libjpegturbo -trimpath -ldflags='-s -w' -o "$kit/bench" ./pipeline/bench
	git describe --tags --always --dirty >"$kit/commit"
	cp "$here/gpu.sh" "$here/peer_python/full_size.py" "$kit"
	cp -r model/bundles/itr-mini "$kit"
	"$kit/bench" photos "$kit/photos"
	ldd "$kit/bench" | awk '$1 ~ /^libjpeg/ {print $3}' | xargs -I{} cp -L {} "$kit/lib"
	wheels=$(mktemp -d)
	# Provider and library must come from one build.
	python3 -m pip download -q --no-deps --only-binary=:all: --python-version "$python" --platform manylinux_2_27_x86_64 --platform manylinux_2_28_x86_64 \
		-d "$wheels" onnxruntime-gpu==1.29.0
	python3 -m zipfile -e "$wheels"/onnxruntime_gpu-*.whl "$wheels"
	cp "$wheels"/onnxruntime/capi/libonnxruntime.so.* "$kit/lib/libonnxruntime.so"
	cp "$wheels"/onnxruntime/capi/libonnxruntime_providers_{shared,cuda}.so "$kit/lib"
	rm -r "$wheels"
	python3 -m pip download -q --no-deps --only-binary=:all: --python-version "$python" --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
		--platform manylinux_2_27_x86_64 --platform manylinux_2_28_x86_64 -d "$kit/wheels" \
		"$(grep ^onnx== "$here/peer_python/requirements.txt")" "$(grep ^pyyaml "$here/peer_python/requirements.txt")" ml_dtypes protobuf typing_extensions
	printf 'bench wants GLIBC %s or later\n' "$(objdump -T "$kit/bench" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -1 | cut -d_ -f2)"
	tar -C "$(dirname "$kit")" -c "$(basename "$kit")" | xz -T0 | split -b 48M - "$kit.tar.xz."
	du -ch "$kit".tar.xz.*
}

unpack() {
	local parts=${1:?unpack needs the folder with the parts} kit=${2:?and the folder to make}
	mkdir -p "$kit"
	cat "$parts"/*.tar.xz.* | xz -d | tar -x --strip-components=1 -C "$kit"
}

# cuda_folders lists where CUDA's libraries may lie, each before a colon.
cuda_folders() {
	python3 - <<-'PYTHON'
		import glob, site, sys
		found = [f for p in [*site.getsitepackages(), site.getusersitepackages()] for f in glob.glob(p + "/nvidia/**/lib", recursive=True)]
		sys.stdout.write("".join(f + ":" for f in found + glob.glob("/usr/local/cuda*/lib64") + glob.glob("/usr/local/nvidia/lib64")))
	PYTHON
}

run() {
	local out=${1:?run needs a folder for the JSON} device=cuda:0 bundle folders
	shift
	if [ "${1:-}" = --device ]; then
		device=${2:?--device needs cpu or cuda:N}
		shift 2
	fi
	mkdir -p "$out"
	[ -x "$here/bench" ] || fail "there is no $here/bench: run this in a folder that gpu.sh pack has made"
	folders=$(cuda_folders)
	export LD_LIBRARY_PATH="$here/lib:$folders${LD_LIBRARY_PATH:-}" ITRSTREAM_ONNXRUNTIME="$here/lib/libonnxruntime.so"
	if [ ! -e "$here/full-size/bundle.yaml" ]; then
		rm -rf "$here/full-size.part"
		PYTHONPATH=$here/packages python3 -c 'import onnx, yaml' 2>/dev/null ||
			python3 -m pip install -q --no-index --no-deps --target "$here/packages" "$here"/wheels/*.whl
		PYTHONPATH=$here/packages python3 "$here/full_size.py" "$here/itr-mini" "$here/full-size.part"
		mv "$here/full-size.part" "$here/full-size"
	fi
	for bundle in itr-mini full-size; do
		"$here/bench" --only gpu --embedded --device "$device" --bundle "$here/$bundle" --cache "$here/photos" --results "$out" --commit "$(<"$here/commit")" "$@"
	done
}

case "${1:-help}" in
pack | unpack | run) "$@" ;;
help) usage ;;
*)
	usage >&2
	exit 2
	;;
esac
