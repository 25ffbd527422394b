"""The keys of YAML files, from their schemas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from blocks.markdown import ROOT, Row, code, escaped, table

SCHEMAS = ROOT / "workflow" / "schemas"


def keys(schema: str) -> str:
    """A table of the keys of a file, nested ones by their path."""
    content = yaml.safe_load((SCHEMAS / f"{schema}.schema.yaml").read_text(encoding="utf-8"))
    return table("key | value | meaning", flattened(content, content, ""))


def flattened(node: Mapping[str, Any], schema: Mapping[str, Any], prefix: str) -> Iterable[Row]:
    """Rows for the properties of a node of a schema, and of everything below it."""
    required = node.get("required", ())
    for name, entry in node.get("properties", {}).items():
        key, entry = f"{prefix}{name}", resolved(entry, schema)
        need = ", required" if name in required else ""
        usual = f", default {code(entry['default'])}" if "default" in entry else ""
        yield code(key), f"{kind(entry, schema)}{need}{usual}", escaped(entry.get("description", ""))
        yield from flattened(entry, schema, f"{key}.")
        yield from flattened(resolved(entry.get("items", {}), schema), schema, f"{key}[].")
        if isinstance(entry.get("additionalProperties"), Mapping):
            yield from flattened(resolved(entry["additionalProperties"], schema), schema, f"{key}.NAME.")


def resolved(entry: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """An entry with what its `$ref` refers to."""
    name = entry.get("$ref", "").removeprefix("#/$defs/")
    return {**(schema["$defs"][name] if name else {}), **entry}


def kind(entry: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """The values that an entry allows, in words."""
    if "const" in entry or "enum" in entry:
        return ", ".join(code(value) for value in entry.get("enum", [entry.get("const")]))
    if "oneOf" in entry:
        return " or ".join(kind(resolved(each, schema), schema) for each in entry["oneOf"])
    types = entry.get("type", "any")
    words = " or ".join([types] if isinstance(types, str) else types)
    if "array" in words:
        listed = f"list of: {kind(resolved(entry.get('items', {}), schema), schema)}"
        return words.replace("array", listed).replace(" or object", ", or mapping")
    values = entry.get("additionalProperties")
    if words == "object" and isinstance(values, Mapping) and "properties" not in values:
        return f"mapping of names to {kind(resolved(values, schema), schema)}"
    for key, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤")):
        words += f", {sign} {entry[key]}" if key in entry else ""
    return words.replace("object", "mapping")
