"""croissant.json: the data set for machines, in MLCommons Croissant 1.0 (JSON-LD, mlcommons.org/croissant).

Each tar and each index file is a FileObject with its sha256; the members of the tars are FileSets. There is one record set for
each kind of member, all with the sample's key, and the record set `index` for the columns of the Parquet rows.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from posedreamer.storage.stats import ShardStats

VOCABULARY = "http://mlcommons.org/croissant/1.0"
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
MIME = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp", "json": "application/json"}
KEY_OF_FILE = r"^([^.]+)\..*"
# Member suffix -> (field, data type, meaning); images are decoded by the reader, the rest is left as bytes.
MEMBERS = {
    "condition.png": ("condition", "sc:ImageObject", "xyz map of the body's surface, what the generator was shown"),
    "mask.png": ("mask", "sc:ImageObject", "silhouette of the body without clothes, 0 or 255"),
    "depth.png": ("depth", "sc:ImageObject", "depth along z, millimetres, 16 bit, 0 is background"),
    "json": ("record", "sc:Text", "prompt, attributes, source, tags, seeds, generator, scores, verdict, body"),
    "label.npz": ("label", "sc:Text", "SMPL-X parameters, camera, joints, keypoints (NumPy, no pickle)"),
}


def croissant(
    name: str,
    description: str,
    licence: str,
    image_format: str,
    shards: Sequence[ShardStats],
    index: pa.Schema,
) -> dict[str, Any]:
    """The JSON-LD of a run, for `croissant.json` in its directory (paths are relative to it)."""
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": name,
        "description": description,
        "conformsTo": VOCABULARY,
        "license": licence,
        "distribution": [*_files(shards), *_member_sets(shards, image_format)],
        "recordSet": [
            *(_member_records(*member) for member in _members(image_format).values() if _tars(shards)),
            _index(f"shards/{shards[0].shard:06d}.parquet", index),
        ],
    }


def _files(shards: Sequence[ShardStats]) -> list[dict[str, Any]]:
    kinds = {"tar": "application/x-tar", "parquet": "application/x-parquet"}
    return [
        {
            "@type": "cr:FileObject",
            "@id": path,
            "name": path,
            "contentUrl": path,
            "encodingFormat": kinds[path.rpartition(".")[2]],
            "sha256": stats.sha256[path],
        }
        for stats in shards
        for path in sorted(stats.sha256)
        if path.startswith("shards/")
    ]


def _tars(shards: Sequence[ShardStats]) -> list[str]:
    return [f"shards/{stats.shard:06d}.tar" for stats in shards if stats.kept]


def _member_sets(shards: Sequence[ShardStats], image_format: str) -> list[dict[str, Any]]:
    tars = [{"@id": path} for path in _tars(shards)]
    return [
        {
            "@type": "cr:FileSet",
            "@id": f"{field}-files",
            "name": f"{field}-files",
            "containedIn": tars,
            "encodingFormat": MIME.get(suffix.rpartition(".")[2], "application/octet-stream"),
            "includes": f"*.{suffix}",
        }
        for suffix, (field, _, _) in _members(image_format).items()
        if tars
    ]


def _members(image_format: str) -> dict[str, tuple[str, str, str]]:
    return {image_format: ("image", "sc:ImageObject", "the generated picture"), **MEMBERS}


def _member_records(field: str, kind: str, meaning: str) -> dict[str, Any]:
    # One record set a kind of member: joining them in one would ask every pair of file sets for a reference.
    files = {"fileSet": {"@id": f"{field}-files"}}
    by_name = {**files, "extract": {"fileProperty": "filename"}, "transform": {"regex": KEY_OF_FILE}}
    return {
        "@type": "cr:RecordSet",
        "@id": field,
        "name": field,
        "description": f"{meaning}, one for each kept sample; `key` is the same in all record sets.",
        "key": {"@id": f"{field}/key"},
        "field": [
            _field(f"{field}/key", "sc:Text", "config hash, round, shard and place", by_name),
            _field(f"{field}/content", kind, meaning, {**files, "extract": {"fileProperty": "content"}}),
        ],
    }


def _index(path: str, schema: pa.Schema) -> dict[str, Any]:
    fields = []
    for column in schema:
        source = {"fileObject": {"@id": path}, "extract": {"column": column.name}}
        field = _field(f"index/{column.name}", _data_type(column.type), f"column {column.name}", source)
        fields.append({**field, "repeated": True} if pa.types.is_nested(column.type) else field)
    return {
        "@type": "cr:RecordSet",
        "@id": "index",
        "name": "index",
        "description": f"One row for each attempted key, kept or not; {path} stands for all shards/*.parquet.",
        "field": fields,
    }


def _field(identity: str, kind: str, meaning: str, source: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": identity,
        "name": identity,
        "description": meaning,
        "dataType": kind,
        "source": source,
    }


def _data_type(kind: pa.DataType) -> str:
    if pa.types.is_nested(kind):
        return _data_type(kind.value_type)  # pyright: ignore[reportAttributeAccessIssue]
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    if pa.types.is_integer(kind):
        return "sc:Integer"
    return "sc:Float" if pa.types.is_floating(kind) else "sc:Text"
