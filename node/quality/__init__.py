"""Quality assurance of the node at work: what is watched, replayed, stopped, and armed again by a person."""
