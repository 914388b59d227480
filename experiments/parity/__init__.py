"""Do tf.keras, Flax and the functions from scratch compute the same network?"""
