"""The overlay picture: panels, band, caption, colours, typeface; and the shapes of charts."""
