"""What values mean: known for sure, stated, or refused with both readings."""

import numpy as np
import pytest

from nidbench.errors import InputError
from nidbench.images import Units, other_mean, unlike
from nidbench.images.stored import Stored
from nidbench.images.units import in_units

RANDOM = np.random.Generator(np.random.Philox(1))
IMAGE = RANDOM.random((20, 30)) * 0.9 + 0.05
SAID = "{name} = {value} in measured.toml"


def read(values, **said):
    return in_units(Stored(np.asarray(values)), Units(**said, key=SAID))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_full_ranges_are_known(kind):
    top = np.iinfo(kind).max
    values = np.rint(top * IMAGE).astype(kind)
    intensities, assumed = read(values)
    assert np.array_equal(intensities, values / top)
    assert assumed == ""


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.longdouble])
def test_real_numbers_are_on_the_unit_interval_and_a_little_beyond(kind):
    for values in (IMAGE, 0.001 * IMAGE, IMAGE + 0.1 * RANDOM.standard_normal(IMAGE.shape), 1.2 * IMAGE - 0.1):
        stored = values.astype(kind)
        assert np.array_equal(read(stored)[0], stored.astype(np.float64))


@pytest.mark.parametrize(
    ("values", "key"),
    [
        (255 * IMAGE, "scale = 255"),
        (4095 * IMAGE, "scale = 4095"),
        (65535 * IMAGE, "scale = 65535"),
        (np.where(IMAGE > 0.94, 255.0, 0.1), "scale = 255"),
        ((255 * IMAGE).astype(int), "scale = 255"),
        ((4000 * IMAGE).astype(np.int16), "scale = 4095"),
        ((60000 * IMAGE).astype(np.uint32), "scale = 65535"),
        (((2**32 - 1) * IMAGE).astype(np.uint32), "if 4294967295 is intensity 1"),
        ((2**31 * IMAGE).astype(np.int64), "scale = "),
        ((200 * IMAGE - 100).astype(np.int8), "scale = "),
        (np.eye(20, dtype=np.uint8), "scale = 1 in measured.toml; if 255 is, scale = 255"),
        (2 * IMAGE - 1, r"save (values + 1) / 2"),
        (-IMAGE, "scale = 1"),
    ],
)
def test_other_ranges_are_refused_with_what_to_say(values, key):
    with pytest.raises(InputError) as caught:
        read(values)
    assert key in str(caught.value)


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_real_numbers_that_may_be_those_of_a_camera_by_65535_are_told_of(bits):
    values = np.rint((2**bits - 1) * IMAGE) / 65535
    intensities, assumed = read(values)
    assert np.array_equal(intensities, values)
    assert assumed.endswith("say scale = VALUE in measured.toml")
    for known in (read(values, scale=1), read(IMAGE), read(0.3 * IMAGE), read(0 * IMAGE)):
        assert known[1] == ""


def test_bits_that_have_no_effect_are_told_of():
    for values, white in ((np.rint(255 * IMAGE).astype(np.uint8), 255), (IMAGE, 1)):
        intensities, assumed = read(values, bits=12)
        assert np.array_equal(intensities, values / white)
        assert assumed.endswith("bits = 12 in measured.toml has no effect on them")
        assert read(values, bits=8)[1] == "" or white == 1
    assert read(np.rint(63 * IMAGE).astype(np.uint8), bits=6)[1] == ""
    assert read(np.rint(4095 * IMAGE).astype(np.uint16), bits=12)[1] == ""
    assert in_units(Stored(np.rint(4095 * IMAGE).astype(np.uint16), bits=12), Units(bits=12))[1] == ""


@pytest.mark.parametrize(
    ("values", "likely", "full"),
    [
        (np.int16(30000) * (IMAGE > 0.5), 32767, 32767),
        ((4000 * IMAGE).astype(np.int16), 4095, 32767),
        ((100 * IMAGE).astype(np.int8), 127, 127),
        ((4000 * IMAGE).astype(np.int32), 4095, 65535),
    ],
)
def test_what_signed_integers_cannot_hold_is_not_proposed_as_white(values, likely, full):
    with pytest.raises(InputError, match=f"if {likely} is intensity 1") as caught:
        read(values)
    assert (f"bit, scale = {full} " in str(caught.value)) == (likely < full)
    assert "65535" not in str(caught.value) or full == 65535


def test_what_is_said_is_done():
    for scale, values in ((255, 255 * IMAGE), (4095, np.rint(4095 * IMAGE).astype(int)), (1, 3.5 * IMAGE - 1)):
        assert np.array_equal(read(values, scale=scale)[0], values / scale)
    deep = np.rint(1023 * IMAGE).astype(np.uint16)
    assert np.array_equal(read(deep, bits=10)[0], deep / 1023)
    assert np.array_equal(read(deep.astype(float), bits=10)[0], deep / 1023)
    eight = np.rint(255 * IMAGE).astype(np.uint8)
    assert np.array_equal(read(eight, bits=12)[0], eight / 255)  # of 8 bit nothing else can be meant
    few = np.rint(15 * IMAGE).astype(np.uint8)
    assert np.array_equal(read(few, bits=4)[0], few / 15)
    assert np.array_equal(read(eight, bits=4)[0], eight / 255)  # formats stretch their levels
    of_format = [in_units(Stored(values, picture=True, bits=12), Units(bits=10))[0] for values in (deep, 4 * deep)]
    assert np.array_equal(of_format[0], deep / 1023)
    assert np.array_equal(of_format[1], 4 * deep / 4095)
    with pytest.raises(InputError, match=r"holds .* to 9\d\d, and 8 bit go from 0 to 255"):
        read(deep, bits=8)
    with pytest.raises(InputError, match="half of its values are above"):
        read(255 * IMAGE, scale=1)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"scale": 0.0}, "scale = 0.0 in measured.toml: give the value"),
        ({"scale": float("nan")}, "give the value of intensity 1"),
        ({"scale": float("inf")}, "give the value of intensity 1"),
        ({"scale": -1.0}, "give the value of intensity 1"),
        ({"bits": 0}, "give a camera's depth, 1 to 32"),
        ({"bits": 99}, "give a camera's depth, 1 to 32"),
        ({"scale": 1.0, "bits": 8}, "give one of the two"),
    ],
)
def test_what_cannot_be_said(said, words):
    with pytest.raises(InputError) as caught:
        Units(**said, key=SAID)
    assert words in str(caught.value)


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
def test_16_bit_values_that_would_fit_fewer_are_told_of(bits):
    values = np.rint((2**bits - 1) * IMAGE).astype(np.uint16)
    for hot in (None, 65535):  # a pixel that is always bright hides nothing
        if hot:
            values = np.pad(values, 80)
            values[3, 4] = hot
        intensities, assumed = read(values)
        assert np.array_equal(intensities, values / 65535)
        assert f"if they are of {bits} bit, say bits = {bits} in measured.toml" in assumed


def smooth(shape=(1, 64, 70)):
    rows, columns = np.indices(shape[1:])
    return (0.5 + 0.4 * np.sin(rows / 9) * np.cos(columns / 7))[None].repeat(shape[0], 0)


@pytest.mark.parametrize("slope", [1, 0.5, 2])
@pytest.mark.parametrize("noise", [0, 0.1, 1])
def test_blur_noise_and_contrast_are_no_other_scale(slope, noise):
    x = smooth((3, 64, 70))
    y = slope * x + noise * np.random.default_rng(0).standard_normal(x.shape)
    assert unlike(x, y) == ""


@pytest.mark.parametrize("noise", [0, 0.1])
def test_scales_offsets_and_signs_are_told_apart(noise):
    x = smooth()
    y = x + noise * np.random.default_rng(0).standard_normal(x.shape)
    for wrong, words in (
        (2 * x - 1, "0.5"),
        (-x, "-1"),
        (1 - x, "plus 1"),
        (x / 255, "25"),
        (16 * x, "0.06"),
        (x / 4, "4"),
    ):
        assert words[:2] in unlike(wrong, y)
    assert unlike(np.random.default_rng(1).random(x.shape), y) == ""
    assert unlike(np.zeros_like(x), y) == ""


def test_an_offset_or_a_mean_taken_off_is_another_scale():
    x = smooth()
    y = x + 0.05 * np.random.default_rng(0).standard_normal(x.shape)
    for wrong in (x - x.mean(), x - 0.4, x + 1.2):
        assert unlike(wrong, y)
    dark = 0.01 * x  # noise cut off at 0 lifts it
    assert unlike(dark, dark + 0.03) == ""


def test_another_mean_is_said():
    x = smooth()
    assert other_mean(x / 2.5, x).startswith("a mean of 0.2, where the blurred image has 0.4")
    assert other_mean(x ** (1 / 2.2), x**2)
    assert other_mean(1.1 * x, x) == other_mean(0.01 * x, 0.03 * x) == ""
