"""From a complete study to its jobs, by rules that can be questioned."""
