"""Mesh estimators: whatever says which body a picture shows, behind one protocol; ours, and others by entry point.

An estimator of another package is named `package.module:Class`. The class is called with the settings of the config as keyword
arguments, wherever samples are scored, so that an actor's `runtime_env` may bring the package there.
"""

import hashlib
import importlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from safetensors.torch import load_file, save_file

from posedreamer.bodies.body import BodyModel
from posedreamer.bodies.catalog import load_body
from posedreamer.bodies.posing import parameters_from_arrays, pose_bodies
from posedreamer.estimators.hmr import HMRNet, Recovered, to_input
from posedreamer.geometry.person_crop import CropCamera, look_at_person
from posedreamer.geometry.rotations import rotmat_to_rotvec
from posedreamer.geometry.skeletons import COCO_FROM_OUTPUT, NUM_BODY_JOINTS
from posedreamer.sample import PARAMETER_SHAPES, BodyParameters

WEIGHTS, SETTINGS = "model.safetensors", "config.json"
HALF_PIXEL = np.array(
    [[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]]
)  # OpenCV counts from the first pixel's middle


class MeshEstimate(NamedTuple):
    """What is seen of one person, in the picture's camera frame.

    joints_cam: SMPL's first 22 joints, metres. coco_keypoints: pixels. parameters: None where the estimator has another body.
    """

    joints_cam: Float[np.ndarray, "22 3"]
    coco_keypoints: Float[np.ndarray, "17 2"]
    parameters: BodyParameters | None


@runtime_checkable
class MeshEstimator(Protocol):
    """identity: what scores are recorded under: name and hash of the weights, known after `setup`."""

    identity: str

    def setup(self) -> "MeshEstimator":
        """Loads the weights, once a process."""
        ...

    def estimate(
        self,
        pictures: Sequence[UInt8[np.ndarray, "_h _w 3"]],
        bboxes: Float[np.ndarray, "pictures 4"],
        Ks: Float[np.ndarray, "pictures 3 3"],
    ) -> list[MeshEstimate]:
        """The person in the box (x, y, w, h, pixels) of each picture, seen by a camera of those intrinsics."""
        ...


class Learner:
    """The estimator that pipelines/train_hmr.py trains: HMRNet and a body. `setup` reads the weights."""

    def __init__(self, folder: Path | str, body: str = "open", batch_size: int = 16, threads: int = 1) -> None:
        self.folder, self.body_name, self.batch_size, self.threads = Path(folder), body, batch_size, threads
        self.identity = "learner"
        self.network: HMRNet | None = None

    def setup(self) -> "Learner":
        torch.set_num_threads(self.threads)
        # Joints alone are asked for: they need a few vertices of the face and the feet.
        self.body = load_body(self.body_name).thinned(np.zeros(0, dtype=np.int64))
        self.identity = f"{self.folder.name}:{learner_sha256(self.folder, self.body)[:16]}"
        self.network = load_network(self.folder).eval()
        return self

    def estimate(
        self,
        pictures: Sequence[UInt8[np.ndarray, "_h _w 3"]],
        bboxes: Float[np.ndarray, "pictures 4"],
        Ks: Float[np.ndarray, "pictures 3 3"],
    ) -> list[MeshEstimate]:
        if self.network is None:
            raise ValueError("Learner: call setup() before estimate()")
        size, found = self.network.settings["size"], []
        for first in range(0, len(pictures), self.batch_size):
            part = slice(first, first + self.batch_size)
            cameras = [look_at_person(bbox, K, size) for bbox, K in zip(bboxes[part], Ks[part], strict=True)]
            crops = np.stack([cut_crop(*pair, size) for pair in zip(pictures[part], cameras, strict=True)])
            with torch.inference_mode():
                recovered = self.network(to_input(crops))
            bodies = recovered_bodies(recovered, cameras, size, self.body)
            posed = pose_bodies(self.body, bodies)
            for body, one, K in zip(bodies, posed, Ks[part], strict=True):
                seen = one.joints[COCO_FROM_OUTPUT] @ K.T
                found.append(MeshEstimate(one.joints[:NUM_BODY_JOINTS], seen[:, :2] / seen[:, 2:], body))
        return found


class ForeignEstimator:
    """An estimator of another package, which is imported at `setup`: the process that asks for it need not have the package."""

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        self.name, self.settings, self.identity = name, settings, name

    def setup(self) -> "ForeignEstimator":
        self.estimator = load_estimator(self.name, self.settings).setup()
        self.identity = self.estimator.identity
        return self

    def estimate(
        self,
        pictures: Sequence[UInt8[np.ndarray, "_h _w 3"]],
        bboxes: Float[np.ndarray, "pictures 4"],
        Ks: Float[np.ndarray, "pictures 3 3"],
    ) -> list[MeshEstimate]:
        return self.estimator.estimate(pictures, bboxes, Ks)


def chosen_estimator(model: str, settings: Mapping[str, Any], body: str, threads: int) -> MeshEstimator:
    """As a config names it: a learner's folder, or `package.module:Class`. Nothing is loaded before its `setup`."""
    return ForeignEstimator(model, settings) if ":" in model else Learner(model, body, threads=threads)


def find_estimator(model: str, body: BodyModel) -> dict[str, str]:
    """Finds a learner's folder before any work: name -> sha256 of its weights. Of a `package.module:Class` nothing is known here.

    A folder without them, or trained on another body, is a ValueError.
    """
    return {} if ":" in model else {f"learner:{model}": learner_sha256(Path(model), body)}


def learner_sha256(folder: Path, body: BodyModel) -> str:
    """Of a learner's weights; a missing file, or another body than it was trained on, is a ValueError."""
    _check_folder(folder)
    trained_on = json.loads((folder / SETTINGS).read_text())["body_sha256"]
    if trained_on != body.sha256:
        raise ValueError(f"learner {folder}: trained on body {trained_on[:12]}, asked for {body.sha256[:12]}")
    return hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()


def recovered_bodies(
    recovered: Recovered, cameras: Sequence[CropCamera], size: int, body: BodyModel
) -> list[BodyParameters]:
    """The bodies in the frame of the camera that took the whole picture."""
    focal = torch.tensor([camera.K[0, 0] for camera in cameras], dtype=torch.float32)
    roots = recovered.root_cam(focal, size).double().numpy()
    rests = body.rest_root(recovered.betas).double().numpy()
    rotmats, betas, found = recovered.rotmats.double().numpy(), recovered.betas.numpy(), []
    for place, camera in enumerate(cameras):
        turned = camera.R_crop_from_cam.T @ rotmats[place, 0]
        arrays = {name: np.zeros(shape, dtype=np.float32) for name, shape in PARAMETER_SHAPES.items()} | {
            "betas": betas[place],
            "global_orient": rotmat_to_rotvec(turned).astype(np.float32),
            "body_pose": rotmat_to_rotvec(rotmats[place, 1:]).astype(np.float32),
            "transl": (camera.R_crop_from_cam.T @ roots[place] - rests[place]).astype(np.float32),
        }
        found.append(parameters_from_arrays(arrays))
    return found


def cut_crop(picture: UInt8[np.ndarray, "h w 3"], camera: CropCamera, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """The picture as the turned camera sees it; black where it ends. Much larger pictures are blurred first."""
    homography = np.linalg.inv(HALF_PIXEL) @ camera.homography @ HALF_PIXEL
    shrinks = _shrinkage(camera)
    if shrinks > 1.5:
        picture = cv2.GaussianBlur(picture, (0, 0), 0.4 * shrinks)  # pyright: ignore
    return np.asarray(cv2.warpPerspective(picture, homography, (size, size), flags=cv2.INTER_LINEAR), dtype=np.uint8)


def _shrinkage(camera: CropCamera) -> float:
    """Pixels of the picture along one of the crop, in its middle."""
    middle = camera.K[0, 2]
    points = np.linalg.inv(camera.homography) @ np.array([[middle, middle + 1], [middle, middle], [1.0, 1.0]])
    first, second = (points[:2] / points[2]).T
    return float(np.linalg.norm(second - first))


def save_network(network: HMRNet, folder: Path, facts: Mapping[str, Any]) -> None:
    """Writes weights (float16) and settings; facts go beside them, `body_sha256` among them."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.half().contiguous().cpu() for name, value in network.state_dict().items()}
    save_file(state, folder / WEIGHTS)
    known = {"network": network.settings, **facts}
    (folder / SETTINGS).write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")


def load_network(folder: Path) -> HMRNet:
    """The network of a folder; a missing file is a ValueError."""
    _check_folder(folder)
    network = HMRNet(**json.loads((folder / SETTINGS).read_text())["network"])
    network.load_state_dict({name: value.float() for name, value in load_file(folder / WEIGHTS).items()})
    return network


def _check_folder(folder: Path) -> None:
    for name in (WEIGHTS, SETTINGS):
        if not (folder / name).is_file():
            raise ValueError(f"learner {folder}: no {name}; expected a folder that train_hmr wrote")


def load_estimator(name: str, settings: Mapping[str, Any]) -> MeshEstimator:
    """`package.module:Class`, called with the settings. What is no such class, or lacks the protocol, is a ValueError."""
    module, separator, attribute = name.partition(":")
    if not (separator and module and attribute):
        raise ValueError(f"learner {name!r}: expected a folder or package.module:Class")
    try:
        made = getattr(importlib.import_module(module), attribute)(**settings)
    except (ImportError, AttributeError, TypeError) as error:
        raise ValueError(f"learner {name!r}: {error}") from error
    if not isinstance(made, MeshEstimator):
        raise ValueError(f"learner {name!r}: {type(made).__name__} lacks identity, setup or estimate")
    return made
