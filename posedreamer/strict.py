"""What configs are made of: a strict base, ranges of numbers, and reading one from YAML with overrides."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0.0)]


class Strict(BaseModel):
    """Frozen, and an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Model = TypeVar("Model", bound=Strict)


def read_yaml(model: type[Model], path: Path, overrides: Sequence[str] = ()) -> Model:
    """The model in a YAML file, with `a.b=value` overrides (values are YAML) applied in order.

    Errors are ValueErrors that name the file and the field: unknown key, wrong type, impossible value, malformed override.
    """
    if not path.is_file():
        raise ValueError(f"config: no such file: {path}")
    raw = yaml.safe_load(path.read_text())
    if not isinstance(raw, dict):
        raise ValueError(f"config {path}: expected a mapping of fields, got {type(raw).__name__}")
    return read_fields(model, raw, f"config {path}", overrides)


def read_fields(model: type[Model], raw: dict[str, Any], where: str, overrides: Sequence[str] = ()) -> Model:
    """The model of these fields with `a.b=value` overrides; errors as in `read_yaml`, named by `where`."""
    raw = copy.deepcopy(raw)
    for override in overrides:
        _apply_override(raw, override)
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, item['loc']))}: {item['msg']} (got {item['input']!r})" for item in error.errors()]
        raise ValueError("\n  ".join([f"{where}:", *lines])) from None


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """What was found otherwise than wanted, as `key found, not wanted; …`; empty when all that is wanted was found."""
    strange = [key for key, value in wanted.items() if key not in found or found[key] != value]
    return "; ".join(f"{key} {found.get(key)!r}, not {wanted[key]!r}" for key in strange)


def _apply_override(raw: dict[str, Any], override: str) -> None:
    dotted, separator, text = override.partition("=")
    if not (separator and dotted):
        raise ValueError(f"override {override!r}: expected a.b=value")
    *parents, last = dotted.split(".")
    node = raw
    for name in parents:
        node = node.setdefault(name, {})
        if not isinstance(node, dict):
            raise ValueError(f"override {override!r}: {name} is no block of fields")
    node[last] = yaml.safe_load(text)
