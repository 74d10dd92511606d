"""TorchScript programs as networks: read in a process with limits, and run by an interpreter of our own."""
