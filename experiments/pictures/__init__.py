"""What preparing a picture is worth: test digits in pictures like photographs."""
