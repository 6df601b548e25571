#!/usr/bin/env bash
# gguf 0.19.0 with numpy 2.4.6, run 2026-11-28.
#
# `add_array` guesses the type of what it writes from Python's: whole numbers are INT32 whatever they
# count. A number that is added by `add_uint32` and a list of the same numbers have two types in one
# file. 2**31 fits a uint32 and raises; a NumPy array, or a list with NumPy scalars in it, raises as
# well. `add_key_value` with `sub_type=` says the type.
#
# Output seen:
#   one: UINT32
#   list: ARRAY of INT32
#   list, told: ARRAY of UINT32
#   2**31 in a list: error
#   NumPy array: ValueError
#   list of NumPy scalars: ValueError
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q gguf==0.19.0 numpy==2.4.6
"$work/venv/bin/python" - "$work/file.gguf" <<'PY' | tee "$work/out"
import sys

import gguf
import numpy as np
from gguf import GGUFValueType


def types(add):
    writer = gguf.GGUFWriter(sys.argv[1], "test")
    add(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return " of ".join(kind.name for kind in gguf.GGUFReader(sys.argv[1]).get_field("x").types)


def problem(values):
    try:
        types(lambda writer: writer.add_array("x", values))
    except Exception as error:
        return "ValueError" if isinstance(error, ValueError) else "error"


print("one:", types(lambda writer: writer.add_uint32("x", 3)))
print("list:", types(lambda writer: writer.add_array("x", [3, 4])))
told = {"sub_type": GGUFValueType.UINT32}
print(
    "list, told:",
    types(lambda writer: writer.add_key_value("x", [3, 4], GGUFValueType.ARRAY, **told)),
)
print("2**31 in a list:", problem([2**31]))
print("NumPy array:", problem(np.array([3, 4])))
print("list of NumPy scalars:", problem([np.float32(3)]))
PY
diff - "$work/out" <<'END'
one: UINT32
list: ARRAY of INT32
list, told: ARRAY of UINT32
2**31 in a list: error
NumPy array: ValueError
list of NumPy scalars: ValueError
END
