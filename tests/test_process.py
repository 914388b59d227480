"""A process of its own: what it sends, what it raises, how it ends."""

import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import processes
import pytest

from jaxnets import process
from jaxnets.errors import InputError, ProcessFailed


def numbers(send, count):
    for number in range(count):
        print("noise that must not mix with what is sent")
        send((number, os.getpid()))


def refuse(send, message):
    send("first")
    raise InputError(message)


def divide(send):
    send(1 / 0)


def send_a_lock(send):
    send("first")
    send(sys.stdin)  # cannot be pickled


class TwoArguments(InputError):
    """Pickling keeps one argument only, so it cannot be made again."""

    def __init__(self, value, remedy):
        super().__init__(f"{value}: {remedy}")


def refuse_at_length(send):
    raise TwoArguments("a value", "a remedy")


def exit_with_last_words(send):
    os.write(2, b"last words\n")
    os._exit(7)


def run_out_of_memory(send):
    os.kill(os.getpid(), signal.SIGKILL)  # what Linux does then


def end_in_mid_message(send):
    send(os.getpid())
    signal.setitimer(signal.ITIMER_REAL, 0.2)  # SIGALRM ends it
    send(b"x" * 2**20)  # more than a pipe holds while nobody reads


def locate(send, *modules):
    for name in modules:
        try:
            send(importlib.import_module(name).__file__)
        except ImportError:
            send(None)


def wait_for_ever(send):
    send(os.getpid())
    time.sleep(1000)


def leave_files(send, folder):
    for number in range(3):
        (folder / str(number)).touch()
        send(os.environ["PACE"])


def test_values_come_in_order_from_another_process():
    values = list(process.iterate(numbers, 3))
    assert [number for number, _ in values] == [0, 1, 2]
    assert os.getpid() not in {pid for _, pid in values}


def test_an_error_that_a_user_can_mend_arrives_as_it_is():
    events = process.iterate(refuse, "bad input")
    assert next(events) == "first"
    with pytest.raises(InputError, match=r"^bad input$"):
        next(events)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (divide, r"^the process of test_process failed: ZeroDivisionError.*\n"),
        (send_a_lock, "TypeError"),
        (refuse_at_length, "TwoArguments: a value: a remedy"),
    ],
)
def test_any_other_error_arrives_with_its_traceback(function, message):
    with pytest.raises(ProcessFailed, match=message) as caught:
        list(process.iterate(function))
    assert f"in {function.__name__}\n" in str(caught.value)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (exit_with_last_words, "exit code 7:\nlast words$"),
        (run_out_of_memory, r"was killed \(signal 9\).*memory"),
    ],
)
def test_a_process_that_ends_unasked(function, message):
    with pytest.raises(ProcessFailed, match=message):
        list(process.iterate(function))


def test_a_process_that_ends_in_mid_message():
    events = process.iterate(end_in_mid_message)
    pid = next(events)
    processes.wait_for_end(pid)
    with pytest.raises(ProcessFailed, match=r"signal 14 \(Alarm clock\)"):
        next(events)


def test_a_package_that_counts_as_not_installed():
    located = process.iterate(locate, "wave", "colorsys", without=["colorsys"])
    assert [bool(file) for file in located] == [True, False]


def test_in_lockstep_the_process_waits_until_it_is_asked(tmp_path):
    options = {"environment": {"PACE": "slow"}, "lockstep": True}
    values = process.iterate(leave_files, tmp_path, **options)
    for count in (1, 2):
        assert next(values) == "slow"
        time.sleep(0.1)  # it would go on within a fraction of that
        assert len(list(tmp_path.iterdir())) == count
    assert list(values) == ["slow"]


@pytest.mark.parametrize("door", ["working folder", "PYTHONPATH", "sys.path"])
def test_the_users_files_do_not_shadow_what_the_process_imports(
    tmp_path, monkeypatch, door
):
    # Of the standard library, of installed packages, and the package itself.
    names = ["random", "numpy", "jaxnets", "test_process", "users_own"]
    for name in names[:-1]:
        (tmp_path / f"{name}.py").write_text("raise SystemExit('shadowed')")
    (tmp_path / "users_own.py").touch()
    if door == "working folder":
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", ["", *sys.path])
    elif door == "PYTHONPATH":
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    else:
        monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    files = list(process.iterate(locate, *names))
    assert files[:-1] == [sys.modules[name].__file__ for name in names[:-1]]
    assert files[-1] == str(tmp_path / "users_own.py")  # and they can be imported


def test_the_process_ends_with_the_generator():
    events = process.iterate(wait_for_ever)
    pid = next(events)
    assert processes.is_running(pid)
    events.close()
    assert not processes.is_running(pid)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_the_process_ends_with_its_parent_even_when_that_is_killed():
    program = (
        f"import sys; sys.path.append({str(Path(__file__).parent)!r})\n"
        "import test_process\n"
        "for pid in test_process.process.iterate(test_process.wait_for_ever):\n"
        "    print(pid, flush=True)"
    )
    parent = processes.start("-c", program)
    pid = int(parent.stdout.readline())
    assert processes.is_running(pid)
    processes.stop(parent)
    processes.wait_for_end(pid)


MAIN = """
from jaxnets import process

def work(send):
    send("worked")

if __name__ == "__main__":
    print(*process.iterate(work))
"""


def test_a_module_that_is_run_finds_its_own_function(tmp_path):
    (tmp_path / "runnable.py").write_text(MAIN, encoding="utf-8")
    for command, said in (("-m", "worked"), ("", "move it to a module")):
        program = [command, "runnable"] if command else ["runnable.py"]
        how = {"capture_output": True, "text": True, "cwd": tmp_path}
        done = subprocess.run([sys.executable, *program], check=False, **how)
        assert said in done.stdout + done.stderr
