import importlib
from importlib import metadata

import pytest
from packaging.requirements import Requirement

from merv.runs import doctor as module
from merv.runs.doctor import Check, Report, check_import, check_version, doctor, requirements


@pytest.fixture(scope="module")
def report():
    return doctor()


def named(report, name):
    return next(check for check in report.checks if check.name == name)


def test_a_whole_environment_is_not_broken(report):
    assert [check for check in report.checks if check.status == "broken"] == []
    assert report.exit_status == 0
    assert report.text().endswith("everything merv needs is here")


def test_every_required_package_and_every_place_is_looked_at(report):
    _, packages = requirements()

    names = {check.name for check in report.checks}

    assert {requirement.name for requirement in packages} <= names
    assert {"Python", "CPUs", "memory", "here", "runs", "model cache", "token", "wandb", "flash-attn"} <= names


def test_codecs_of_common_datasets_can_be_decoded(report):
    assert [named(report, codec).status for codec in ("h264", "hevc", "vp9", "av1")] == ["ok"] * 4


def test_extras_are_not_required():
    _, packages = requirements()

    assert "torch" in {requirement.name for requirement in packages}
    assert "wandb" not in {requirement.name for requirement in packages}


def test_an_optional_package_that_is_missing_leaves_the_exit_status_alone():
    report = Report((Check("optional", "wandb", "missing", "tracker `wandb`", "pip install merv[wandb]"),))

    assert report.exit_status == 0
    assert "missing  wandb  tracker `wandb`  ->  pip install merv[wandb]" in report.text()


def test_something_required_that_is_broken_makes_the_exit_status_1():
    report = Report((Check("packages", "torch", "broken", "2.0, >=2.11 needed", 'pip install "torch>=2.11"'),))

    assert report.exit_status == 1
    assert report.text().endswith("broken: torch")


def test_an_old_or_absent_package_is_broken_and_the_command_gets_it():
    absent = check_version(Requirement("merv-no-such-package>=3"))
    old = check_version(Requirement("numpy>=999"))

    assert (absent.status, absent.remedy) == ("broken", 'pip install "merv-no-such-package>=3"')
    assert (old.status, old.remedy) == ("broken", 'pip install "numpy>=999"')
    assert old.found == f"{metadata.version('numpy')}, >=999 needed"


def test_a_package_whose_build_does_not_match_is_found_by_importing_it(monkeypatch):
    def fails(name):
        raise RuntimeError(f"operator {name}::nms does not exist\nmore")

    monkeypatch.setattr(importlib, "import_module", fails)

    check = check_import("torchvision")

    assert check is not None
    assert check.status == "broken"
    assert check.found == "operator torchvision::nms does not exist"
    assert "matching versions" in check.remedy


def test_the_token_is_reported_and_never_shown(monkeypatch):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_secret")

    (check,) = module._hugging_face()

    assert check.status == "ok"
    assert "hf_secret" not in Report((check,)).text()


def test_a_missing_token_names_the_command_to_log_in(monkeypatch):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)

    (check,) = module._hugging_face()

    assert (check.status, check.remedy) == ("missing", "hf auth login")


def test_a_codec_that_cannot_be_decoded_is_named(monkeypatch):
    monkeypatch.setattr("av.codecs_available", {"h264", "libx264", "hevc", "vp9", "av1"})

    checks = {check.name: check.status for check in module._decoders()}

    assert checks == {"h264": "ok", "hevc": "ok", "vp9": "ok", "av1": "missing", "libx264 encoder": "ok"}


def test_free_space_is_read_for_a_folder_that_is_not_there_yet(tmp_path):
    check = named(Report(tuple(module._disks(tmp_path / "a" / "b"))), "runs")

    assert "GiB free" in check.found
