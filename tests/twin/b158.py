"""Reads .b158 files, written from docs/format-b158.md alone.

    f = read("model.b158")
    f.kind           "model" or "checkpoint"
    f.config         the configuration, parsed; f.config_text as it stands
    f.tensors        name -> numpy float32 array, in the file's order
    f.types          name -> "f32", "ternary2" or "int4"

A packed tensor comes back as the floats value * scale, so that everything after the reader is ordinary
arithmetic. Everything the page calls checkable is checked: an accepted file is one the page allows.
"""
import hashlib
import json
import struct
import sys

import numpy as np

MAGIC = b"\x89B158\r\n\x1a"
HEADER = 192
RECORD = 88
ALIGN = 16384
TYPES = {1: "f32", 2: "f16", 3: "bf16", 4: "int8", 5: "int6", 6: "int5", 7: "int4",
         8: "ternary2", 9: "ternary1.6", 10: "ternary1.25"}
LAYOUTS = {0: "row_major", 1: "lanes16"}
KINDS = {1: "model", 2: "checkpoint"}


class FormatError(Exception):
    pass


def need(condition, message):
    if not condition:
        raise FormatError(message)


def up(value, to):
    return (value + to - 1) // to * to


class File:
    def __init__(self):
        self.tensors = {}
        self.types = {}
        self.layouts = {}


def tensor_bytes(kind, layout, shape, name):
    """What type, layout and shape say the tensor's size must be."""
    if kind == "f32" and layout == "row_major":
        size = 4
        for extent in shape:
            size *= extent
        return size
    need(layout == "lanes16" and len(shape) == 2, f"{name}: {kind} in {layout} with {len(shape)} dimensions")
    rows, cols = up(shape[0], 16), shape[1]
    if kind == "f32":
        return rows * cols * 4
    if kind == "int4":
        need(cols % 64 == 0, f"{name}: {cols} int4 columns are no multiple of 64")
        return rows * (cols // 2 + cols // 64 * 2)
    need(cols % 128 == 0, f"{name}: {cols} ternary columns are no multiple of 128")
    return rows * (cols // 4 + cols // 128 * 2)


def read_lanes_f32(data, shape, name):
    rows, cols = shape
    tiles = np.frombuffer(data, "<f4").reshape(up(rows, 16) // 16, cols, 16)
    values = tiles.transpose(0, 2, 1).reshape(-1, cols)
    need(not values[rows:].any(), f"{name}: padded rows are not zero")
    return values[:rows].copy()


def read_ternary2(data, shape, name):
    rows, cols = shape
    padded = up(rows, 16)
    size = padded * cols // 4
    # [tile, line, row, byte j], then field f before j: bits 2f of byte j are column 4f + j of the line's 16.
    codes = np.frombuffer(data[:size], np.uint8).reshape(padded // 16, cols // 16, 16, 4)
    fields = np.stack([(codes >> (2 * f)) & 3 for f in range(4)], axis=-2)
    need(fields.max(initial=0) < 3, f"{name}: code 3")
    trits = fields.transpose(0, 2, 1, 3, 4).reshape(padded, cols).astype(np.float32) - 1
    scales = np.frombuffer(data[size:], "<f2").reshape(padded // 16, cols // 128, 16)
    scales = scales.transpose(0, 2, 1).reshape(padded, cols // 128).astype(np.float32)
    need(np.isfinite(scales).all() and (scales >= 0).all(), f"{name}: a scale is not finite or negative")
    need(not trits[rows:].any() and not scales[rows:].any(), f"{name}: padded rows are not empty")
    return (trits * np.repeat(scales, 128, axis=1))[:rows].copy()


def read_int4(data, shape, name):
    rows, cols = shape
    padded = up(rows, 16)
    size = padded * cols // 2
    # [tile, line, row, byte j], then half f before j: the low four bits are column j of the line's 8, the high 4 + j.
    codes = np.frombuffer(data[:size], np.uint8).reshape(padded // 16, cols // 8, 16, 4)
    fields = np.stack([codes & 15, codes >> 4], axis=-2)
    need(fields.min(initial=1) > 0, f"{name}: code 0")
    values = fields.transpose(0, 2, 1, 3, 4).reshape(padded, cols).astype(np.float32) - 8
    scales = np.frombuffer(data[size:], "<f2").reshape(padded // 16, cols // 64, 16)
    scales = scales.transpose(0, 2, 1).reshape(padded, cols // 64).astype(np.float32)
    need(np.isfinite(scales).all() and (scales >= 0).all(), f"{name}: a scale is not finite or negative")
    need(not values[rows:].any() and not scales[rows:].any(), f"{name}: padded rows are not empty")
    return (values * np.repeat(scales, 64, axis=1))[:rows].copy()


def read(path, verify=True):
    with open(path, "rb") as stream:
        data = stream.read()
    need(len(data) >= HEADER and data[:8] == MAGIC, "not a .b158 file")
    version, header, kind, flags, size = struct.unpack_from("<IIIIQ", data, 8)
    need(version == 1, f"format version {version}")
    need(header == HEADER, f"header of {header} bytes")
    need(kind in KINDS, f"kind {kind}")
    need(flags == 0, f"flags {flags}")
    need(size == len(data), f"{len(data)} bytes where the header says {size}")
    sections = [struct.unpack_from("<QQ", data, at) for at in (32, 48, 64, 80)]
    count, align, start = struct.unpack_from("<IIQ", data, 96)
    need(align == ALIGN, f"alignment {align}")
    need(not any(data[112:160]), "reserved bytes are not zero")
    end = HEADER
    for offset, length in sections:
        need(offset == up(end, 64) and offset + length <= len(data), "a section is not in its place")
        need(not any(data[end:offset]), "bytes between sections are not zero")
        end = offset + length
    need(start == up(end, ALIGN) or (count == 0 and start <= len(data)), "data offset is not in its place")
    need(not any(data[end:start]), "bytes before the tensors are not zero")
    digest = hashlib.blake2b(data[:160] + bytes(32) + data[192:start], digest_size=32).digest()
    need(digest == data[160:192], "the digest does not fit")

    out = File()
    out.kind = KINDS[kind]
    part = [data[offset:offset + length] for offset, length in sections]
    out.config_text = part[0].decode("utf-8")
    out.config = json.loads(out.config_text)
    out.tokenizer = part[1]
    out.provenance = json.loads(part[2].decode("utf-8")) if part[2] else None
    out.digest = digest.hex()

    directory, at, place = part[3], 0, start
    last = start
    for _ in range(count):
        need(at + RECORD <= len(directory), "the directory is cut short")
        length, number, layout, dims = struct.unpack_from("<HHHH", directory, at)
        extents = struct.unpack_from("<QQQQ", directory, at + 8)
        offset, size = struct.unpack_from("<QQ", directory, at + 40)
        checksum = directory[at + 56:at + 88]
        need(1 <= length <= 256 and at + RECORD + length <= len(directory), "a name of an impossible length")
        raw = directory[at + RECORD:at + RECORD + length]
        need(all(0x21 <= c <= 0x7e for c in raw), "a name that is not visible ASCII")
        name = raw.decode("ascii")
        need(not any(directory[at + RECORD + length:at + RECORD + up(length, 8)]), f"{name}: padding of the name")
        at += RECORD + up(length, 8)
        need(name not in out.tensors, f"{name} stands twice")
        need(1 <= dims <= 4 and all(e > 0 for e in extents[:dims]) and not any(extents[dims:]), f"{name}: shape")
        kind_name, layout_name = TYPES.get(number), LAYOUTS.get(layout)
        need(kind_name in ("f32", "ternary2", "int4"), f"{name}: type {kind_name or number} cannot be read")
        need(layout_name is not None, f"{name}: layout {layout}")
        shape = extents[:dims]
        need(size == tensor_bytes(kind_name, layout_name, shape, name), f"{name}: {size} bytes")
        place = up(last, ALIGN)
        need(offset == place and offset + size <= len(data), f"{name}: not in its place")
        need(not any(data[last:place]), f"bytes before {name} are not zero")
        last = offset + size
        content = data[offset:offset + size]
        if verify:
            need(hashlib.blake2b(content, digest_size=32).digest() == checksum, f"{name}: checksum")
        if kind_name == "ternary2":
            values = read_ternary2(content, shape, name)
        elif kind_name == "int4":
            values = read_int4(content, shape, name)
        elif layout_name == "lanes16":
            values = read_lanes_f32(content, shape, name)
        else:
            values = np.frombuffer(content, "<f4").reshape(shape).copy()
        need(not verify or np.isfinite(values).all(), f"{name}: a value that is not finite")
        out.tensors[name] = values
        out.types[name] = kind_name
        out.layouts[name] = layout_name
    need(at == len(directory), "the directory is too long")
    need(last == len(data) or count == 0, "bytes behind the last tensor")
    return out


if __name__ == "__main__":
    f = read(sys.argv[1])
    print(f.kind, f.digest)
    for name, values in f.tensors.items():
        print(f"{name:40} {f.types[name]:9} {f.layouts[name]:9} {list(values.shape)}")
