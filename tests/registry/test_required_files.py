"""Which files and terms a name stands for."""

import pytest

from nidbench.errors import UnknownNameError
from nidbench.registry.entry_points import load_dataset, load_kernels
from nidbench.registry.required_files import by_hand_of, files_of, terms_of


def test_a_dataset_comes_with_its_default_kernels():
    assert files_of("set12") == [*load_dataset("set12").files(), *load_kernels("levin").files()]
    assert [line.partition(":")[0] for line in terms_of("set12")] == [
        load_dataset("set12").info.title,
        load_kernels("levin").info.title,
    ]


def test_a_measured_dataset_brings_its_own_kernels():
    assert files_of("anger") == list(load_dataset("anger").files())
    assert len(list(terms_of("anger"))) == 1


def test_a_kernel_set_and_a_method_have_files_of_their_own():
    assert files_of("danielyan") == list(load_kernels("danielyan").files())
    assert {file.path.rpartition(".")[2] for file in files_of("fcnn")} == {"mat"}
    assert files_of("wiener") == []


def test_what_comes_by_hand_is_no_file_to_fetch():
    assert [file.path for file in by_hand_of("kohler")] == [f"GroundTruth_pngs_Image{i}.zip" for i in range(1, 5)]
    assert len(files_of("kohler")) == 96
    assert by_hand_of("set12") == by_hand_of("levin") == by_hand_of("wiener") == []


def test_an_unknown_name_is_refused_with_what_is_near():
    with pytest.raises(UnknownNameError, match="set12"):
        files_of("set13")
