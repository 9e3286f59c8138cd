"""Message attributes as application properties with types, and back.

A consumer finds a String as a string, a Number as a long or a double where that is its exact value, a Binary as base64:
the service refuses binary properties, and the SDK takes them for text. What a property alone does not tell (the label
of a type, the digits of a number as they were written) is noted beside, so that the mapping is exactly reversible.
"""

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Final, TypeAlias

from connectors.azure.servicebus.properties import (
    TRACE_CONTEXT,
    TYPES,
    Properties,
    PropertyValue,
    attribute_name,
    property_name,
)
from replicator.messages import Attribute

STRING: Final = "String"
NUMBER: Final = "Number"
BINARY: Final = "Binary"

INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]*)")
LARGEST_INTEGER: Final = 2**63 - 1

Note: TypeAlias = str | list[str]
"""The label of a type; where the value was written in another way, a list of the label and that text."""


class AttributeRefusedError(ValueError):
    """An attribute that no property can hold."""


def to_properties(attributes: Mapping[str, Attribute]) -> Properties:
    """The properties of these attributes, notes included where any are needed. Raises AttributeRefusedError."""
    properties: Properties = {}
    notes: dict[str, Note] = {}
    for name, attribute in attributes.items():
        value, note = _encode(name, attribute)
        properties[property_name(name)] = value
        if note is not None or name in TRACE_CONTEXT:
            notes[name] = note or attribute.type
    if notes:
        properties[TYPES] = json.dumps(notes, ensure_ascii=False, separators=(",", ":"))
    return properties


def from_properties(properties: Mapping[str, PropertyValue]) -> dict[str, Attribute]:
    """The attributes that these properties were made of; a trace context is one only where a note says so.

    Raises ValueError for what was not made here.
    """
    notes: dict[str, Note] = json.loads(str(properties.get(TYPES, "{}")))
    attributes: dict[str, Attribute] = {}
    for name, value in properties.items():
        attribute = attribute_name(name)
        if attribute is not None and (name not in TRACE_CONTEXT or name in notes):
            attributes[attribute] = _decode(value, notes.get(attribute))
    return attributes


def _encode(name: str, attribute: Attribute) -> tuple[PropertyValue, Note | None]:
    base, value = attribute.type.partition(".")[0], attribute.value
    if isinstance(value, bytes) != (base == BINARY):
        raise AttributeRefusedError(f"attribute {name} is of type {attribute.type}, and its value is not")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode(), attribute.type
    if base != NUMBER:
        return value, None if attribute.type == STRING else attribute.type
    number = _number(value)
    if number is None:
        return value, attribute.type
    if str(number) != value:
        return number, [attribute.type, value]
    return number, None if attribute.type == NUMBER else attribute.type


def _number(text: str) -> int | float | None:
    """The long or double that has exactly this value, as it would be written; None where there is none."""
    if INTEGER.fullmatch(text):
        number = int(text) if len(text) <= len(str(LARGEST_INTEGER)) + 1 else None
        return number if number is not None and -LARGEST_INTEGER - 1 <= number <= LARGEST_INTEGER else None
    try:
        exact, nearest = Decimal(text), float(text)
    except (InvalidOperation, ValueError):
        return None
    return nearest if math.isfinite(nearest) and Decimal(repr(nearest)) == exact else None


def _decode(value: PropertyValue, note: Note | None) -> Attribute:
    if isinstance(note, list):
        label, text = note
        return Attribute(label, text)
    if note is None:
        return Attribute(STRING if isinstance(value, str) else NUMBER, str(value))
    if note.partition(".")[0] != BINARY:
        return Attribute(note, str(value))
    try:
        return Attribute(note, base64.b64decode(str(value), validate=True))
    except binascii.Error as error:
        raise ValueError("a binary attribute is no base64") from error
