"""Measures a skeleton net on held-out scans, beside black maps and the mean map.

python pipelines/render_scans.py --out runs/held_scans --samples 200 --split held_out --seed 3
python pipelines/evaluate_skeleton.py --scans runs/held_scans --model nano
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from posedreamer.drpose.checkpoints import open_multiview, skeleton_file
from posedreamer.drpose.multiview import encode, stack_views
from posedreamer.drpose.reward import wanted_maps
from posedreamer.drpose.scan_data import open_scans
from posedreamer.drpose.skeleton import FROM_OUTPUT, WIDTH
from posedreamer.drpose.skeleton_measures import measure_maps
from posedreamer.drpose.skeleton_net import load_skeleton_net

AT_ONCE = 8


def main(
    scans: Annotated[Path, typer.Option(help="packed scans of the held-out split (render_scans.py)")],
    model: Annotated[str, typer.Option(help="`nano`, or the folder of a multi-view model")] = "nano",
    net: Annotated[Path | None, typer.Option(help="safetensors file; none: the net beside the model")] = None,
) -> None:
    held, parts = open_scans(scans, split="held_out"), open_multiview(model)
    reader = load_skeleton_net(net or skeleton_file(model))
    joints = torch.from_numpy(np.asarray(held.joints)[:, FROM_OUTPUT])
    found = []
    with torch.no_grad():
        for first in range(0, len(joints), AT_ONCE):
            rows = slice(first, first + AT_ONCE)
            pictures = np.stack([held.normals[rows], held.colors[rows]], axis=1)
            latents = encode(parts, pictures.reshape(-1, *pictures.shape[3:])).unflatten(0, pictures.shape[:3])
            found.append(reader(stack_views(latents)).sigmoid())
    maps = torch.cat(found)
    wanted = wanted_maps(joints, maps.shape[-1])
    print(
        f"{len(joints)} held-out scans, six views, maps of {maps.shape[-1]} px, lines {WIDTH * maps.shape[-1]:.1f} px wide\n"
    )
    print("| maps | PSNR | SSIM | bone centres, px | joints, px |\n| --- | --- | --- | --- | --- |")
    mean = wanted.mean(dim=0, keepdim=True).expand_as(wanted)
    for name, shown in (("skeleton net", maps), ("mean of all", mean), ("black", torch.zeros_like(wanted))):
        row = measure_maps(shown, wanted)
        print(f"| {name} | {row.psnr:.2f} | {row.ssim:.3f} | {row.centre_px:.2f} | {row.joint_px:.2f} |")


if __name__ == "__main__":
    typer.run(main)
