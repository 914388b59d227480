"""What is easier, and what gives control: programs counted, gradients looked into."""
