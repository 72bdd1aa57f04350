from pathlib import Path

MERV = Path(__file__).resolve().parents[1] / "merv"


def test_no_file_is_longer_than_300_lines():
    lengths = {str(path.relative_to(MERV)): len(path.read_text().splitlines()) for path in MERV.rglob("*.py")}

    assert len(lengths) > 50
    assert {path: length for path, length in lengths.items() if length > 300} == {}
