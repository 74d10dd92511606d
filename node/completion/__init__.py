"""When a study is complete, and by which proof: its sender counts, its modality says so, or nothing more comes."""
