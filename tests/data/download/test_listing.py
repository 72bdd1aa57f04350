import pytest
from backbones.hub_server import COMMIT, closed_port, point_client_at

from merv.data.download.listing import list_files, wanted
from merv.data.download.recipe import Recipe, Source
from merv.errors import ConfigError

REPO = "someone/sets"


def recipe(**source):
    return Recipe("sets", page="https://page", name="mine", sources=[Source(**{"dataset": REPO, **source})])


def refused(asked):
    with pytest.raises(ConfigError) as caught:
        list_files(asked)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_a_folder_of_a_repository_is_listed_with_sizes_checksums_and_commit(hub):
    hub.repos[REPO] = {"tacos/train.jsonl": b"{}", "tacos/deep/videos.tar.gz": b"12345", "other/list": b""}
    hub.lfs = {"tacos/deep/videos.tar.gz"}

    listing = list_files(recipe(folder="tacos"))
    files = {file.path: file for file in listing.files}

    assert {path: file.size for path, file in files.items()} == {"train.jsonl": 2, "deep/videos.tar.gz": 5}
    assert files["deep/videos.tar.gz"].sha256.startswith("5994471abb01112afcc18159f6cc74b4")
    assert files["train.jsonl"].sha256 is None
    assert files["train.jsonl"].version != files["deep/videos.tar.gz"].version
    assert all(f"/datasets/{REPO}/resolve/{COMMIT}/tacos/" in file.url for file in files.values())
    assert listing.revisions == {REPO: COMMIT}
    assert listing.size == 7


def test_a_model_is_listed_whole_and_patterns_choose(hub):
    hub.repos["someone/base"] = {"config.json": b"{}", "model.safetensors": b"w", "figure.png": b"p"}

    whole = list_files(recipe(dataset=None, model="someone/base"))
    some = list_files(recipe(dataset=None, model="someone/base", leave_out=["*.png"], into="base"))

    assert len(whole.files) == 3
    assert [file.path for file in some.files] == ["base/config.json", "base/model.safetensors"]


NAMES = ["train.jsonl", "videos.tar.gz.00", "videos_3fps_480_noaudio.tar.gz", "v1/videos.tar.gz"]
PATTERNS = {"originals": "*videos.tar.gz*", "compressed": "*_3fps_480_noaudio.tar.gz*"}


def test_original_videos_are_left_out_only_where_there_are_compressed_ones():
    source = Source(dataset=REPO, **PATTERNS)

    assert wanted(source, NAMES, originals=False) == ["train.jsonl", "videos_3fps_480_noaudio.tar.gz"]
    assert wanted(source, NAMES, originals=True) == NAMES
    assert wanted(source, NAMES[:2], originals=False) == NAMES[:2]


def test_plain_addresses_are_asked_for_size_and_etag_without_a_token(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.plain = {"list.csv": b"a,b\n"}

    [file] = list_files(recipe(dataset=None, urls={"deep/l.csv": f"{hub.url}/plain/list.csv"})).files

    assert (file.path, file.size, file.repo) == ("deep/l.csv", 4, None)
    assert file.version.startswith('"')
    assert hub.asked == ["HEAD /plain/list.csv"]
    assert hub.tokens == [None]


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        (
            "no such repository",
            f"there is no repository {REPO}, or it is private; see https://huggingface.co/datasets/",
        ),
        ("broken", "the download failed (Internal Error); see"),
        ("no such revision", f"{REPO} has no revision main; put another one into a recipe of your own"),
    ],
)
def test_what_the_hub_refuses_is_told_in_one_line(hub, refusal, message):
    hub.repos[REPO] = {}
    hub.refusals[REPO] = refusal

    assert message in refused(recipe())


def test_a_model_whose_licence_is_not_accepted_names_page_and_login(hub):
    hub.repos[REPO] = {}
    hub.refusals[REPO] = "gated"

    line = refused(recipe(dataset=None, model=REPO))

    assert f"accept the licence at https://huggingface.co/{REPO} and log in (`hf auth login`, or HF_TOKEN)" in line


@pytest.mark.parametrize("reason", ["offline", "unreachable"])
def test_without_a_network_one_line_says_so(hub, monkeypatch, tmp_path, reason):
    if reason == "offline":
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    else:
        point_client_at(monkeypatch, f"http://127.0.0.1:{closed_port()}", tmp_path / "cache")

    line = refused(recipe())

    assert line.startswith(
        "download `mine`: the hub cannot be reached from here, run it where there is a network; see"
    )


def test_a_folder_or_pattern_that_is_not_there_is_told(hub):
    hub.repos[REPO] = {"tacos/train.jsonl": b""}

    assert f"{REPO} has no folder tacoz at main" in refused(recipe(folder="tacoz"))
    assert f"{REPO} holds nothing like *.zip in `tacos`" in refused(recipe(folder="tacos", files=["*.zip"]))


def test_a_name_that_leaves_the_folder_is_refused(hub):
    hub.repos[REPO] = {"../evil": b""}

    assert "the name `../evil` leaves the folder" in refused(recipe())


def test_a_checksum_of_the_recipe_has_to_be_the_hubs(hub):
    hub.repos[REPO] = {"videos.zip": b"12345"}
    hub.lfs = {"videos.zip"}

    line = refused(recipe(sha256={"videos.zip": "0" * 64}))

    assert (
        "the hub's checksum of videos.zip is 5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5, "
        in line
    )


@pytest.mark.parametrize(("refusal", "message"), [("gated", "status 403"), ("broken", "with status 500")])
def test_a_plain_address_that_refuses_is_told(hub, refusal, message):
    hub.plain = {"list.csv": b""}
    hub.refusals["list.csv"] = refusal

    assert message in refused(recipe(dataset=None, urls={"l.csv": f"{hub.url}/plain/list.csv"}))


def test_a_plain_address_without_anything_is_told(hub):
    missing = recipe(dataset=None, urls={"l.csv": f"{hub.url}/plain/list.csv"})
    nobody = recipe(dataset=None, urls={"l.csv": f"http://127.0.0.1:{closed_port()}/list.csv"})

    assert f"there is no {hub.url}/plain/list.csv (status 404); see https://page" in refused(missing)
    assert "cannot be reached (" in refused(nobody)
