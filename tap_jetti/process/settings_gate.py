"""The one way for settings into a plug-in: unknown names, text from the environment, and values that do not fit.

Several mistakes that everybody makes would otherwise go unnoticed: a misspelt name is ignored, an empty variable is a
value, a list arrives as text. Each is said in one line that names the setting, wherever it came from.
"""

from __future__ import annotations

import json
import math
import os
import re
from decimal import Decimal
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator
from singer_sdk.configuration._dict_config import parse_environment_config

from tap_jetti.errors import SettingsError
from tap_jetti.facts.redaction import MASK, looks_like_token

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable, Mapping

    from jsonschema import ValidationError

_NUMBER = re.compile(r"\s*[+-]?\d+(\.\d*)?([eE][+-]?\d{1,3})?\s*", re.ASCII)
_BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
_OF_OTHERS = {"loglevel", "log_level", "pip_url", "executable", "namespace", "variant"}
"""What follows the prefix in variables that the SDK reads, or that project files of Meltano refer to."""

_SIMILARITY = 0.8
_MOST_CHOICES = 12
_SHOWN = 60
"""Characters of a value that an error shows."""


def read_environment(schema: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The settings that environment variables hold, as text. An empty variable is not set.

    Args:
        schema: The JSON Schema of the settings.
        prefix: What the variables begin with, such as ``TAP_JETTI_``.
    """
    parse_environment_config({}, prefix)  # loads a .env file into the environment, as every plug-in of the SDK does
    found = {name: os.environ.get(prefix + name.upper(), "") for name in schema["properties"]}
    return {name: value for name, value in found.items() if value.strip()}


def check_names(given: Iterable[str], known: Iterable[str], *, where: str, logger: logging.Logger) -> None:
    """Refuse a name that is nearly one of a setting; warn of any other unknown one.

    Orchestrators add names of their own, so that not every unknown name can be an error.

    Raises:
        SettingsError: A name is probably misspelt.
    """
    names = sorted(known)
    for name in sorted(set(given) - set(names)):
        near = get_close_matches(name.lower().replace("-", "_"), names, n=1, cutoff=_SIMILARITY)
        if near:
            raise SettingsError(f"Unknown setting {_printable(name)}{where}. Did you mean {near[0]}?")
        logger.warning("Unknown setting %s%s is ignored.", _printable(name), where)


def check_environment(schema: Mapping[str, Any], prefix: str, *, logger: logging.Logger) -> None:
    """Check the names of all variables with the prefix.

    Raises:
        SettingsError: A name is probably misspelt.
    """
    given = {name.removeprefix(prefix).lower() for name in os.environ if name.startswith(prefix)}
    # Under the same prefix, the SDK reads its own switches, such as TAP_JETTI_LOGLEVEL, and Meltano passes what it has
    # for itself, such as TAP_JETTI__SELECT.
    given = {name for name in given if name[:1] != "_" and name not in _OF_OTHERS}
    check_names(given, schema["properties"], where=" in the environment", logger=logger)


def parse_settings(config: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with the types of their schema: text is parsed, decimals are floats, null and empty are not set.

    What cannot be parsed stays as it is, for `validate_settings` to name.
    """
    parsed = {}
    for name, value in config.items():
        facts = schema["properties"].get(name, {})
        types = facts.get("type", ())
        types = [types] if isinstance(types, str) else types
        if value is None or (isinstance(value, str) and not value.strip()):
            continue
        if isinstance(value, str) and facts and "string" not in types:
            value = _parsed(value, types)  # noqa: PLW2901 - the same value, parsed
        if "integer" in types and isinstance(value, float) and value.is_integer():
            value = int(value)  # noqa: PLW2901 - 100.0 is the integer 100
        parsed[name] = float(value) if isinstance(value, Decimal) and value.is_finite() else value
    return parsed


def validate_settings(config: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Check the values of all settings.

    Raises:
        SettingsError: Some do not fit; the message names each of them.
    """
    faults = [_fault(error, schema) for error in Draft202012Validator(schema).iter_errors(config)]
    faults += [
        f"{name} must be a number"
        for name, value in config.items()
        if isinstance(value, float) and not math.isfinite(value)
    ]
    if faults:
        raise SettingsError(f"Invalid settings: {'; '.join(dict.fromkeys(faults))}.")


def _parsed(text: str, types: Iterable[str]) -> Any:  # noqa: ANN401 - any JSON
    """What a text stands for in a setting of these types."""
    for kind in types:
        if kind == "boolean" and text.strip().lower() in _BOOLEANS:
            return _BOOLEANS[text.strip().lower()]
        if kind in {"integer", "number"} and _NUMBER.fullmatch(text):
            number = float(text)
            return int(number) if kind == "integer" and number.is_integer() else number
        if kind in {"array", "object"}:
            try:
                return json.loads(text)
            except (ValueError, RecursionError):
                is_list = kind == "array" and text.strip()[0] not in "[{"  # else JSON that is malformed
                return [part.strip() for part in text.split(",")] if is_list else text
    return text


def _fault(error: ValidationError, schema: Mapping[str, Any]) -> str:
    """What is wrong, without the value where it may be a secret."""
    error = _decisive(error)
    path = [str(part) for part in error.absolute_path]
    name = path[0] if path else ""
    limit: Any = error.validator_value
    if error.validator == "required" and isinstance(error.instance, dict):
        missing = next(one for one in limit if one not in error.instance)
        return f"{'.'.join([*path, missing])} is missing"
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
        return f"{'.'.join(path)} has unknown keys: {', '.join(map(_printable, sorted(error.instance.keys() - known)))}"
    if error.context:  # none of several alternatives fits
        types = [name for one in error.context if one.validator == "type" for name in _as_list(one.validator_value)]
        words = [json.dumps(one.validator_value) for one in error.context if one.validator == "const"]
        limit = " or ".join(filter(None, [_listed(types), *words]))
    wanted = {
        "type": f"be {_listed(limit)}",
        "anyOf": f"be {limit}",
        "oneOf": f"be {limit}",
        "enum": f"be one of {_choices(limit)}" if error.validator == "enum" else "",
        "minimum": f"be at least {limit}",
        "exclusiveMinimum": f"be more than {limit}",
        "maximum": f"be at most {limit}",
        "minLength": "not be empty",
    }.get(str(error.validator), f"fulfil {error.validator}: {limit}")
    is_secret = schema["properties"].get(name, {}).get("secret")
    shown = "" if is_secret or isinstance(error.instance, (dict, list)) else f", not {_printable(error.instance)}"
    return f"{'.'.join(path)} must {wanted}{shown}"


def _as_list(types: Any) -> list[str]:  # noqa: ANN401 - a type or several
    return [types] if isinstance(types, str) else list(types)


def _decisive(error: ValidationError) -> ValidationError:
    """Of an error of alternatives, that of the alternative that fits the value on the outside; otherwise the same."""
    inner = next((one for one in error.context or () if one.validator not in {"type", "const"}), None)
    return _decisive(inner) if inner else error


def _choices(values: list[Any]) -> str:
    shown = ", ".join(map(json.dumps, values[:_MOST_CHOICES]))
    return shown if len(values) <= _MOST_CHOICES else f"{shown}, … ({len(values)} in all)"


def _listed(types: object) -> str:
    names = [types] if isinstance(types, str) else list(types) if isinstance(types, list) else []
    words = {"integer": "an integer", "number": "a number", "boolean": "true or false", "string": "text"}
    words |= {"array": "a list", "object": "an object"}
    return " or ".join(words.get(name, name) for name in names if isinstance(name, str) and name != "null")


def _printable(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    if looks_like_token(text):  # it was pasted into the wrong setting
        return MASK
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return shown.encode("unicode_escape").decode() if not shown.isprintable() else shown
