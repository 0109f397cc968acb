"""Configs: dataclasses filled from a YAML file and `key.sub=value` overrides, with errors that name the culprit.

::

    defaults of the dataclass  <-  configs/x.yaml  <-  overrides, left to right  ->  validate()

Every wrong key or value ends in one `ConfigError` of one line: the key, where it was written (file and line, or the
override), and what would be right.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

T = TypeVar("T")

CONFIGS_DIR = Path(__file__).resolve().parent.parent / "configs"
"""The configs that come with Engram."""

_TYPE_WORDS = {int: "an integer", float: "a number", bool: "true or false", str: "text"}


class ConfigError(ValueError):
    """A config cannot be used; the message is one line that names the key, its place and the remedy."""


@dataclass(frozen=True)
class Field:
    """One setting, for listings."""

    key: str
    type: str
    default: str
    help: str


def load(schema: type[T], path: Path | None = None, overrides: Sequence[str] = ()) -> T:
    """Fills `schema`, a dataclass whose fields may be dataclasses again.

    If it has a method `validate`, that is called; the ValueError it may raise begins with the key of the wrong field.

    Args:
        path: a YAML file, or None for the defaults alone.
        overrides: `key.sub=value`, the value as YAML.

    Raises:
        ConfigError: the file cannot be read, or a key or a value is wrong.
    """
    tree = OmegaConf.structured(schema)
    origins = _Origins()
    if path is not None:
        body, lines = read_yaml(path)
        for key, value in _leaves(schema, body):
            line = next((lines[k] for k in _key_and_parents(key) if k in lines), 1)
            origins.note(key, value, f"{path}:{line}")
            _assign(schema, tree, key, value, f"{path}:{line}")
    for override in overrides:
        key, value = _parse_override(override)
        where = f"override {override}"
        leaves = list(_leaves(schema, value, key)) if isinstance(value, dict) else [(key, value)]
        for leaf, leaf_value in leaves:
            origins.note(leaf, leaf_value, where)
            _assign(schema, tree, leaf, leaf_value, where)
    try:
        config = typing.cast(T, OmegaConf.to_object(tree))
    except OmegaConfBaseException as error:  # an interpolation that leads nowhere, a value that must be given
        key = str(getattr(error, "full_key", "") or "")
        raise ConfigError(f"{origins.of_key(key)}{key}: {_first_line(error)}") from error
    _validate(config, origins)
    return config


def find(name: str) -> Path:
    """A config file by its path, or by its name in `configs/`."""
    for path in (Path(name), CONFIGS_DIR / name, CONFIGS_DIR / f"{name}.yaml"):
        if path.is_file():
            return path
    return Path(name) if Path(name).parent != Path() else CONFIGS_DIR / Path(name).with_suffix(".yaml")


def read_yaml(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """A YAML file's mapping, and the line (from 1) on which each dotted key stands.

    Raises:
        ConfigError: there is no such file, or it holds no YAML mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        body = OmegaConf.to_container(OmegaConf.create(text), resolve=False) if node is not None else {}
    except FileNotFoundError:
        near = difflib.get_close_matches(path.name, sorted(p.name for p in path.parent.glob("*.yaml")), n=1)
        hint = f"; did you mean {path.parent / near[0]}?" if near else ""
        raise ConfigError(f"no config file at {path}{hint}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the config {path}: {error}") from error
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or _first_line(error)
        raise ConfigError(f"{path}{line}: not YAML: {problem}") from error
    if not isinstance(body, dict) or (node is not None and not isinstance(node, yaml.MappingNode)):
        raise ConfigError(f"{path}: a config is a mapping of keys to values, like `seed: 1`")
    return typing.cast(dict[str, Any], body), dict(_lines(node)) if node is not None else {}


def fields(schema: Any) -> list[Field]:
    """Every setting of a config dataclass, sections opened, in order."""
    return list(_fields(schema() if isinstance(schema, type) else schema, ""))


def to_dict(config: Any) -> dict[str, Any]:
    """A config as JSON values."""
    return typing.cast(dict[str, Any], OmegaConf.to_container(OmegaConf.structured(config), enum_to_str=True))


def from_dict(schema: type[T], body: Mapping[str, Any], where: str) -> T:
    """A config from what `to_dict` gave, read from `where` (for messages). Raises ConfigError, as `load`."""
    tree = OmegaConf.structured(schema)
    for key, value in _leaves(schema, dict(body)):
        _assign(schema, tree, key, value, where)
    return typing.cast(T, OmegaConf.to_object(tree))


def to_yaml(config: Any) -> str:
    """A config as the YAML file that `load` would fill it from."""
    return yaml.safe_dump(to_dict(config), sort_keys=False, allow_unicode=True)


# -- walking ------------------------------------------------------------------------------------------------


def _section(schema: Any, key: str) -> Any:
    """The dataclass type at `key` ("" is the whole), or None where `key` is a plain setting or no setting at all."""
    current = schema
    for part in filter(None, key.split(".")):
        if not _is_config(current):
            return None
        current = _hints(current).get(part)
    return current if _is_config(current) else None


def _hints(schema: type) -> dict[str, Any]:
    names = {field.name for field in dataclasses.fields(schema)}
    return {name: hint for name, hint in typing.get_type_hints(schema).items() if name in names}


def _is_config(hint: Any) -> bool:
    return isinstance(hint, type) and dataclasses.is_dataclass(hint)


def _keys(schema: type, prefix: str = "") -> Iterator[str]:
    """The dotted keys of all sections and settings."""
    for name, hint in _hints(schema).items():
        yield prefix + name
        if _is_config(hint):
            yield from _keys(hint, f"{prefix}{name}.")


def _leaves(schema: type, body: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of the settings in `body`; a mapping is opened only where the schema has a section."""
    for name, value in body.items():
        key = f"{prefix}.{name}" if prefix else str(name)
        if _section(schema, key) is not None and isinstance(value, dict | None):
            yield from _leaves(schema, value or {}, key)
        else:
            yield key, value


def _lines(node: yaml.MappingNode, prefix: str = "") -> Iterator[tuple[str, int]]:
    for key_node, value_node in node.value:
        key = f"{prefix}{key_node.value}"
        yield key, key_node.start_mark.line + 1
        if isinstance(value_node, yaml.MappingNode):
            yield from _lines(value_node, f"{key}.")


def _key_and_parents(key: str) -> Iterator[str]:
    while key:
        yield key
        key = key.rpartition(".")[0]


def _fields(config: Any, prefix: str) -> Iterator[Field]:
    hints = _hints(type(config))
    for field in dataclasses.fields(config):
        key, value, hint = prefix + field.name, getattr(config, field.name), hints[field.name]
        if _is_config(hint):
            yield from _fields(value, f"{key}.")
        else:
            default = yaml.safe_dump(_plain(value), default_flow_style=True, allow_unicode=True).splitlines()[0]
            yield Field(key, _type_name(hint), default, str(field.metadata.get("help", "")))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, bool | int | float | str | None) else str(value)


# -- assigning ------------------------------------------------------------------------------------------------


def _parse_override(override: str) -> tuple[str, Any]:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"override '{override}' must be key=value, like sim.num_envs=4")
    try:
        value = OmegaConf.create(f"value: {text}" if text else "value: ''").value
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"override {override}: the value is not YAML: {_first_line(error)}") from error
    return key.strip(), OmegaConf.to_container(value, resolve=False) if OmegaConf.is_config(value) else value


def _assign(schema: type, tree: DictConfig, key: str, value: Any, where: str) -> None:
    known = list(_keys(schema))
    if key not in known and not _inside_a_dict(schema, key):
        raise ConfigError(f"{where}: no setting '{key}'{_nearest(key, known)}")
    section = _section(schema, key)
    if section is not None:
        names = list(_hints(section))
        raise ConfigError(
            f"{where}: {key} is a section with the settings {', '.join(names)}; give one, like {key}.{names[0]}=..."
        )
    try:
        OmegaConf.update(tree, key, value, merge=False)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{where}: {key} must be {_wanted(schema, key)}, not {value!r}") from error


def _inside_a_dict(schema: type, key: str) -> bool:
    """Whether `key` names an entry of a setting that is itself a dict."""
    parent, _, name = key.rpartition(".")
    if not parent:
        return False
    section, _, setting = parent.rpartition(".")
    owner = _section(schema, section)
    hint = _hints(owner).get(setting) if owner is not None else None
    return bool(name) and typing.get_origin(hint) is dict


def _nearest(key: str, known: list[str]) -> str:
    """A hint: the known key that was probably meant."""
    last = key.rpartition(".")[2]
    same_name = [k for k in known if k.rpartition(".")[2] == last]
    near = same_name or difflib.get_close_matches(key, known, n=1)
    if not near:
        by_last = {k.rpartition(".")[2]: k for k in reversed(known)}
        near = [by_last[name] for name in difflib.get_close_matches(last, list(by_last), n=1)]
    if near:
        return f"; did you mean {near[0]}?"
    return f"; the settings here are {', '.join(k for k in known if '.' not in k)}"


def _wanted(schema: type, key: str) -> str:
    section, _, name = key.rpartition(".")
    owner = _section(schema, section)
    hint = _hints(owner).get(name) if owner is not None else None
    if typing.get_origin(hint) is tuple:
        return f"[{', '.join(_type_name(a) for a in typing.get_args(hint))}]"
    if typing.get_origin(hint) is list:
        return f"a list of {_type_name(typing.get_args(hint)[0])}, like [a, b]"
    return _TYPE_WORDS.get(hint, _type_name(hint)) if isinstance(hint, type) else _type_name(hint)


def _type_name(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join("null" if a is type(None) else _type_name(a) for a in arguments)
    if origin is not None:
        return f"{origin.__name__}[{', '.join(_type_name(a) for a in arguments)}]"
    return "any" if hint is Any else str(getattr(hint, "__name__", hint))


# -- validating ------------------------------------------------------------------------------------------------


class _Origins:
    """Where each setting was written, for messages."""

    def __init__(self) -> None:
        self._written: dict[str, tuple[Any, str]] = {}

    def note(self, key: str, value: Any, where: str) -> None:
        self._written[key] = value, where

    def of_key(self, named: str) -> str:
        """The place of setting `named` as the beginning of a message, or "".

        A section validates itself without knowing under which key it lies, so the ends of keys count too.
        """
        for key, (_, where) in self._written.items():
            if key == named or key.endswith(f".{named}") or named.endswith(f".{key}"):
                return f"{where}: "
        name = named.rpartition(".")[2]
        same = [where for key, (_, where) in self._written.items() if key.rpartition(".")[2] == name]
        return f"{same[0]}: " if len(same) == 1 else ""

    def of_value(self, text: str) -> str:
        """The place of the setting whose value, or an item of it, is `text`, as the beginning of a message, or ""."""
        for key, (value, where) in self._written.items():
            if text == value or (isinstance(value, list) and text in value):
                return f"{where}: {key}: "
        return ""


def _validate(config: Any, origins: _Origins) -> None:
    validate = getattr(config, "validate", None)
    if validate is None:
        return
    try:
        validate()
    except ConfigError:
        raise
    except ValueError as error:
        message = str(error)
        named, quoted = re.match(r"[\w.]+", message), re.search(r"'([^']*)'", message)
        place = origins.of_key(named.group()) if named else ""
        place = place or (origins.of_value(quoted.group(1)) if quoted else "")
        raise ConfigError(f"{place}{message}") from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0]
