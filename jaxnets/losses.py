"""Losses: one number per example, no mean. The models take the mean."""

import chex
import jax
import optax


def quadratic_cost(activations: jax.Array, labels: jax.Array) -> jax.Array:
    """Half the squared distance to the one-hot label, per example.

    Float32 [B], 0 to classes / 2, of activations float32 [B, classes] in (0, 1) and
    labels int32 [B]. The cost C = 1/(2n) sum_x ||y(x) - a||^2 of Nielsen, "Neural
    Networks and Deep Learning", chapter 1, equation 6, is their mean. The sum runs
    over the outputs: a mean there would divide the learning rate by their number.
    """
    chex.assert_rank([activations, labels], [2, 1])
    targets = jax.nn.one_hot(labels, activations.shape[-1], dtype=activations.dtype)
    return optax.losses.l2_loss(activations, targets).sum(axis=-1)


def softmax_cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Minus the log-probability that the softmax gives to the label.

    Float32 [B], 0 or more, of logits float32 [B, classes] and labels int32 [B];
    log(classes) for a guess.
    """
    chex.assert_rank([logits, labels], [2, 1])
    return optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels)


def smoothed_cross_entropy(
    logits: jax.Array, labels: jax.Array, smoothing: float
) -> jax.Array:
    """Cross-entropy with targets of 1 - smoothing for the label, the rest for all.

    Float32 [B] of logits float32 [B, classes] and labels int32 [B]: every class, the
    label too, has the target smoothing / classes beside. Szegedy et al., "Rethinking
    the Inception architecture" (2016), section 7. `smoothing` is in [0, 1); 0 is
    `softmax_cross_entropy`.
    """
    of_label = softmax_cross_entropy(logits, labels)
    if not smoothing:
        return of_label
    of_all = -jax.nn.log_softmax(logits).mean(axis=-1)
    return (1 - smoothing) * of_label + smoothing * of_all
