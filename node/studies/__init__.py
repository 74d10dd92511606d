"""Instances, studies, and by which proof a study is complete."""
