"""A network with the outputs of YuNet that takes red squares for faces, in ONNX format.

OpenCV's detector reads the outputs cls, obj, bbox and kps of the strides 8, 16 and 32. Of each cell
of a stride they are: two probabilities, whose geometric mean is the score; middle and logarithm of
the size, in cells; five landmarks, in cells. The format is Protocol Buffers (onnx.proto, IR 8).
"""

import struct
from collections.abc import Sequence

_FLOAT, _IR, _OPSET = 1, 8, 17
_INT, _BYTES = 0, 2  # wire types
_ATTRIBUTE_INT, _ATTRIBUTE_INTS = 2, 7
#: Blue, green and red of a cell's mean -> probability of a face: 1 where it is red, 0 where gray.
_REDNESS = (-1 / 200, -1 / 200, 1 / 100)
_CELLS = 8  # width and height of every face, of stride 8: 64 pixels
_LANDMARKS = (-1.0, -1.0, 1.0, -1.0, 0.0, 0.0, -1.0, 1.0, 1.0, 1.0)


def red_squares(prefix: str = "") -> bytes:
    """Return the model; with a prefix its outputs have other names."""
    nodes, constants, outputs = b"", b"", b""
    for stride in (8, 16, 32):
        mean = f"mean_{stride}"
        sides = [stride, stride]
        pooling = {"kernel_shape": sides, "strides": sides}
        nodes += _node("AveragePool", ["input"], mean, **pooling)
        redness = _REDNESS if stride == _CELLS else (0.0, 0.0, 0.0)
        size = 2.0794415  # the logarithm of 8
        for name, rows, biases in (
            ("cls", [redness], [0.0]),
            ("obj", [(0.0, 0.0, 0.0)], [1.0]),
            ("bbox", [(0.0, 0.0, 0.0)] * 4, [0.5, 0.5, size, size]),
            ("kps", [(0.0, 0.0, 0.0)] * 10, [0.5 + each for each in _LANDMARKS]),
        ):
            output = f"{prefix}{name}_{stride}"
            flat = [value for row in rows for value in row]
            constants += _field(5, _tensor(f"{output}_w", (len(rows), 3, 1, 1), flat))
            constants += _field(5, _tensor(f"{output}_b", (len(rows),), biases))
            convolved, inputs = f"{output}_c", [mean, f"{output}_w", f"{output}_b"]
            nodes += _node("Conv", inputs, convolved, kernel_shape=[1, 1])
            nodes += _node("Transpose", [convolved], output, perm=[0, 2, 3, 1])
            outputs += _field(12, _value(output, (1, 640 // stride, 640 // stride, len(rows))))
    graph = nodes + _field(2, b"squares") + constants
    graph += _field(11, _value("input", (1, 3, 640, 640))) + outputs
    return _number(1, _IR) + _field(7, graph) + _field(8, _number(2, _OPSET))


def _node(operation: str, inputs: Sequence[str], output: str, **attributes: Sequence[int]) -> bytes:
    content = b"".join(_field(1, name.encode()) for name in inputs) + _field(2, output.encode())
    content += _field(3, output.encode()) + _field(4, operation.encode())
    for name, values in attributes.items():
        numbers = b"".join(_number(8, value) for value in values)
        attribute = _field(1, name.encode()) + numbers + _number(20, _ATTRIBUTE_INTS)
        content += _field(5, attribute)
    return _field(1, content)


def _tensor(name: str, shape: Sequence[int], values: Sequence[float]) -> bytes:
    sizes = b"".join(_number(1, size) for size in shape)
    data = struct.pack(f"<{len(values)}f", *values)
    return sizes + _number(2, _FLOAT) + _field(8, name.encode()) + _field(9, data)


def _value(name: str, shape: Sequence[int]) -> bytes:
    sizes = b"".join(_field(1, _number(1, size)) for size in shape)
    tensor = _number(1, _FLOAT) + _field(2, sizes)
    return _field(1, name.encode()) + _field(2, _field(1, tensor))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | _INT) + _varint(value)


def _field(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    encoded = b""
    while value > 127:
        encoded += bytes([value & 127 | 128])
        value >>= 7
    return encoded + bytes([value])
