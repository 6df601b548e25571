"""The arrays in a file of codes: read without trust in what it claims, and written so that equal
arrays give equal bytes.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterable
from typing import BinaryIO

import numpy as np

from xcodec2.errors import CodesError

MAX_ARRAY_BYTES = 1 << 26  # 186 hours of 16-bit codes at 50 per second


def read_npz(file: BinaryIO, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Those arrays of `names` that are in the archive.

    Args:
        file: An .npz, seekable.
        names: Without `.npy`.

    Returns:
        The arrays by name.

    Raises:
        CodesError: The archive is damaged, or an array is larger or of another kind than in files
            of codes.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members = {f"{name}.npy" for name in names} & set(archive.namelist())
            return {
                member.removesuffix(".npy"): parse_npy(
                    _read_member(archive.getinfo(member), archive)
                )
                for member in members
            }
    except CodesError:
        raise
    except (
        Exception
    ) as problem:  # zipfile and zlib raise some ten types on bytes made to break them
        raise CodesError(f"damaged or cut short ({problem})") from problem


def read_all(file: BinaryIO) -> bytes:
    """The content of a file.

    Raises:
        CodesError: It is more than codes can need.
    """
    if (size := file.seek(0, io.SEEK_END)) > MAX_ARRAY_BYTES:
        raise CodesError(f"has {size} bytes, more than codes can need")
    file.seek(0)
    return file.read()


def parse_npy(content: bytes) -> np.ndarray:
    """An array from the bytes of an .npy.

    Not numpy.load: it allocates what the header claims before it reads.

    Raises:
        CodesError: They are damaged, or of a type that codes files do not use.
    """
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        headers = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        shape, _, dtype = headers[version](stream)
    except Exception as problem:  # the header is parsed as Python literals: any bytes, any error
        raise CodesError("an array in it has a damaged header") from problem
    present = len(content) - stream.tell()
    if dtype.kind not in "iufU" or any(size < 0 for size in shape):
        raise CodesError(
            f"an array in it is of type {dtype} and shape {shape}, which codes files do not use"
        )
    if math.prod(shape) * dtype.itemsize != present:
        raise CodesError(
            f"damaged or cut short: {present} bytes for an array of shape {shape} and type {dtype}"
        )
    return np.frombuffer(content, dtype, offset=stream.tell()).reshape(shape)


def _read_member(member: zipfile.ZipInfo, archive: zipfile.ZipFile) -> bytes:
    """The content of one array, never more than it claims to be, and it may not claim much."""
    if member.file_size > MAX_ARRAY_BYTES:
        raise CodesError(
            f"{member.filename} claims {member.file_size} bytes, more than codes can need"
        )
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise CodesError(f"{member.filename} is compressed in a way that NumPy does not use")
    with archive.open(member) as file:
        return file.read(member.file_size)


def write_npz(file: BinaryIO, arrays: dict[str, np.ndarray]) -> None:
    """The same bytes for the same arrays, wherever and whenever."""
    # Not numpy.savez, which stamps the time and adds a suffix. Stored, not deflated: codes do not
    # compress, and what zlib writes differs between its versions.
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            member.create_system, member.external_attr = 3, 0o644 << 16  # the same on every system
            content = io.BytesIO()
            np.lib.format.write_array(content, array, version=(1, 0), allow_pickle=False)
            archive.writestr(member, content.getvalue())
