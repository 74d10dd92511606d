"""The main job shown end to end on reference objects: node, PACS, studies, and what came back beside the truth."""
