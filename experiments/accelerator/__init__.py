"""The experiment on small networks on an accelerator: one of them, and a thousand."""
