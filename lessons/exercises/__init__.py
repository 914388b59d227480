"""The oracles of the exercises: one module a lesson, one function an exercise.

They hold right answers. Solve the exercise first; then `lessons.solutions` says more.
"""
