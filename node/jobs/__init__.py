"""What a job is made of: its steps, its row, what it takes the place of, and which node runs it."""
