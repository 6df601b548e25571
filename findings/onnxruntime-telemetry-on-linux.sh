#!/usr/bin/env bash
# onnxruntime 1.32.0 (the wheel of PyPI, Linux x86-64), run 2026-11-29.
#
# Telemetry is no matter of Windows alone: `import onnxruntime` writes an id of the device and a data
# base of events into ~/.cache/Microsoft/DeveloperTools/.onnxruntime, and a session's id into
# $TMPDIR/.ses; the library names the address events are sent to. `disable_telemetry_events()` comes
# too late for these files. With ORT_DISABLE_TELEMETRY=1 in the environment nothing is written.
#
# Output seen:
#   import: deviceid onnxruntime.db .ses
#   import, then disable_telemetry_events(): deviceid onnxruntime.db .ses
#   ORT_DISABLE_TELEMETRY=1, then import:
#   https://mobile.events.data.microsoft.com/
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q onnxruntime==1.32.0

left_by() {  # NAME SETTING CODE
    rm -rf "$work/home" "$work/tmp"
    mkdir "$work/home" "$work/tmp"
    env "$2" HOME="$work/home" TMPDIR="$work/tmp" XDG_CACHE_HOME="$work/home/.cache" \
        "$work/venv/bin/python" -c "$3"
    local found=""
    for name in deviceid onnxruntime.db .ses; do
        if [ -n "$(find "$work/home" "$work/tmp" -type f -name "$name")" ]; then
            found="$found $name"
        fi
    done
    echo "$1:$found"
}

{
    left_by "import" NOTHING=1 "import onnxruntime"
    left_by "import, then disable_telemetry_events()" NOTHING=1 \
        "import onnxruntime; onnxruntime.disable_telemetry_events()"
    left_by "ORT_DISABLE_TELEMETRY=1, then import" ORT_DISABLE_TELEMETRY=1 "import onnxruntime"
    grep -a -o -h -E 'https://mobile\.events\.data\.microsoft\.com/' \
        "$work"/venv/lib/python3*/site-packages/onnxruntime/capi/libonnxruntime.so* | sort -u
} | tee "$work/out"
diff - "$work/out" <<'SEEN'
import: deviceid onnxruntime.db .ses
import, then disable_telemetry_events(): deviceid onnxruntime.db .ses
ORT_DISABLE_TELEMETRY=1, then import:
https://mobile.events.data.microsoft.com/
SEEN
