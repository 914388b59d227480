"""Programs compiled ahead of their first call."""

import jax
import jax.numpy as jnp
import pytest

from jaxnets import devices as compiling


def test_the_program_computes_what_the_function_does():
    program = compiling.compile_ahead(lambda a, b: a @ b, jnp.eye(3), jnp.ones((3, 2)))
    assert program(2 * jnp.eye(3), jnp.ones((3, 2))).tolist() == [[2, 2]] * 3


def test_another_shape_is_refused_not_compiled():
    program = compiling.compile_ahead(jnp.sin, jnp.ones(3))
    with pytest.raises(TypeError, match=r"shape|types differ"):
        program(jnp.ones(4))


def test_arguments_are_donated_when_asked():
    given = jnp.ones(3)
    program = compiling.compile_ahead(lambda x: x + 1, given, donate_argnums=0)
    assert program(given).tolist() == [2, 2, 2]
    assert given.is_deleted()


def test_the_option_is_known_to_this_xla():
    # Without it the figures of the README do not hold; say so here, not there.
    jax.jit(jnp.sin).lower(jnp.ones(3)).compile(compiler_options=compiling.CPU_OPTIONS)


def test_an_option_that_xla_does_not_know_is_done_without(monkeypatch):
    monkeypatch.setattr(compiling, "CPU_OPTIONS", {"xla_no_such_option": True})
    assert compiling.compile_ahead(jnp.negative, jnp.ones(2))(jnp.ones(2))[0] == -1
