"""A process of its own: what it sends, what it raises, how it ends."""

import importlib
import os
import time

import pytest

from jaxnets import process as worker
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


def die(send):
    os.write(2, b"last words\n")
    os._exit(7)


def load(send, name):
    try:
        send(importlib.import_module(name).__name__)
    except ImportError as error:
        raise InputError(f"no {name}") from error


def send_for_ever(send):
    while True:
        send(os.getpid())


def test_values_come_in_order_from_another_process():
    found = list(worker.iterate(numbers, 3))
    assert [number for number, _ in found] == [0, 1, 2]
    assert os.getpid() not in {process for _, process in found}


def test_an_error_that_a_user_can_mend_arrives_as_it_is():
    events = worker.iterate(refuse, "bad input")
    assert next(events) == "first"
    with pytest.raises(InputError, match=r"^bad input$"):
        next(events)


def test_any_other_error_arrives_with_its_traceback():
    with pytest.raises(ProcessFailed, match=r"in divide[\s\S]*ZeroDivisionError"):
        list(worker.iterate(divide))


def test_a_process_that_dies_is_told_with_its_code_and_output():
    with pytest.raises(ProcessFailed, match=r"exit code 7:[\s\S]*last words"):
        list(worker.iterate(die))


def test_a_process_does_without_what_it_is_told():
    assert list(worker.iterate(load, "wave", without=["colorsys"])) == ["wave"]
    with pytest.raises(InputError, match="no colorsys"):
        list(worker.iterate(load, "colorsys", without=["colorsys"]))


def test_the_process_ends_with_the_iterator():
    events = worker.iterate(send_for_ever)
    process = next(events)
    os.kill(process, 0)  # it is alive
    events.close()
    for _ in range(100):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("the process still runs")
