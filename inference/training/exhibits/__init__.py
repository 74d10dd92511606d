"""Networks trained to rely on a shortcut, shown as exhibits."""
