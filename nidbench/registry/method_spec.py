"""The grammar by which methods are asked for: `name[@preset][:variant...][[key=value,...]]`."""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nidbench.contract.method import Method, Setting, Settings
from nidbench.errors import InputError, NidbenchError, UnknownNameError, unknown

_FORM = re.compile(
    r"(?P<name>[\w.-]+)(?:@(?P<preset>[\w-]+))?(?P<variants>(?::[\w-]+)*)(?:\[(?P<settings>[^\[\]]*)\])?", re.ASCII
)

#: A Python file in the place of a method's name.
_FILE = re.compile(r"[^@:\[]*\.py(?=$|[@:\[\s])")

#: What a method without presets has.
DEFAULT_PRESET = "default"


@dataclass(frozen=True)
class MethodSpec:
    """A method as asked for.

    Attributes:
        name: registered name.
        preset: its own preset, or None to take the sweep's.
        variants: applied in this order.
        settings: single settings as text, applied last.
    """

    name: str
    preset: str | None = None
    variants: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> MethodSpec:
        """Read one method.

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
        for part in filter(None, (match["settings"] or "").split(",")):
            key, separator, value = part.partition("=")
            if not separator:
                raise InputError(f"setting {part!r} of {text!r} has no value: write {key}=VALUE")
            settings[key.strip()] = value.strip()
        variants = tuple(filter(None, match["variants"].split(":")))
        return cls(match["name"], match["preset"], variants, settings)

    def __str__(self) -> str:
        preset = f"@{self.preset}" if self.preset else ""
        variants = "".join(f":{variant}" for variant in self.variants)
        settings = ",".join(f"{key}={value}" for key, value in self.settings.items())
        return f"{self.name}{preset}{variants}" + (f"[{settings}]" if settings else "")


def parse_methods(text: str) -> list[MethodSpec]:
    """Read a list of methods; commas inside brackets do not separate them.

    Raises:
        InputError: where one has another form, or there is none.
    """
    parts = [part for part in re.split(r",(?![^\[]*\])", text) if part.strip()]
    if not parts:
        raise InputError("no method was given: use --methods ours,dip")
    specs = [MethodSpec.parse(part) for part in parts]
    return list({str(spec): spec for spec in specs}.values())


@dataclass(frozen=True)
class Resolved:
    """A method with all its settings fixed.

    Attributes:
        method: ready to restore.
        preset: the one in force.
        note: what tables should say of it, or nothing.
    """

    method: Method
    preset: str
    note: str


def resolve(spec: MethodSpec, kind: type[Method], preset: str | None) -> Resolved:
    """Fix all settings of a method: preset, then variants, then single settings.

    Its own preset beats the sweep's; a method without the sweep's preset uses the first it has, and the note says so.
    The note begins with the method's notice, with whether it is a reconstruction, and on which images of a dataset the
    preset was tuned.

    Raises:
        UnknownNameError: for an own preset, variant or setting that it has not.
        InputError: for a value that the setting cannot take.
    """
    presets = kind.info.presets or {DEFAULT_PRESET: {}}
    if spec.preset is not None and spec.preset not in presets:
        raise UnknownNameError(unknown(f"preset of {spec.name}", spec.preset, presets))
    wanted = spec.preset or preset
    chosen = wanted if wanted is not None and wanted in presets else next(iter(presets))
    replaced = wanted not in (None, chosen) and bool(kind.info.presets)
    tuning = kind.info.tuned_on.get(chosen, "")
    notes = (
        kind.info.notice,
        "reconstructed: there is no authors' code to check against" * kind.info.reconstructed,
        f"tuned on {tuning}" * ("/" in tuning),
        f"has no preset {wanted!r}, uses {chosen!r}" * replaced,
    )
    note = "; ".join(filter(None, notes))
    settings: dict[str, Setting] = dict(presets[chosen])
    for variant in spec.variants:
        if variant not in kind.info.variants:
            raise UnknownNameError(unknown(f"variant of {spec.name}", variant, kind.info.variants))
        settings |= kind.info.variants[variant]
    hints = _setting_types(kind)
    for key, text in spec.settings.items():
        if key not in hints:
            raise UnknownNameError(unknown(f"setting of {spec.name}", key, hints))
        settings[key] = _read(f"{spec.name}[{key}]", text, hints[key])
    make: Any = kind
    try:
        return Resolved(make(**_as_declared(settings, hints)), chosen, note)
    except NidbenchError:
        raise
    except (TypeError, ValueError) as error:  # what a method's own checks raise, or a preset with a setting it has not
        raise InputError(f"{spec} with preset {chosen!r} is refused by the method: {error}") from error


def all_settings(method: Method) -> dict[str, Setting]:
    """Return every setting of a method, by name."""
    fields = dataclasses.fields(typing.cast("Any", method))
    return {each.name: getattr(method, each.name) for each in fields}


def _setting_types(kind: type[Method]) -> dict[str, tuple[type, ...]]:
    hints = typing.get_type_hints(kind)
    names = [each.name for each in dataclasses.fields(typing.cast("Any", kind)) if each.init]
    return {name: _alternatives(hints[name]) for name in names}


def _as_declared(settings: Settings, hints: Mapping[str, Sequence[type]]) -> Settings:
    """Return the settings with whole numbers as floats where the setting is a float: 3 and 3.0 are the same cell."""

    def exact(name: str, value: Setting) -> Setting:
        declared = hints.get(name, ())
        whole = isinstance(value, int) and not isinstance(value, bool)
        return float(value) if whole and float in declared and int not in declared else value  # type: ignore[arg-type]

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
    wanted = " or ".join("none" if kind is type(None) else kind.__name__ for kind in allowed)
    raise InputError(f"{name}={text!r}: give a value of type {wanted}")
