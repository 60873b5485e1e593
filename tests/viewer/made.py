"""Messages from plain values, and what is in the archetypes that they become."""

from __future__ import annotations

from typing import Any

from dimos_record.messages import encode, message_class

HEADER = {"frame_id": "lidar", "stamp": {"sec": 5}}


def made(type_name: str, **fields: Any) -> bytes:
    """The bytes of a message; nested messages are dicts, lengths are those of the arrays."""
    return encode(_message(type_name, fields))


def _message(type_name: str, fields: dict[str, Any]) -> Any:
    cls = message_class(type_name)
    message = cls()
    for name, field_type, dims in zip(
        cls.__slots__, cls.__typenames__, cls.__dimensions__, strict=True
    ):
        default = [] if dims else {} if _is_nested(field_type) else None
        value = fields.pop(name, default)
        if _is_nested(field_type):
            nested = field_type if "." in field_type else f"{type_name.split('.')[0]}.{field_type}"
            items = [_message(nested, dict(item)) for item in (value if dims else [value])]
            value = items if dims else items[0]
        elif dims and isinstance(dims[0], int) and not value:
            value = [0] * dims[0]
        if value is not None:
            setattr(message, name, value)
        for dim in dims or ():
            if isinstance(dim, str):
                setattr(message, dim, len(value))
    assert fields == {}, f"{type_name} has no {list(fields)}"
    return message


def _is_nested(field_type: str) -> bool:
    return field_type[0].isupper() or "." in field_type


def values(archetype: Any, field: str) -> list[Any]:
    """What a component of an archetype holds, as plain values."""
    batch = getattr(archetype, field)
    assert batch is not None, f"no {field} in {archetype}"
    return list(batch.as_arrow_array().to_pylist())
