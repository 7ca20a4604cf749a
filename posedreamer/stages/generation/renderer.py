"""Stage 2 without a model: the label photographed by the renderer. The "rendered dataset" that the papers compare with.

Everything else of the line stays as it is, so rendered and generated datasets differ in their pictures alone.
"""

import hashlib
from dataclasses import replace

from posedreamer.bodies.catalog import OPEN_BODY_DIRECTORY, load_body, load_wardrobe
from posedreamer.rendering.people import render_person
from posedreamer.sample import Picture, Sample, failed
from posedreamer.seeds import generator_for, seed_for

RENDERER = "renderer"  # as `generator.model`
VERSION = 2  # raise it when the look of pictures changes: coats, prints and a camera came with 2


class RenderingStage:
    """Draws the dressed open body of each label in the scene that its prompt names; a prompt lacks no attribute for that."""

    def setup(self) -> None:
        self.body, self.wardrobe = load_body("open"), load_wardrobe()
        self.identity = self.check_inputs()[f"generator:{RENDERER}"]

    def check_inputs(self) -> dict[str, str]:
        """Name -> identity: the renderer's version and the hash of the clothes."""
        digest = hashlib.sha256((OPEN_BODY_DIRECTORY / "wardrobe.npz").read_bytes()).hexdigest()
        return {f"generator:{RENDERER}": f"{RENDERER}-v{VERSION}@sha256:{digest[:16]}"}

    def __call__(self, samples: list[Sample]) -> list[Sample]:
        return [self._render(sample) if sample.is_pending else sample for sample in samples]

    def _render(self, sample: Sample) -> Sample:
        label, prompt = sample.label, sample.prompt
        if label is None or prompt is None:
            return failed(sample, "incomplete: label and prompt are needed")
        try:
            rgb = render_person(
                self.body, self.wardrobe, label.parameters, label.K, label.width, label.height, prompt.attributes,
                generator_for(sample.run_seed, sample.key, "noise"), T_cam_from_world=label.T_cam_from_world,
            )  # fmt: skip
        except ValueError as error:
            return failed(sample, f"not_rendered: {error}")
        return replace(sample, image=Picture(rgb, self.identity, seed_for(sample.run_seed, sample.key, "noise")))
