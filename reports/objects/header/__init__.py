"""What results take over from the header of their source."""
