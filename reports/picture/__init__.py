"""The overlay picture: panels, band, caption, colours, typeface."""
