"""A folder of roles written once more: what the exporter did not write stays."""

import pytest

import merv
from merv.runs.export_roles import ExportRolesConfig, export_roles

from .test_export_roles import write_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A grounder, a verifier and a planner."""
    root = tmp_path_factory.mktemp("runs")
    return {role: write_run(root, role) for role in ("grounder", "verifier", "planner")}


def lay_things_into(out):
    """What people lay into a folder of roles."""
    for name in ("eval/nextqa/results.json", "README.md", "planner/notes.txt", "grounder/card.md", ".gitattributes"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(name)
    return ["eval/nextqa/results.json", "README.md", "planner/notes.txt", "grounder/card.md", ".gitattributes"]


def test_replacing_a_folder_keeps_what_others_laid_into_it(runs, tmp_path):
    out = tmp_path / "out"
    export_roles(ExportRolesConfig([runs["planner"], runs["grounder"]], out))
    things = lay_things_into(out)

    export_roles(ExportRolesConfig([runs["planner"]], out, overwrite=True))

    assert [(out / name).read_text() for name in things] == things
    assert merv.load(out, device="cpu").roles == ("planner", "answerer")
    assert sorted(path.name for path in (out / "grounder").iterdir()) == ["card.md"]
    assert not (out / "pytorch_model.safetensors").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_export_that_was_killed_half_way_loses_nothing_of_it(runs, tmp_path):
    out = tmp_path / "out"
    export_roles(ExportRolesConfig([runs["planner"]], out))
    things = lay_things_into(out)
    out.rename(tmp_path / "out.old")

    export_roles(ExportRolesConfig([runs["verifier"]], out))

    assert [(out / name).read_text() for name in things] == things
    assert merv.load(out, device="cpu").roles == ("verifier", "answerer")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
