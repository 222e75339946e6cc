"""Which kernels a caption speaks of."""

import math

import pandas as pd
import pytest

from nidbench.analysis.scope import kernel_scope


def cells(kernels, images=("a", "b"), noise="gaussian:0.05", kernel_set=""):
    rows = [(image, kernel) for image in images for kernel in kernels]
    sets = kernel_set or kernels[0].partition("/")[0]
    frame = pd.DataFrame(rows, columns=["image", "kernel"])
    return frame.assign(psnr=26.0, dataset="set12", kernel_set=sets, noise=noise)


@pytest.mark.parametrize(
    ("kernels", "told"),
    [
        (["levin/4", "levin/1"], "levin/1, levin/4 of the 8 of levin"),
        ([f"levin/{n}" for n in range(1, 9)], "all 8 of levin"),
        (["levin@estimated:mine/2"], "levin@estimated:mine/2 of the 8 of levin@estimated:mine"),
        (["theirs/10", "theirs/9"], "theirs/9, theirs/10"),  # of a set that is not registered
        ([f"theirs/{n}" for n in range(13)], "13 kernels"),
    ],
)
def test_the_kernels_used_are_named_with_the_size_of_their_set(kernels, told):
    assert kernel_scope(cells(kernels)) == f"Under these kernels, and no others: {told}."


def test_kernels_rotated_over_images_are_told_so():
    rotated = pd.concat([cells([f"levin/{n}"], images=[str(n)]) for n in range(1, 9)])
    assert kernel_scope(rotated) == (
        "Under these kernels, and no others: all 8 of levin, each image under some of them."
    )


def test_groups_with_other_kernels_are_told_apart():
    both = pd.concat([cells(["levin/1"]), cells(["levin/2"], noise="poisson:128"), cells(["levin/1"], noise="x")])
    assert kernel_scope(both) == (
        "Under these kernels, and no others: levin/1 of the 8 of levin (set12 levin gaussian:0.05, set12 levin x); "
        "levin/2 of the 8 of levin (set12 levin poisson:128)."
    )


def test_kernels_without_a_score_are_not_spoken_of():
    frame = cells([f"levin/{n}" for n in range(1, 9)])
    frame.loc[frame["kernel"] != "levin/3", "psnr"] = math.nan
    assert kernel_scope(frame) == "Under these kernels, and no others: levin/3 of the 8 of levin."
    assert kernel_scope(frame.assign(psnr=math.nan)) == "Under these kernels, and no others: all 8 of levin."
