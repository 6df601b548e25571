#!/usr/bin/env bash
# gguf 0.19.0 with numpy 2.4.6, run 2026-11-28.
#
# `add_string(key, "")` and `add_array(key, [])` write nothing at all: no key, no error. What was set
# to be empty is absent, and a reader takes its default instead: an empty separator, prefix or list of
# ratios cannot be stored. 0, False and 0.0 are written.
#
# Output seen:
#   asked for: array empty, array of one, bool, float, string, string empty, uint
#   in the file: array of one, bool, float, string, uint
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q gguf==0.19.0 numpy==2.4.6
"$work/venv/bin/python" - "$work/file.gguf" <<'PY' | tee "$work/out"
import sys

import gguf

writer = gguf.GGUFWriter(sys.argv[1], "test")
writer.add_uint32("x.uint", 0)
writer.add_bool("x.bool", False)
writer.add_float32("x.float", 0.0)
writer.add_string("x.string", "a")
writer.add_string("x.string empty", "")
writer.add_array("x.array of one", [0])
writer.add_array("x.array empty", [])
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.close()
found = [key for key in gguf.GGUFReader(sys.argv[1]).fields if key.startswith("x.")]
asked = ["uint", "bool", "float", "string", "string empty", "array of one", "array empty"]
print("asked for:", ", ".join(sorted(asked)))
print("in the file:", ", ".join(sorted(key.removeprefix("x.") for key in found)))
PY
diff - "$work/out" <<'END'
asked for: array empty, array of one, bool, float, string, string empty, uint
in the file: array of one, bool, float, string, uint
END
