"""YAML on disk <-> frozen dataclasses, strictly: an unknown or ill-typed field is an error."""

import dataclasses
from pathlib import Path
import re
import types
from typing import Any, get_args, get_origin, get_type_hints, Literal, TypeVar, Union

T = TypeVar('T')


def from_dict(cls: type[T], values: dict[str, Any], where: str) -> T:
    """Build a dataclass from plain values.

    Args:
        cls: A dataclass, whose fields may be dataclasses, tuples, literals, optional, or one of
            several scalars.
        values: One entry a field; fields with defaults may be left out.
        where: File (and place in it) for the messages.

    Returns:
        The dataclass; its own `__post_init__` has validated the values.

    Raises:
        ValueError: If a key is unknown, a required one is missing, or a value has the wrong type
            or breaks a rule of the dataclass.
    """
    if not isinstance(values, dict):
        raise ValueError(f'{where}: expected fields of {cls.__name__}, got {values!r}')
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise ValueError(
            f'{where}: unknown field(s) {", ".join(unknown)} for {cls.__name__}; '
            f'known are {", ".join(sorted(fields))}'
        )
    missing = sorted(
        name
        for name, field in fields.items()
        if name not in values
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    )
    if missing:
        raise ValueError(f'{where}: missing field(s) {", ".join(missing)} of {cls.__name__}')
    hints = get_type_hints(cls)
    converted = {
        name: _convert(hints[name], value, f'{where}: {name}') for name, value in values.items()
    }
    try:
        return cls(**converted)
    except ValueError as error:
        raise ValueError(f'{where}: {error}') from None


def to_dict(config: Any) -> dict[str, Any]:
    """Turn a dataclass into plain values that YAML and JSON can hold (tuples become lists).

    Args:
        config: A dataclass instance.

    Returns:
        Nested dictionaries, lists and scalars; `from_dict` gives the same dataclass back.
    """
    plain = _plain(dataclasses.asdict(config))
    assert isinstance(plain, dict)
    return plain


def load_yaml(cls: type[T], path: Path, overrides: tuple[str, ...] = ()) -> T:
    """Read a YAML file into a dataclass.

    Args:
        cls: The dataclass that the file mirrors.
        path: The file.
        overrides: `a.b=value` items that replace single fields; values are parsed as YAML.

    Returns:
        The validated dataclass.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no YAML mapping, an override is no `a.b=value` or goes below a
            field that has no fields of its own, or as `from_dict`.
    """
    values = read_yaml(path)
    for item in overrides:
        key, separator, text = item.partition('=')
        if not separator:
            raise ValueError(f'--set takes field=value, got {item!r}')
        *parents, leaf = key.split('.')
        node = values
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise ValueError(f'--set {item}: {parent} holds {node!r} and has no fields')
        node[leaf] = _parse_yaml(text, f'--set {item}')
    return from_dict(cls, values, str(path))


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file's fields as they stand.

    Args:
        path: The file. Under `extends` it may name another one, from its own folder, whose fields
            it replaces or adds to, as `merged` does.

    Returns:
        Nested, plain values; none where the file is empty.

    Raises:
        FileNotFoundError: If there is no such file, or none that it extends.
        ValueError: If a file is no YAML mapping.
    """
    if not path.is_file():
        raise FileNotFoundError(f'config not found at {path}; see config/ for the ones shipped')
    values = _parse_yaml(path.read_text(), str(path))
    if values is None:  # an empty file: every field at its default
        return {}
    if not isinstance(values, dict):
        raise ValueError(f'{path}: expected a mapping of fields, got {type(values).__name__}')
    plain = _plain(values)  # an anchor's aliases are one object, and each may be changed alone
    assert isinstance(plain, dict)
    base = plain.pop('extends', None)
    return plain if base is None else merged(read_yaml(path.parent / str(base)), plain)


def merged(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Replace fields of plain values.

    Args:
        values: Nested; left as they are.
        changes: Nested like these; what is no mapping in both replaces the old value whole.

    Returns:
        The fields of both.
    """
    result = dict(values)
    for name, value in changes.items():
        old = result.get(name)
        if isinstance(old, dict) and isinstance(value, dict):
            value = merged(old, value)
        result[name] = value
    return result


def flattened(values: dict[str, Any], prefix: str = '') -> dict[str, Any]:
    """Name every value by its path, such as `loop.max_steps`.

    Args:
        values: Nested, plain values.
        prefix: What each name begins with.

    Returns:
        Values by name; an empty mapping has none.
    """
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= flattened(value, f'{prefix}{name}.')
        else:
            flat[f'{prefix}{name}'] = value
    return flat


def _parse_yaml(text: str, where: str) -> Any:
    import yaml  # here, so that layer 0 imports with numpy alone

    class Loader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML has no types
        """Reads `1e-4` as the number it is in YAML 1.2; PyYAML's YAML 1.1 wants `1.0e-4`."""

    Loader.add_implicit_resolver(
        'tag:yaml.org,2002:float', re.compile(r'[-+]?\d+(\.\d*)?[eE][-+]?\d+$'), [*'-+0123456789']
    )
    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError as error:
        raise ValueError(f'{where} is no YAML: {error}') from None


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _convert(hint: Any, value: Any, where: str) -> Any:
    """Check one value against one type hint; ints pass as floats, lists as tuples."""
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin is Literal:
        if value not in args:
            raise ValueError(f'{where} must be one of {", ".join(map(str, args))}, got {value!r}')
        return value
    if origin in (types.UnionType, Union):
        if value is None and type(None) in args:
            return None
        kinds = tuple(arg for arg in args if arg is not type(None))
        if len(kinds) == 1:
            return _convert(kinds[0], value, where)
        if type(value) not in kinds:  # of several scalars, each keeps its type
            names = ' or '.join(kind.__name__ for kind in kinds)
            raise ValueError(f'{where} must be {names}, got {value!r}')
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ValueError(f'{where} must be a list, got {value!r}')
        hints = (args[0],) * len(value) if args[1:] == (...,) else args
        if len(hints) != len(value):
            raise ValueError(f'{where} must have {len(hints)} items, got {len(value)}')
        return tuple(_convert(h, v, where) for h, v in zip(hints, value, strict=True))
    if origin is dict:
        if not isinstance(value, dict):
            raise ValueError(f'{where} must be a mapping, got {value!r}')
        return {
            _convert(args[0], k, f'{where}: key'): _convert(args[1], v, f'{where}.{k}')
            for k, v in value.items()
        }
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return value if isinstance(value, hint) else from_dict(hint, value, where)
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ValueError(f'{where} must be {hint.__name__}, got {value!r}')
    return value
