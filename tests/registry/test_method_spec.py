from dataclasses import dataclass
from typing import ClassVar

import pytest

from nidbench.contract import MethodInfo
from nidbench.errors import InputError, UnknownNameError
from nidbench.registry.entry_points import load_method, methods
from nidbench.registry.method_spec import MethodSpec, all_settings, parse_methods, resolve


@dataclass(frozen=True)
class Toy:
    info: ClassVar[MethodInfo] = MethodInfo(
        "Toy",
        presets={"paper": {}, "fast": {"steps": 10, "rate": 0.5}, "smoke": {"steps": 1}},
        variants={"no-prior": {"prior": False}, "coarse": {"steps": 5, "name": "coarse"}},
    )
    steps: int = 1000
    rate: float = 1e-4
    prior: bool = True
    name: str = "fine"
    limit: int | None = None

    def restore(self, problem, run): ...


@dataclass(frozen=True)
class Plain:
    info: ClassVar[MethodInfo] = MethodInfo("No presets")
    weight: float = 3.0

    def __post_init__(self):
        if self.weight < 0:
            raise InputError(f"weight={self.weight}: give a positive number")
        if self.weight > 100:
            raise ValueError("weight above 100")  # as a method that knows nothing of our errors would

    def restore(self, problem, run): ...


def settings(text, kind=Toy, preset=None):
    return all_settings(resolve(MethodSpec.parse(text), kind, preset).method)


def test_the_forms_of_the_design():
    assert MethodSpec.parse("ours") == MethodSpec("ours")
    assert MethodSpec.parse("ours@fast") == MethodSpec("ours", "fast")
    assert MethodSpec.parse("ours:no-sa") == MethodSpec("ours", None, ("no-sa",))
    assert MethodSpec.parse("ours@fast[iterations=500,lr=2e-3]") == MethodSpec(
        "ours", "fast", (), {"iterations": "500", "lr": "2e-3"}
    )
    assert MethodSpec.parse(" ours@fast:no-sa:no-masking[ lr = 1 , stop=a:b@c ] ") == MethodSpec(
        "ours", "fast", ("no-sa", "no-masking"), {"lr": "1", "stop": "a:b@c"}
    )


@pytest.mark.parametrize(
    "text",
    ["ours", "ours@fast", "ours:no-sa", "ours@fast:no-sa:no-masking", "ours[lr=2e-3]", "a.b-c_1@p:v[a=1,b=none,c=x y]"],
)
def test_text_round_trip(text):
    assert str(MethodSpec.parse(text)) == text
    assert MethodSpec.parse(str(MethodSpec.parse(text))) == MethodSpec.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@fast",
        "ours@",
        "ours:",
        "ours::no-sa",
        "ours@fast@slow",
        "ours:no-sa@fast",
        "ours[lr=1",
        "ours]lr=1[",
        "ours[lr=1]@fast",
        "ours[[lr=1]]",
        "ours dip",
        "öurs",
        "../ours",
    ],
)
def test_other_forms_are_refused(text):
    with pytest.raises(InputError, match="use name"):
        MethodSpec.parse(text)


def test_a_setting_without_value_is_refused():
    with pytest.raises(InputError, match=r"'lr'.*write lr=VALUE"):
        MethodSpec.parse("ours[iterations=5,lr]")


def test_commas_in_brackets_do_not_separate_methods():
    specs = parse_methods("ours@fast[iterations=500,lr=2e-3], dip[a=1,b=2],,wiener,")
    assert [str(spec) for spec in specs] == ["ours@fast[iterations=500,lr=2e-3]", "dip[a=1,b=2]", "wiener"]


def test_a_method_asked_for_twice_counts_once():
    assert [str(spec) for spec in parse_methods("dip,ours,dip,dip@fast")] == ["dip", "ours", "dip@fast"]


@pytest.mark.parametrize("text", ["", " , ", ","])
def test_no_method_is_refused(text):
    with pytest.raises(InputError, match="no method was given"):
        parse_methods(text)


def test_presets_variants_and_settings_apply_in_this_order():
    defaults = {"steps": 1000, "rate": 1e-4, "prior": True, "name": "fine", "limit": None}
    assert settings("toy") == defaults
    assert settings("toy@fast") == {**defaults, "steps": 10, "rate": 0.5}
    assert settings("toy@fast:coarse") == {**defaults, "steps": 5, "rate": 0.5, "name": "coarse"}
    assert settings("toy@fast:coarse:no-prior[steps=7]") == {
        **defaults,
        "steps": 7,
        "rate": 0.5,
        "name": "coarse",
        "prior": False,
    }


def test_variants_apply_from_left_to_right():
    @dataclass(frozen=True)
    class Ordered:
        info: ClassVar[MethodInfo] = MethodInfo("Ordered", variants={"a": {"x": 1}, "b": {"x": 2}})
        x: int = 0

        def restore(self, problem, run): ...

    assert settings("ordered:a:b", Ordered) == {"x": 2}
    assert settings("ordered:b:a", Ordered) == {"x": 1}


def test_an_own_preset_beats_that_of_the_sweep():
    resolved = resolve(MethodSpec.parse("toy@smoke"), Toy, "fast")
    assert (resolved.method, resolved.preset, resolved.note) == (Toy(steps=1), "smoke", "")


def test_the_preset_of_the_sweep_holds_for_methods_that_name_none():
    resolved = resolve(MethodSpec.parse("toy"), Toy, "fast")
    assert (resolved.method, resolved.preset, resolved.note) == (Toy(steps=10, rate=0.5), "fast", "")


def test_without_any_preset_the_first_holds():
    assert resolve(MethodSpec.parse("toy"), Toy, None).preset == "paper"


def test_a_method_without_the_preset_of_the_sweep_says_what_it_uses():
    resolved = resolve(MethodSpec.parse("toy"), Toy, "released")
    assert (resolved.method, resolved.preset) == (Toy(), "paper")
    assert "released" in resolved.note
    assert "paper" in resolved.note


@pytest.mark.parametrize(("text", "kind"), [("toy", Toy), ("plain", Plain)])
def test_a_preset_of_the_sweep_that_nobody_knows_is_refused_with_near_misses(text, kind):
    with pytest.raises(UnknownNameError, match=f"unknown preset of {text} 'fsat': did you mean fast"):
        resolve(MethodSpec.parse(text), kind, "fsat")
    assert resolve(MethodSpec.parse(text), kind, "default").method == kind()


def test_a_setting_that_is_given_twice_is_refused():
    with pytest.raises(InputError, match=r"'steps' of 'toy.steps=5, steps=6.' is given twice"):
        MethodSpec.parse("toy[steps=5, steps=6]")


def test_a_method_without_presets_has_nothing_to_say():
    resolved = resolve(MethodSpec.parse("plain"), Plain, "fast")
    assert (resolved.method, resolved.note) == (Plain(), "")


def test_a_reconstruction_is_told():
    @dataclass(frozen=True)
    class Rebuilt:
        info: ClassVar[MethodInfo] = MethodInfo("Rebuilt", reconstructed=True)

        def restore(self, problem, run): ...

    assert "reconstructed" in resolve(MethodSpec.parse("rebuilt"), Rebuilt, None).note


def test_a_notice_is_told_with_whatever_else_there_is_to_say():
    @dataclass(frozen=True)
    class Bound:
        info: ClassVar[MethodInfo] = MethodInfo("Bound", presets={"paper": {}}, notice="not for sale")

        def restore(self, problem, run): ...

    assert resolve(MethodSpec.parse("bound"), Bound, None).note == "not for sale"
    assert resolve(MethodSpec.parse("bound"), Bound, "fast").note == "not for sale; has no preset 'fast', uses 'paper'"


def test_a_preset_tuned_on_images_of_a_dataset_says_so():
    @dataclass(frozen=True)
    class Tuned:
        tuned_on: ClassVar[dict[str, str]] = {"fast": "set12/02, 04", "smoke": "images that no dataset has"}
        info: ClassVar[MethodInfo] = MethodInfo(
            "Tuned", presets={"paper": {}, "fast": {}, "smoke": {}}, tuned_on=tuned_on
        )

        def restore(self, problem, run): ...

    notes = {preset: resolve(MethodSpec("tuned"), Tuned, preset).note for preset in Tuned.info.presets}
    assert notes == {"paper": "", "fast": "tuned on set12/02, 04", "smoke": ""}


@pytest.mark.parametrize(
    ("text", "near", "kind"),
    [
        ("toy@fats", "did you mean fast", "preset of toy"),
        ("toy:no-prioir", "did you mean no-prior", "variant of toy"),
        ("toy[stpes=3]", "did you mean steps", "setting of toy"),
    ],
)
def test_unknown_names_list_near_misses(text, near, kind):
    with pytest.raises(UnknownNameError, match=near) as caught:
        settings(text)
    assert kind in str(caught.value)


def test_the_class_variable_info_is_no_setting():
    with pytest.raises(UnknownNameError, match="unknown setting of toy 'info'"):
        settings("toy[info=x]")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("steps=-7", -7),
        ("rate=2e-3", 0.002),
        ("rate=2", 2.0),
        ("prior=false", False),
        ("prior=True", True),
        ("name=none", "none"),
        ("name=7", "7"),
        ("limit=None", None),
        ("limit=12", 12),
    ],
)
def test_values_have_the_type_of_the_setting(text, expected):
    value = settings(f"toy[{text}]")[text.partition("=")[0]]
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("steps=many", "int"),
        ("steps=2.5", "int"),
        ("steps=none", "int"),
        ("steps=", "int"),
        ("rate=fast", "float"),
        ("prior=1", "bool"),
        ("prior=yes", "bool"),
        ("limit=1.5", "int or none"),
    ],
)
def test_values_of_another_type_are_refused(text, wanted):
    key, _, value = text.partition("=")
    with pytest.raises(InputError, match=f"give a value of type {wanted}") as caught:
        settings(f"toy[{text}]")
    assert f"toy[{key}]={value!r}" in str(caught.value)


@pytest.mark.parametrize(("value", "reason"), [("-1", "give a positive number"), ("101", "weight above 100")])
def test_values_that_the_method_refuses(value, reason):
    with pytest.raises(InputError, match=reason):
        settings(f"plain[weight={value}]", Plain)


def test_a_preset_with_a_setting_that_the_method_has_not():
    @dataclass(frozen=True)
    class Wrong:
        info: ClassVar[MethodInfo] = MethodInfo("Wrong", presets={"fast": {"stpes": 1}})
        steps: int = 3

        def restore(self, problem, run): ...

    with pytest.raises(InputError, match=r"wrong with preset 'fast'.*stpes"):
        settings("wrong", Wrong)


def test_text_and_preset_that_say_the_same_give_equal_methods():
    assert resolve(MethodSpec.parse("toy[steps=10,rate=0.5]"), Toy, None).method == Toy(steps=10, rate=0.5)


@pytest.mark.parametrize("name", ["ours", "dip", "wiener"])
def test_every_preset_and_variant_of_the_built_in_methods_resolves(name):
    kind = load_method(methods(), name)
    texts = [name, *(f"{name}@{preset}" for preset in kind.info.presets), *(f"{name}:{v}" for v in kind.info.variants)]
    for text in texts:
        assert isinstance(resolve(MethodSpec.parse(text), kind, None).method, kind)


def test_a_whole_number_and_its_float_are_one_setting():
    @dataclass(frozen=True)
    class Filter:
        info: ClassVar[MethodInfo] = MethodInfo("Filter", presets={"paper": {"weight": 3}})
        weight: float = 3.0

        def restore(self, problem, run):
            raise NotImplementedError

    settings = all_settings(resolve(MethodSpec("filter"), Filter, "paper").method)
    assert isinstance(settings["weight"], float)
