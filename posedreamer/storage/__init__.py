"""Shards on disk: records to tar members and back, index, manifest, reader, verification."""
