"""Paths made absolute, and files that are complete or absent."""

import errno
import os
from pathlib import Path

import pytest

from jaxnets.errors import InputError
from jaxnets.files import absolute, append_line, write_atomically, write_text


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("~/x", "/home/somebody/x"),
        ("~", "/home/somebody"),
        ("runs/x", "{cwd}/runs/x"),
        ("/data/x", "/data/x"),
    ],
)
def test_a_path_becomes_absolute(kind, given, expected, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.chdir(tmp_path)
    assert str(absolute(kind(given))) == expected.format(cwd=tmp_path)


def test_a_path_without_a_home_or_working_folder(monkeypatch, tmp_path):
    with pytest.raises(InputError, match=r"no home folder for '~no-such-user/x'"):
        absolute("~no-such-user/x")
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(InputError, match="no working folder for 'x'"):
        absolute("x")


def test_the_name_appears_with_the_whole_content(tmp_path):
    path = tmp_path / "out.bin"
    with write_atomically(path) as stream:
        stream.write(b"half")
        stream.flush()
        assert not path.exists()
        stream.write(b" and half")
    assert path.read_bytes() == b"half and half"
    assert os.listdir(tmp_path) == ["out.bin"]


def test_an_error_keeps_the_earlier_content_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "out.txt"
    write_text(path, "before")
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), write_atomically(path) as stream:
            stream.write(b"after")
            raise error
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["out.txt"]


def test_a_later_write_replaces_the_earlier(tmp_path):
    path = tmp_path / "out.txt"
    write_text(path, "a long first text")
    write_text(path, "π ≈ 3")
    assert path.read_bytes() == "π ≈ 3".encode()


@pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX's")
def test_the_file_has_the_permissions_of_an_ordinary_one(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "ours", "")
        (tmp_path / "ordinary").write_text("")
        assert os.umask(0o027) == 0o027  # and the mask is left as it was
    finally:
        os.umask(before)
    modes = [(tmp_path / name).stat().st_mode for name in ("ours", "ordinary")]
    assert modes[0] == modes[1]


def test_a_full_disk_leaves_the_earlier_content_and_no_half(small_disk):
    path = small_disk / "out.bin"
    write_text(path, "before")
    with pytest.raises(OSError) as caught, write_atomically(path) as stream:
        stream.write(b"x" * 200_000)
    assert caught.value.errno == errno.ENOSPC
    assert path.read_text() == "before"
    assert os.listdir(small_disk) == ["out.bin"]


def test_a_read_only_disk(read_only_disk):
    with pytest.raises(OSError) as caught:
        write_text(read_only_disk / "out.txt", "text")
    assert caught.value.errno == errno.EROFS


def test_a_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_text(tmp_path / "nowhere" / "out.txt", "text")


def test_an_error_names_the_file_and_not_the_temporary_one(tmp_path):
    path = tmp_path / "no-such-folder" / "out.txt"
    for function in (write_text, append_line):
        with pytest.raises(FileNotFoundError) as caught:
            function(path, "text")
        assert caught.value.filename == str(path)


def test_lines_are_appended_whole_or_not_at_all(small_disk):
    path = small_disk / "lines.txt"
    append_line(path, "one")
    with pytest.raises(OSError, match="No space left") as caught:
        append_line(path, "x" * 2**20)  # sixteen times the disk
    assert caught.value.filename == str(path)
    append_line(path, "two")
    assert path.read_text() == "one\ntwo\n"
