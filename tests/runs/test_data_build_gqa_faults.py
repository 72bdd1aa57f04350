"""What `merv data build-gqa` says in one line when something is wrong, and what it keeps."""

import os

import pytest
from endpoint.server import Reply

from .gqa_server import KEY, Llm, build, error_of, write_set


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def test_an_endpoint_that_goes_away_ends_in_one_line_and_the_same_command_goes_on(tmp_path, capsys):
    root = write_set(tmp_path, 6)
    with Llm(lambda n, prompt: Reply(status=503, body=b"") if n >= 4 else None) as server:
        assert build(root, server, "--chat.concurrency", "1", "--blind.type", "none") == 2
        said = error_of(capsys)
        server.rule = Llm().rule
        server.requests.clear()
        assert build(root, server, "--chat.concurrency", "1", "--blind.type", "none") == 0
        assert len(server.requests) == 2

    assert said.startswith("merv data build-gqa: error: writer `gpt-4o-mini` at 127.0.0.1 does not answer after 3 ")
    assert said.endswith(f"status 503; 4 replies are kept in {root / 'replies'}, and the same command goes on")


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (
            Reply(status=401, body=f'{{"error": "no {KEY}"}}'.encode()),
            "refuses the key in OPENAI_API_KEY; set a valid",
        ),
        (Reply(status=404, body=b""), "does not know this model or address; see --model and --llm, which mostly ends"),
        (Reply(status=400, body=b'{"error": "seed?"}'), "seed? (400); see --model and the options of chat"),
        ("hm", "none of 6 replies of `gpt-4o-mini` could be used: 6 not one JSON object; see "),
    ],
)
def test_an_endpoint_that_refuses_is_one_line(tmp_path, capsys, rule, says):
    with Llm(lambda n, prompt: rule) as server:
        assert build(write_set(tmp_path, 2), server) == 2

    said = error_of(capsys)
    assert says in said
    assert KEY not in said


def test_the_key_stands_in_no_file(tmp_path):
    with Llm() as server:
        build(write_set(tmp_path, 2), server)

    text = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert server.headers[0]["Authorization"].endswith(KEY)
    assert KEY not in text


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--source", "qvhighlight"], "did you mean `qvhighlights`"),
        (
            ["--source", "synthetic-gqa", "--source.num_clips", "2", "--source.num_eval", "1"],
            "has no moments to ask ab",
        ),
        (["--llm", "localhost:8000"], "--llm `localhost:8000` is no http(s) address"),
        (["--blind.llm", "ftp://x"], "--blind.llm `ftp://x` is no http(s) address"),
        (["--num_options", "6..4"], "num_options is `6..4`"),
        (["--blind.rounds", "1"], "raise --blind.rounds"),
        (["--limit", "0"], "limit 0 at least 1"),
        (["--chat.api_key_env", "sk-0123"], "`chat`: api_key_env is no name of an environment variable"),
        (["--max_tries", "0"], "max_tries is 0; it must be at least 1"),
        (["--price_per_million", "[1]"], "give two prices"),
        (["--blind.price_per_million", "[1]"], "give two prices"),
        (["--blind.type", "merv"], "blind model of merv is not named"),
        (["--blind.type", "merv", "--blind.model", "runs/none"], "runs/none"),
        (["--source.dataset_root_dir", "elsewhere"], "elsewhere/qvhighlights"),
        (["word"], "`word` is no option: merv data build-gqa --source NAME --llm URL"),
    ],
)
def test_options_that_cannot_work_end_in_one_line_before_anything_is_asked(tmp_path, capsys, options, says):
    write_set(tmp_path, 2)
    with Llm() as server:
        assert build(tmp_path, server, *options) == 2

    assert says in _first_line(capsys)
    assert server.requests == []


def test_a_folder_of_other_options_is_refused_and_patience_may_change(tmp_path, capsys):
    root = write_set(tmp_path, 2)
    with Llm() as server:
        build(root, server, "--blind.type", "none")
        assert build(root, server, "--blind.type", "none", "--chat.timeout_s", "9") == 0
        assert build(root, server, "--blind.type", "none", "--seed", "8") == 2

    assert "holds what was made with other options: seed `7` and not `8`; name another --out" in error_of(capsys)


def test_a_full_disk_is_one_line(tmp_path, capsys, monkeypatch):
    from merv.endpoint import cache

    real = os.write
    monkeypatch.setattr(cache.os, "write", lambda file, data: real(file, data) if b"key" not in data else _full())
    with Llm() as server:
        assert build(write_set(tmp_path, 2), server) == 2

    said = error_of(capsys)
    assert "reply cache" in said
    assert "cannot be written: No space left on device" in said


def _first_line(capsys):
    """The line of the error; a tree of folders may stand below it."""
    return next(
        line for line in capsys.readouterr().err.splitlines() if line.startswith("merv data build-gqa: error:")
    )


def _full():
    raise OSError(28, "No space left on device")
