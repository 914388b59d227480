"""The answers to the exercises, a module a lesson, with a word on each."""
