"""As much of JSON Schema as docs/status.schema.json uses."""
import json
import os
import re

from harness import ROOT

TYPES = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float),
         "null": type(None), "boolean": bool}
KNOWN = {"$schema", "$defs", "$ref", "title", "description", "type", "required", "properties",
         "additionalProperties", "items", "enum", "const", "anyOf", "minimum", "pattern"}

with open(os.path.join(ROOT, "docs/status.schema.json"), encoding="utf-8") as f:
    SCHEMA = json.load(f)


def _is_of_type(value, name):
    return isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def _complaints_of_object(value, schema, where):
    for name in schema.get("required", []):
        if name not in value:
            yield f"{where}: no {name}"
    properties = schema.get("properties", {})
    for name, inner in value.items():
        if name in properties:
            yield from complaints(inner, properties[name], f"{where}.{name}")
        elif schema.get("additionalProperties") is False:
            yield f"{where}: {name} is too much"


def complaints(value, schema, where=""):
    """What is wrong with value, one line each."""
    assert set(schema) <= KNOWN, f"the checker does not know {set(schema) - KNOWN}"
    if "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    if "const" in schema and value != schema["const"]:
        yield f"{where}: {value!r} is not {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where}: {value!r} is none of {schema['enum']}"
    if "anyOf" in schema:
        each = [list(complaints(value, s, where)) for s in schema["anyOf"]]
        if all(each):
            yield from min(each, key=len)
    if "type" in schema and not _is_of_type(value, schema["type"]):
        yield f"{where}: {value!r} is no {schema['type']}"
        return
    if "minimum" in schema and value < schema["minimum"]:
        yield f"{where}: {value!r} is less than {schema['minimum']}"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{where}: {value!r} is not like {schema['pattern']}"
    if isinstance(value, dict):
        yield from _complaints_of_object(value, schema, where)
    if isinstance(value, list) and "items" in schema:
        for i, inner in enumerate(value):
            yield from complaints(inner, schema["items"], f"{where}[{i}]")


def check_status(text):
    value = json.loads(text)
    wrong = list(complaints(value, SCHEMA))
    assert not wrong, wrong
    return value


def check_event(text):
    value = json.loads(text)
    wrong = list(complaints(value, SCHEMA["$defs"]["event"]))
    assert not wrong, wrong
    return value
