"""Programs compiled ahead of their first call, and what a device has."""

import os

import jax
import jax.numpy as jnp
import pytest

from jaxnets import devices
from jaxnets.errors import InputError


def test_the_program_computes_what_the_function_does():
    program = devices.compile_ahead(lambda a, b: a @ b, jnp.eye(3), jnp.ones((3, 2)))
    assert program(2 * jnp.eye(3), jnp.ones((3, 2))).tolist() == [[2, 2]] * 3


def test_another_shape_is_refused_not_compiled():
    program = devices.compile_ahead(jnp.sin, jnp.ones(3))
    with pytest.raises(TypeError, match=r"shape|types differ"):
        program(jnp.ones(4))


def test_arguments_are_donated_when_asked():
    given = jnp.ones(3)
    program = devices.compile_ahead(lambda x: x + 1, given, donate_argnums=0)
    assert program(given).tolist() == [2, 2, 2]
    assert given.is_deleted()


def test_the_option_is_known_to_this_xla():
    # Without it the figures of the README do not hold; say so here, not there.
    jax.jit(jnp.sin).lower(jnp.ones(3)).compile(compiler_options=devices.CPU_OPTIONS)


def test_an_option_that_xla_does_not_know_is_done_without(monkeypatch):
    monkeypatch.setattr(devices, "CPU_OPTIONS", {"xla_no_such_option": True})
    assert devices.compile_ahead(jnp.negative, jnp.ones(2))(jnp.ones(2))[0] == -1


def test_without_jit_the_function_itself_is_called():
    with jax.disable_jit():
        function = devices.compile_ahead(jnp.negative, jnp.ones(2))
        assert function(jnp.ones(3)).tolist() == [-1, -1, -1]


def test_the_memory_of_a_program_is_that_of_its_arrays():
    given = jnp.zeros((100, 100))  # float32: 40,000 bytes
    program = devices.compile_ahead(lambda x: x + 1, given)
    assert devices.program_bytes(program) == 2 * 40_000  # argument and result
    donated = devices.compile_ahead(lambda x: x + 1, given, donate_argnums=0)
    assert devices.program_bytes(donated) == 40_000
    assert devices.program_bytes(jnp.sin) is None  # not a program


def test_a_processor_does_not_tell_its_memory():
    assert devices.device_bytes() is None


def test_a_device_that_is_not_there_is_one_clear_error(monkeypatch):
    def devices_of(*_):
        raise AssertionError  # as JAX does for JAX_PLATFORMS=cuda without a GPU

    assert devices.require_device() in jax.devices()
    monkeypatch.setattr(jax, "devices", devices_of)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    with pytest.raises(InputError, match=r"JAX_PLATFORMS=cuda.*cpu"):
        devices.require_device()


def test_the_cores_of_this_process_are_counted(monkeypatch):
    assert 1 <= devices.cpu_count() <= os.cpu_count()
    if hasattr(os, "sched_getaffinity"):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5, 7})
        assert devices.cpu_count() == 3
