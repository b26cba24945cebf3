from pathlib import Path

import pytest

from server.demo.folder import MARKER, ForeignFolder, prepare


def test_a_new_folder_is_made_and_recognised_the_next_time(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "demo"
    assert prepare(folder, reset=False) is False
    assert prepare(folder, reset=False) is True


def test_reset_removes_the_record_and_nothing_else(tmp_path: Path) -> None:
    prepare(tmp_path / "demo", reset=False)
    for name in ("record.db", "record.db-wal", "notes.txt"):
        (tmp_path / "demo" / name).write_text("x")

    assert prepare(tmp_path / "demo", reset=True) is False

    assert sorted(file.name for file in (tmp_path / "demo").iterdir()) == [MARKER, "notes.txt"]


@pytest.mark.parametrize("reset", [True, False])
def test_somebody_elses_folder_is_left_alone(tmp_path: Path, reset: bool) -> None:
    (tmp_path / "record.db").write_text("a real record")

    with pytest.raises(ForeignFolder, match="not a folder of the demo"):
        prepare(tmp_path, reset=reset)

    assert [file.name for file in tmp_path.iterdir()] == ["record.db"]


def test_an_empty_folder_may_be_used(tmp_path: Path) -> None:
    assert prepare(tmp_path, reset=True) is False
