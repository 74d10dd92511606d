"""Control charts: baseline, design, run lengths, monitor, picture."""
