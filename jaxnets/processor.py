"""An epoch as a processor likes it. What it computes is in `training`.

XLA's products of small matrices are faster on a processor where kernels are stored as
[out, in]. Rows gathered for many batches at a time stay in its cache, and flat rows are
copied several times as fast as images, which go pixel by pixel. docs/speed.md has by
how much. All this changes where numbers lie, not what is computed, for optimizers that
treat every number of a kernel alike. `suits` says whether an optimizer does.

XLA can also compute several arrays of one shape in one loop, which makes an epoch of
Adam up to a fifth shorter (docs/speed.md), where the environment asks for it:

    XLA_FLAGS=--xla_backend_extra_options=xla_cpu_use_multi_output_fusion

It is not asked for here, because the compiler of jaxlib 0.10.2 aborts the process on
some programs with it.
"""

import functools
import math
import os
import re
from collections.abc import Callable, Sequence

import chex
import jax
import optax
from jax.extend import core

from jaxnets.batches import scan_batches, take
from jaxnets.types import Batch, Step, Totals, TrainState

Loss = Callable[..., tuple[jax.Array, Totals]]  # `LossFn` or `KeyedLossFn`

GATHERED = 100  # at most so many batches are gathered together; they fit a core's cache
FUSION = "xla_cpu_use_multi_output_fusion"  # an option of XLA's processor back end

# Operations that compute each number of an array from the same place of its inputs.
ELEMENTWISE = set(
    """
    abs add add_any and cbrt clamp convert_element_type copy div eq exp exp2 expm1 ge gt
    integer_pow is_finite le log log1p logistic lt max min mul ne neg not or pow rsqrt
    select_n sign sqrt square stop_gradient sub tanh
    """.split()  # noqa: SIM905
)


@functools.cache
def fuses_outputs() -> bool:
    """Whether XLA computes several arrays in one loop, as its flags and device say.

    XLA reads its flags once, when its first device starts, and so are they here.
    """
    asked = FUSION in os.environ.get("XLA_FLAGS", "")
    return asked and jax.default_backend() == "cpu"


def suits(tx: optax.GradientTransformation, state: TrainState) -> bool:
    """Whether training with this optimizer may store kernels transposed, and should.

    It may where the optimizer's update is made of elementwise operations and of
    numbers, and is the same update where the kernels are transposed: then it cannot
    tell rows from columns. One that looks at them, as Muon or Adafactor do, or at a
    kernel's shape, or that is not understood, is trained as it is written.
    """
    if jax.default_backend() != "cpu":
        return False
    params, opt_state = jax.eval_shape(lambda: state[1:])
    as_written = jax.make_jaxpr(tx.update)(params, opt_state, params)
    if not _is_elementwise(as_written):
        return False
    params, opt_state = jax.eval_shape(lambda: transpose(state[1:]))
    try:
        as_stored = jax.make_jaxpr(tx.update)(params, opt_state, params)
    except Exception:  # whatever it is, the optimizer can tell
        return False
    return _without_shapes(as_written) == _without_shapes(as_stored)


def _without_shapes(jaxpr: core.ClosedJaxpr) -> str:
    """The operations; of elementwise ones, shapes follow from the arguments'."""
    return re.sub(r"\[[\d,]*\]|shape=\([\d, ]*\)", "", str(jaxpr))


def _is_elementwise(jaxpr: core.ClosedJaxpr) -> bool:
    def are_numbers(atoms: Sequence[core.Var | core.Literal]) -> bool:
        return all(getattr(atom.aval, "ndim", 0) == 0 for atom in atoms)

    def is_harmless(equation: core.JaxprEqn) -> bool:
        name, takes_numbers = equation.primitive.name, are_numbers(equation.invars)
        if name in ELEMENTWISE or (takes_numbers and are_numbers(equation.outvars)):
            return True
        if name == "jit":
            return _is_elementwise(equation.params["jaxpr"])
        return name == "broadcast_in_dim" and takes_numbers

    return are_numbers(jaxpr.jaxpr.constvars) and all(map(is_harmless, jaxpr.eqns))


def transpose(tree: chex.ArrayTree) -> chex.ArrayTree:
    """Every matrix transposed; numbers and vectors as they are."""
    return jax.tree.map(lambda leaf: leaf.T, tree)


def on_transposed(loss_fn: Loss) -> Loss:
    """The same loss, a keyed one too, of parameters that are stored transposed."""
    return lambda stored, *inputs: loss_fn(transpose(stored), *inputs)


def make_train_epoch(
    stored_step: Callable[[TrainState, Batch], Step], batch_size: int
) -> Callable[[TrainState, Batch, jax.Array], Step]:
    """As `training.make_train_epoch`, from the step of the transposed parameters."""

    def train_epoch(state: TrainState, data: Batch, order: jax.Array) -> Step:
        shape = data.image.shape[1:]  # of an image
        num_pixels = math.prod(shape)
        flat = data._replace(image=data.image.reshape(len(data.image), num_pixels))

        def step(carry: Step, rows: Batch) -> Step:
            state, totals = carry
            batch = rows._replace(image=rows.image.reshape(len(rows.image), *shape))
            state, batch_totals = stored_step(state, batch)
            return state, totals + batch_totals

        def train_on(carry: Step, indices: jax.Array) -> Step:
            return scan_batches(step, carry, take(flat, indices), batch_size)

        carry = (transpose(state), Totals.zeros())
        block = block_size(len(order) // batch_size)
        stored, totals = scan_batches(train_on, carry, order, block * batch_size)
        return transpose(stored), totals

    return train_epoch


def block_size(num_batches: int) -> int:
    """How many batches to gather together, at most `GATHERED`.

    A number that divides theirs saves compiling the step once more, for a last block
    that is smaller. Where such a number would be small, the last block is smaller.
    """
    sizes = range(min(GATHERED, num_batches), 0, -1)
    largest = next((size for size in sizes if num_batches % size == 0), 1)
    return largest if largest > GATHERED // 8 else GATHERED
