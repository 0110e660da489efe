#!/usr/bin/env bash
# onnxruntime 1.32.0 (the wheel on PyPI, Linux): `import onnxruntime` was expected to load a library. It also
# writes an identifier of the user and a database into ~/.cache/Microsoft/DeveloperTools/.onnxruntime, starts
# threads, and looks up a host of its vendor (that it sends anything was not seen). The file Privacy.md in the
# package says that telemetry is on; ORT_DISABLE_TELEMETRY=1 set before the import prevents all of it, the
# function onnxruntime.disable_telemetry_events() comes too late.
#
# Where it matters here: processes of transforms with the policy `model` have this variable set
# (worker/sandbox/child_process.py), and no network.
#
# Seen: files in ~/.cache/Microsoft after the import, none with the variable.
# Exits 0 while that is so, 1 otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0

files_after_import() { # files_after_import NAME [VARIABLE=VALUE]
    mkdir "$folder/$1"
    env HOME="$folder/$1" XDG_CACHE_HOME="$folder/$1/.cache" "${@:2}" \
        "$folder/venv/bin/python" -c 'import onnxruntime; print("version", onnxruntime.__version__)' >&2
    (cd "$folder/$1" && find . -type f | sort)
}

found=$(files_after_import default)
disabled=$(files_after_import disabled ORT_DISABLE_TELEMETRY=1)
echo "files after the import: ${found:-none}"
echo "with ORT_DISABLE_TELEMETRY=1: ${disabled:-none}"
if grep -q deviceid <<<"$found" && [ -z "$disabled" ]; then
    echo "As recorded: importing it writes an identifier."
    exit 0
fi
echo "The behaviour has changed."
exit 1
