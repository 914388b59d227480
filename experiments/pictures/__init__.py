"""Why your own handwriting failed: test digits in pictures like photographs."""
