"""The wardrobe's arrays: each garment as anchors on the body and offsets, a few kilobytes apiece."""

import numpy as np

from posedreamer.bodies.building.cloth import MAX_ANCHORS, Bound, Skin

ANCHOR_STEPS = 255


def wardrobe_arrays(garments: dict[str, Bound], skin: Skin) -> dict[str, np.ndarray]:
    """Arrays by `<garment>.<array>`, in the format that `bodies.wardrobe` reads."""
    arrays = {}
    for name, mesh in garments.items():
        index, weight = dense_anchors(mesh)
        base = np.einsum("vk,vkc->vc", weight, skin.vertices[index])
        arrays |= {
            f"{name}.anchor_index": index.astype(np.uint16),
            f"{name}.anchor_weight": np.round(weight * ANCHOR_STEPS).astype(np.uint8),
            f"{name}.offset": (mesh.positions - base).astype(np.float16),
            f"{name}.faces": mesh.faces.astype(np.uint16),
            f"{name}.shade": np.round(mesh.shade * 100).astype(np.uint8),
        }
    return arrays


def dense_anchors(mesh: Bound) -> tuple[np.ndarray, np.ndarray]:
    """The MAX_ANCHORS heaviest anchors of each vertex: body vertices, and weights in 1/ANCHOR_STEPS that sum to 1."""
    count = len(mesh.positions)
    index, weight = np.zeros((count, MAX_ANCHORS), dtype=np.int64), np.zeros((count, MAX_ANCHORS))
    for row in range(count):
        columns = mesh.anchors.indices[mesh.anchors.indptr[row] : mesh.anchors.indptr[row + 1]]
        values = np.asarray(mesh.anchors.data[mesh.anchors.indptr[row] : mesh.anchors.indptr[row + 1]])
        heaviest = np.argsort(np.negative(values), kind="stable")[:MAX_ANCHORS]
        index[row, : len(heaviest)], weight[row, : len(heaviest)] = columns[heaviest], values[heaviest]
    steps = np.round(weight / weight.sum(axis=1, keepdims=True) * ANCHOR_STEPS)
    steps[:, 0] += ANCHOR_STEPS - steps.sum(axis=1)
    return index, steps / ANCHOR_STEPS
