# SPDX-License-Identifier: MIT
"""Holds JSON against a schema of the OpenAPI document, more strictly than a validator: a member that the schema doesn't
know is a mistake, and so is a word of JSON Schema that isn't known here."""

KINDS = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
KNOWN = {"type", "required", "properties", "additionalProperties", "items", "enum", "const", "anyOf", "allOf", "minimum", "description", "$ref"}
KNOWN |= {"maximum", "minLength", "maxItems"}


def is_of_kind(value, kind):
    if kind in ("integer", "number"):
        return isinstance(value, int if kind == "integer" else (int, float)) and not isinstance(value, bool)
    return isinstance(value, KINDS[kind])


def merged(schema, schemas):
    """The schema without references and allOf."""
    while "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    whole = {key: value for key, value in schema.items() if key != "allOf"}
    for part in schema.get("allOf", ()):
        part = merged(part, schemas)
        whole["required"] = whole.get("required", []) + part.get("required", [])
        whole["properties"] = {**part.get("properties", {}), **whole.get("properties", {})}
    return whole


def mistakes(value, schema, schemas, where="it"):
    """What is wrong, in words; nothing, if it is right."""
    schema = merged(schema, schemas)
    assert schema.keys() <= KNOWN, f"{where}: {schema.keys() - KNOWN} of its schema is not understood here"
    if "anyOf" in schema:
        found = [list(mistakes(value, part, schemas, where)) for part in schema["anyOf"]]
        yield from [] if any(one == [] for one in found) else found[0]
        return
    if "const" in schema and (value != schema["const"] or type(value) is not type(schema["const"])):
        yield f"{where} is {value!r}, not {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where} is {value!r}, none of {schema['enum']}"
    kinds = schema.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if kinds and not any(is_of_kind(value, kind) for kind in kinds):
        yield f"{where} is {value!r}, which is no {' or '.join(kinds)}"
    if "minimum" in schema and isinstance(value, int) and value < schema["minimum"]:
        yield f"{where} is {value!r}, less than {schema['minimum']}"
    if "maximum" in schema and isinstance(value, int) and value > schema["maximum"]:
        yield f"{where} is {value!r}, more than {schema['maximum']}"
    if "minLength" in schema and len(value) < schema["minLength"]:
        yield f"{where} is too short"
    if "maxItems" in schema and isinstance(value, list) and len(value) > schema["maxItems"]:
        yield f"{where} has {len(value)} items, more than {schema['maxItems']}"
    if isinstance(value, dict) and "properties" in schema:
        for name in schema.get("required", ()):
            if name not in value:
                yield f"{where} has no '{name}'"
        for name, member in value.items():
            if name in schema["properties"]:
                yield from mistakes(member, schema["properties"][name], schemas, f"{where}.{name}")
            else:
                yield f"{where}.{name} is not described"
    if isinstance(value, list) and "items" in schema:
        for number, item in enumerate(value):
            yield from mistakes(item, schema["items"], schemas, f"{where}[{number}]")
