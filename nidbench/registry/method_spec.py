"""Parses method specifications, `name[@preset][:variant...][[key=value,...]]`, and makes methods of them."""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nidbench.contract.method import Method, MethodInfo, Setting, Settings
from nidbench.errors import InputError, NidbenchError, UnknownNameError, unknown

_FORM = re.compile(
    r"(?P<name>[\w.-]+)(?:@(?P<preset>[\w-]+))?(?P<variants>(?::[\w-]+)*)(?:\[(?P<settings>[^\[\]]*)\])?", re.ASCII
)

#: Recognises a Python file in the place of a method's name.
_FILE = re.compile(r"[^@:\[]*\.py(?=$|[@:\[\s])")

#: Name of the only preset of a method that declares none.
DEFAULT_PRESET = "default"

#: Presets that a sweep may ask every method for; one that lacks it uses its first one, and the note says so.
WELL_KNOWN_PRESETS = ("paper", "released", "fast", "smoke", DEFAULT_PRESET)


@dataclass(frozen=True)
class MethodSpec:
    """A method specification, as on the command line.

    Attributes:
        name: registered name.
        preset: name of a preset; None to use that of the sweep.
        variants: names of variants, applied in this order.
        settings: single settings as text, applied last.
    """

    name: str
    preset: str | None = None
    variants: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> MethodSpec:
        """Return the specification of a text.

        Raises:
            InputError: where the text has another form.
        """
        if file := _FILE.search(text):
            raise InputError(
                f"method {text!r} is a file: give it with --method-file {file[0]}, and its name {Path(file[0]).stem} "
                "with --methods"
            )
        match = _FORM.fullmatch(text.strip())
        if match is None:
            raise InputError(
                f"method {text!r} has no known form: use name[@preset][:variant][[key=value,...]], "
                "such as ours, ours@fast:no-sa or ours[iterations=500,lr=2e-3]"
            )
        settings = {}
        for setting in filter(None, (match["settings"] or "").split(",")):
            key, separator, value = setting.partition("=")
            if not separator:
                raise InputError(f"setting {setting!r} of {text!r} has no value: write {key}=VALUE")
            if key.strip() in settings:
                raise InputError(f"setting {key.strip()!r} of {text!r} is given twice: give each setting once")
            settings[key.strip()] = value.strip()
        variants = tuple(filter(None, match["variants"].split(":")))
        return cls(match["name"], match["preset"], variants, settings)

    def __str__(self) -> str:
        preset = f"@{self.preset}" if self.preset else ""
        variants = "".join(f":{variant}" for variant in self.variants)
        settings = ",".join(f"{key}={value}" for key, value in self.settings.items())
        return f"{self.name}{preset}{variants}" + (f"[{settings}]" if settings else "")


def parse_methods(text: str) -> list[MethodSpec]:
    """Return the specifications of a list of methods, without repetitions; commas inside brackets do not separate.

    Raises:
        InputError: where a specification has another form, or there is none.
    """
    texts = [method for method in re.split(r",(?![^\[]*\])", text) if method.strip()]
    if not texts:
        raise InputError("no method was given: use --methods ours,dip")
    specs = [MethodSpec.parse(method) for method in texts]
    return list({str(spec): spec for spec in specs}.values())


@dataclass(frozen=True)
class Resolved:
    """A method with all settings fixed.

    Attributes:
        method: the method, ready to restore.
        preset: name of the preset that was used.
        note: note for tables; empty for none.
    """

    method: Method
    preset: str
    note: str


def resolve(spec: MethodSpec, method_class: type[Method], preset: str | None) -> Resolved:
    """Return a method with all settings fixed: those of the preset, then of variants, then single settings.

    The preset of the specification takes precedence over that of the sweep. A method that lacks the sweep's preset uses
    its first one, and the note says so, where that preset is one of `WELL_KNOWN_PRESETS`.

    Args:
        spec: the specification.
        method_class: the registered class of its name.
        preset: preset of the sweep; None for none.

    Raises:
        UnknownNameError: for a preset in `spec`, a variant or a setting that the method lacks, or for a preset of the
            sweep that is not well known either.
        InputError: for a value that the setting cannot have.
    """
    presets = method_class.info.presets or {DEFAULT_PRESET: {}}
    if spec.preset is not None and spec.preset not in presets:
        raise UnknownNameError(unknown(f"preset of {spec.name}", spec.preset, presets))
    if spec.preset is None and preset is not None and preset not in {*presets, *WELL_KNOWN_PRESETS}:
        raise UnknownNameError(unknown(f"preset of {spec.name}", preset, {*presets, *WELL_KNOWN_PRESETS}))
    requested = spec.preset or preset
    chosen = requested if requested is not None and requested in presets else next(iter(presets))
    hints = _setting_types(method_class)
    settings = _as_declared(_chosen_settings(spec, method_class, presets[chosen], hints), hints)
    make: Any = method_class
    try:
        return Resolved(make(**settings), chosen, _note(method_class.info, requested, chosen))
    except NidbenchError:
        raise
    except (TypeError, ValueError) as error:  # raised by the method's checks, or for a preset's unknown setting
        raise InputError(f"{spec} with preset {chosen!r} is refused by the method: {error}") from error


def _chosen_settings(
    spec: MethodSpec, method_class: type[Method], preset: Settings, hints: Mapping[str, Sequence[type]]
) -> dict[str, Setting]:
    """Return the settings that a specification sets: those of the preset, then of variants, then single ones."""
    settings: dict[str, Setting] = dict(preset)
    for variant in spec.variants:
        if variant not in method_class.info.variants:
            raise UnknownNameError(unknown(f"variant of {spec.name}", variant, method_class.info.variants))
        settings |= method_class.info.variants[variant]
    for key, text in spec.settings.items():
        if key not in hints:
            raise UnknownNameError(unknown(f"setting of {spec.name}", key, hints))
        settings[key] = _read(f"{spec.name}[{key}]", text, hints[key])
    return settings


def _note(info: MethodInfo, requested: str | None, chosen: str) -> str:
    """Return the note on a method: its notice, reconstruction, tuning on images of a dataset, and another preset."""
    replaced = requested not in (None, chosen) and bool(info.presets)
    tuning = tuned_on_tested(info, chosen)
    notes = (
        info.notice,
        "blind: it is given the size of the kernel, nothing else of it" if info.blind else "",
        "reconstructed: there is no authors' code to check against" if info.reconstructed else "",
        f"tuned on {tuning}" if tuning else "",
        replaced_preset(requested, chosen) if replaced else "",
    )
    return "; ".join(filter(None, notes))


def tuned_on_tested(info: MethodInfo, preset: str) -> str:
    """Return the images of a dataset on which a preset was tuned, such as "set12/01, 02"; empty where on none."""
    tuning = info.tuned_on.get(preset, "")
    return tuning if "/" in tuning else ""


def replaced_preset(requested: str | None, chosen: str) -> str:
    """Return the note on a method that lacks the preset that was asked for."""
    return f"has no preset {requested!r}, uses {chosen!r}"


def all_settings(method: Method) -> dict[str, Setting]:
    """Return all settings of a method, by name."""
    fields = dataclasses.fields(typing.cast("Any", method))
    return {field.name: getattr(method, field.name) for field in fields}


def _setting_types(method_class: type[Method]) -> dict[str, tuple[type, ...]]:
    hints = typing.get_type_hints(method_class)
    names = [field.name for field in dataclasses.fields(typing.cast("Any", method_class)) if field.init]
    return {name: _alternatives(hints[name]) for name in names}


def _as_declared(settings: Settings, hints: Mapping[str, Sequence[type]]) -> Settings:
    """Return the settings with whole numbers as floats where the setting is a float, so that 3 and 3.0 are equal."""

    def exact(name: str, value: Setting) -> Setting:
        declared = hints.get(name, ())
        is_int = isinstance(value, int) and not isinstance(value, bool)
        return float(value) if is_int and float in declared and int not in declared else value  # type: ignore[arg-type]

    return {name: exact(name, value) for name, value in settings.items()}


def _alternatives(hint: Any) -> tuple[type, ...]:
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return tuple(typing.get_args(hint))
    return (hint,)


def _read(name: str, text: str, allowed: Sequence[type]) -> Setting:
    if type(None) in allowed and text.lower() == "none":
        return None
    if bool in allowed and text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        if kind in allowed:
            try:
                return kind(text)
            except ValueError:
                continue
    if str in allowed:
        return text
    types_allowed = " or ".join("none" if kind is type(None) else kind.__name__ for kind in allowed)
    raise InputError(f"{name}={text!r}: give a value of type {types_allowed}")
